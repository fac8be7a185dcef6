/* The cases of `sluice-bench ring`. */
#include <stdio.h>
#include <string.h>

#include "bench/plan.h"
#include "ring/layout.h"

#define SEED  UINT64_C(0x736c75696365)
#define BATCH 32u
/* Frames of 1500 bytes at 10 Gbit/s: with preamble, header, checksum and gap 1538 bytes each (IEEE 802.3). */
#define LINE_PAYLOAD_BYTES 1500u
#define LINE_FRAME_BYTES   1538u
#define LINE_RATE_BPS      10e9
#define PAYLOAD_AT         64u /* of a slot of ours */
#define DEATH_CAP_S        20.0
#define DEATH_CAP_PER      80.0 /* times --seconds, so that a short bench stays short */

/* Largest payload that is asked for: 64 KiB, or what our largest slot and its length word can hold. */
static uint32_t largest_payload(void)
{
    uint32_t fits = RING_SLOT_BYTES_MAX - PAYLOAD_AT;
    uint32_t says = sizeof(((struct ring_descriptor *)0)->length_bytes) == 2 ? UINT16_MAX / 64u * 64u : 65536u;
    return fits < says ? fits : says;
}

struct maker {
    struct plan *plan;
    const struct environment *environment;
    double seconds;
};

static struct row *add_row(struct maker *m, const char *name, const char *variant, const char *unit,
                           const struct peer *peer)
{
    struct row *row = &m->plan->rows[m->plan->row_count++];
    *row = (struct row){
        .name = name, .unit = unit, .stall_us = -1, .kind = peer != NULL ? peer->kind : PEER_OURS, .batch = 1};
    snprintf(row->variant, sizeof(row->variant), "%s", variant);
    return row;
}

/* NULL if it is not wanted. Its row follows. */
static struct plan_case *add_case(struct maker *m, const char *name, const char *variant, measure_body *body,
                                  const struct peer *peer, uint32_t size)
{
    if (!plan_wants(m->plan->only, name, variant) || m->plan->case_count == PLAN_CASES_MAX ||
        m->plan->row_count + MEASURE_VALUES_MAX > ROWS_MAX) {
        return NULL;
    }
    struct plan_case *c = &m->plan->cases[m->plan->case_count++];
    *c = (struct plan_case){.first_row = m->plan->row_count, .row_count = 1, .scale = {1, 1}};
    c->question = (struct question){.body = body,
                                    .peer = peer,
                                    .spec = {.size_bytes = size, .batch = 1, .readers = 1, .seed = SEED},
                                    .seconds = m->seconds,
                                    .core_count = m->environment->core_count};
    memcpy(c->question.cores, m->environment->cores, sizeof(c->question.cores));
    m->plan->needs_iceoryx = m->plan->needs_iceoryx || peer == &peer_iceoryx;
    return c;
}

static const char *variant_of(const struct peer *peer, uint32_t batch, uint32_t readers, char text[48])
{
    int n = snprintf(text, 48, "%s%s%s", peer->name, peer->mode[0] != 0 ? "-" : "", peer->mode);
    if (batch > 1) {
        n += snprintf(text + n, 48 - (size_t)n, "-b%u", batch);
    }
    if (readers > 1) {
        snprintf(text + n, 48 - (size_t)n, "-r%u", readers);
    }
    return text;
}

static void add_throughput(struct maker *m, const struct peer *peer, uint32_t size, uint32_t batch,
                           uint32_t readers)
{
    char variant[48];
    variant_of(peer, batch, readers, variant);
    struct plan_case *c = add_case(m, "throughput", variant, measure_throughput, peer, size);
    if (c == NULL) {
        return;
    }
    bool small = size == PAYLOAD_SMALL_BYTES;
    c->question.spec.batch = batch;
    c->question.spec.readers = readers;
    c->scale[0] = small ? 1e-6 : size * 1e-9;
    struct row *row = add_row(m, "throughput", variant, small ? "million/s" : "GB/s", peer);
    row->size_bytes = size;
    row->batch = batch;
    row->high = true;
    row->is_floor = peer == &peer_floor_counter;
    if (readers > 1 && m->environment->core_count <= readers) {
        row->note = "each of two readers that share one core";
    }
}

static void add_latency(struct maker *m, const struct peer *peer, uint32_t size)
{
    char variant[48];
    variant_of(peer, 1, 1, variant);
    struct plan_case *c = add_case(m, "latency", variant, measure_latency, peer, size);
    if (c == NULL) {
        return;
    }
    static const char *const names[2] = {"latency_p50", "latency_p99"};
    c->row_count = 2;
    for (int i = 0; i < 2; i++) {
        struct row *row = add_row(m, names[i], variant, "ns", peer);
        row->size_bytes = size;
        row->is_floor = peer == &peer_floor_line;
    }
}

static void add_copy(struct maker *m, uint32_t size)
{
    struct plan_case *c = add_case(m, "memcpy", "floor-memcpy", measure_copy, NULL, size);
    if (c != NULL) {
        c->scale[0] = size * 1e-9;
        struct row *row = add_row(m, "memcpy", "floor-memcpy", "GB/s", &peer_floor_counter);
        row->size_bytes = size;
        row->high = true;
        row->is_floor = true;
    }
}

/* One row for each thing a reader can be, of a writer that goes as fast as it can, or at a pace. */
static void add_impact(struct maker *m, const char *name, const struct peer *peer, uint32_t states, uint32_t size,
                       double pace_hz)
{
    static const char *const words[] = {"none", "live", "stopped", "killed", "hostile"};
    for (uint32_t i = 0; i < states; i++) {
        char variant[48];
        snprintf(variant, sizeof(variant), "%s-%s-%s", peer->name, peer->mode, words[i]);
        struct plan_case *c = add_case(m, name, variant, measure_impact, peer, size);
        if (c == NULL) {
            continue;
        }
        c->question.readers_state = i;
        c->question.pace_hz = pace_hz;
        c->question.spec.batch = BATCH;
        c->scale[0] = 1e-6;
        struct row *row = add_row(m, name, variant, "million/s", peer);
        row->size_bytes = size;
        row->batch = BATCH;
        row->high = true;
        row->is_floor = i == IMPACT_NONE;
    }
}

static void add_death(struct maker *m, const struct peer *peer)
{
    char variant[48];
    variant_of(peer, 1, 1, variant);
    struct plan_case *c = add_case(m, "death", variant, measure_death, peer, PAYLOAD_SMALL_BYTES);
    if (c != NULL) {
        double cap = m->seconds * DEATH_CAP_PER;
        c->is_stall = true;
        c->question.cap_s = cap < 1 ? 1 : cap > DEATH_CAP_S ? DEATH_CAP_S : cap;
        struct row *row = add_row(m, "death", variant, "ms", peer);
        row->size_bytes = PAYLOAD_SMALL_BYTES;
    }
}

static void add_attach(struct maker *m)
{
    struct plan_case *c = add_case(m, "attach", "sluice-attach", measure_attach, NULL, PAYLOAD_SMALL_BYTES);
    if (c != NULL) {
        c->row_count = 2;
        c->scale[1] = 1e-3;
        add_row(m, "attach", "sluice-attach", "us", NULL)->size_bytes = PAYLOAD_SMALL_BYTES;
        struct row *rate = add_row(m, "attach_rate", "sluice-attach", "kHz", NULL);
        rate->size_bytes = PAYLOAD_SMALL_BYTES;
        rate->high = true;
    }
}

static void add_size(struct maker *m, uint32_t size)
{
    static const struct peer *const ours[] = {&peer_ours_observer, &peer_ours_gating};
    static const struct peer *const others[] = {&peer_iceoryx, &peer_zmq_inproc, &peer_zmq_ipc, &peer_pipe};
    add_throughput(m, &peer_floor_counter, size, 1, 1);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        add_throughput(m, ours[i], size, 1, 1);
        add_throughput(m, ours[i], size, BATCH, 1);
        add_throughput(m, ours[i], size, BATCH, 2);
    }
    add_throughput(m, &peer_rte_ring_zc, size, 1, 1);
    add_throughput(m, &peer_rte_ring_zc, size, BATCH, 1);
    if (size == PAYLOAD_SMALL_BYTES) {
        add_throughput(m, &peer_rte_ring_copy, size, 1, 1);
        add_throughput(m, &peer_rte_ring_copy, size, BATCH, 1);
        add_throughput(m, &peer_ck_ring_value, size, 1, 1);
    }
    add_throughput(m, &peer_ck_ring_pointer, size, 1, 1);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        add_throughput(m, others[i], size, 1, 1);
    }
    add_copy(m, size);
}

void plan_ring(struct plan *plan, const struct environment *environment, double seconds, const char *only)
{
    const uint32_t sizes[] = {PAYLOAD_SMALL_BYTES, 1500, 9000, largest_payload()};
    static const struct peer *const one_by_one[] = {&peer_floor_line,    &peer_floor_counter, &peer_ours_observer,
                                                    &peer_ours_gating,   &peer_rte_ring_zc,   &peer_rte_ring_copy,
                                                    &peer_ck_ring_value, &peer_iceoryx,       &peer_zmq_inproc,
                                                    &peer_zmq_ipc,       &peer_pipe};
    *plan = (struct plan){.only = only};
    struct maker m = {.plan = plan, .environment = environment, .seconds = seconds};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        add_size(&m, sizes[i]);
    }
    for (size_t i = 0; i < sizeof(one_by_one) / sizeof(one_by_one[0]); i++) {
        add_latency(&m, one_by_one[i], PAYLOAD_SMALL_BYTES);
    }
    add_impact(&m, "impact", &peer_ours_observer, 5, PAYLOAD_SMALL_BYTES, 0);
    add_impact(&m, "impact_10g", &peer_ours_observer, 5, LINE_PAYLOAD_BYTES, LINE_RATE_BPS / 8 / LINE_FRAME_BYTES);
    add_attach(&m);
    add_death(&m, &peer_ours_gating);
    add_death(&m, &peer_iceoryx);
}
