#include "tools/report.h"

#include <string.h>
#include <time.h>

#include "ring/channel.h"
#include "ring/clock.h"
#include "tools/hops.h"
#include "tools/record.h"

static json_t *integer(uint64_t n)
{
    return json_integer((json_int_t)n);
}

json_t *report_real(double value)
{
    return ring_is_not_finite(value) ? json_null() : json_real(value);
}

/* In the order of sluiced's processes: itself, control, workers, actuators, black box, observer, recorders. */
static const struct board *board_of(const struct session *s, uint32_t process)
{
    if (process < 2) {
        return process == 0 ? &s->supervisor->common : &s->control->common;
    }
    uint32_t i = process - 2;
    if (i < s->workers) {
        return &s->worker[i]->common;
    }
    i -= s->workers;
    if (i < s->actuators) {
        return &s->outbox[i]->common;
    }
    i -= s->actuators;
    if (s->black_box != NULL && i-- == 0) {
        return &s->black_box->common;
    }
    if (s->observer != NULL && i-- == 0) {
        return &s->observer->common;
    }
    return i < s->recorders ? &s->recorder[i]->common : NULL;
}

/* null: none is configured. */
static json_t *report_black_box(const struct session *s)
{
    const struct blackbox_board *board = s->black_box;
    if (board == NULL) {
        return json_null();
    }
    char last[BLACKBOX_NAME_BYTES];
    memcpy(last, board->last, sizeof(last) - 1);
    last[sizeof(last) - 1] = 0;
    return json_pack("{s:b, s:I, s:I, s:I, s:s}", "room", board->room != 0, "reports", (json_int_t)board->reports,
                     "lost", (json_int_t)board->lost, "journal_entries_lost", (json_int_t)board->journal_lost,
                     "last", last);
}

/* NULL: none. */
static json_t *report_stalls(const struct stall_record *record)
{
    const struct stall_record *stalls = record != NULL ? record : &(const struct stall_record){0};
    return json_pack("{s:I, s:I, s:I}", "count", (json_int_t)stalls->count, "total_ns",
                     (json_int_t)stalls->total_ns, "longest_ns", (json_int_t)stalls->longest_ns);
}

/* What a thread has worked so far: of each round that found something to do. null: it does not say. */
static json_t *report_busy(const struct histogram *busy)
{
    return busy != NULL ? integer(ring_count_read(&busy->sum_ns)) : json_null();
}

static const struct histogram *busy_of_thread(const struct session *s, uint32_t worker, uint32_t thread)
{
    const struct worker_thread_hops *hops = hops_of_thread(s, worker, thread);
    return hops != NULL ? &hops->busy : NULL;
}

/* Of a process that has one real-time thread. */
static const struct histogram *busy_of_process(const struct session *s, uint32_t process)
{
    if (process == 1) {
        return &s->control->hop[HOP_BUSY];
    }
    bool single = process >= 2 && process - 2 < s->workers && s->worker[process - 2]->hops_threads == 1;
    return single ? busy_of_thread(s, process - 2, 0) : NULL;
}

/* The polling threads of a process that has several. Empty: it is one thread, and its own line tells of it. */
static json_t *report_threads(const struct session *s, uint32_t process)
{
    json_t *list = json_array();
    const struct worker_board *board =
        process >= 2 && process - 2 < s->workers && s->supervisor->process[process].alive != 0
            ? s->worker[process - 2]
            : NULL;
    for (uint32_t t = 0; board != NULL && t < board->threads && t < PLAN_THREADS_MAX; t++) {
        const struct worker_thread *thread = &board->thread[t];
        char name[WORKER_THREAD_NAME_BYTES];
        memcpy(name, thread->name, sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        json_array_append_new(list, json_pack("{s:s, s:I, s:i, s:s, s:i, s:b, s:I, s:o, s:o}", "name", name, "tid",
                                              (json_int_t)thread->tid, "core", thread->core, "policy",
                                              thread->policy == 1 ? "fifo" : "other", "priority", thread->priority,
                                              "sealed", thread->sealed != 0, "rounds",
                                              (json_int_t)__atomic_load_n(&thread->heartbeat, __ATOMIC_RELAXED),
                                              "stalls", report_stalls(&thread->stalls), "busy_ns",
                                              report_busy(busy_of_thread(s, process - 2, t))));
    }
    return list;
}

static json_t *report_processes(const struct session *s)
{
    json_t *list = json_array();
    uint32_t n = s->supervisor->processes;
    for (uint32_t i = 0; i < n && i < SUPERVISOR_PROCESSES_MAX; i++) {
        const struct supervisor_process *p = &s->supervisor->process[i];
        const struct board *board = board_of(s, i);
        json_t *refusals = json_array();
        for (uint32_t r = 0; board != NULL && r < board->refusals && r < BOARD_REFUSALS_MAX; r++) {
            json_array_append_new(refusals, json_string(board->refusal[r]));
        }
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:i, s:s, s:i, s:I, s:b, s:I, s:b, s:b, s:o, s:o, s:o, s:o}",
                                        "name", p->name, "pid", (json_int_t)p->pid, "core", p->core, "policy",
                                        p->policy == 1 ? "fifo" : "other", "priority", p->priority, "pss_kb",
                                        (json_int_t)p->pss_kb, "alive", (int)p->alive, "restarts",
                                        (json_int_t)p->restarts, "locked", board != NULL && board->locked != 0,
                                        "sealed", board != NULL && board->sealed != 0, "refusals", refusals,
                                        "stalls", report_stalls(board != NULL ? &board->stalls : NULL), "threads",
                                        report_threads(s, i), "busy_ns", report_busy(busy_of_process(s, i))));
    }
    return list;
}

static const char *gate_reason(uint32_t reason)
{
    return reason == RING_GATE_DEADLINE ? "deadline" : reason == RING_GATE_NONSENSE ? "nonsense" : "none";
}

static json_t *report_readers(const struct session *s, uint32_t ring, uint64_t published)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->supervisor->readers && i < SUPERVISOR_READERS_MAX; i++) {
        const struct supervisor_reader *r = &s->supervisor->reader[i];
        if (r->ring == ring) {
            /* The reader wrote both itself: whatever it says, it cannot lag or have lost more than was published.
             */
            uint64_t lost = r->lost < published ? r->lost : published;
            uint64_t lag = published > r->position ? published - r->position : 0;
            json_t *reader = json_pack("{s:I, s:s, s:I, s:I}", "pid", (json_int_t)r->pid, "mode",
                                       r->gating == 0    ? "observer"
                                       : r->demoted != 0 ? "demoted"
                                                         : "gating",
                                       "lag_frames", (json_int_t)lag, "lost", (json_int_t)lost);
            json_object_set_new(reader, "lag_frames_max", integer(r->lag_frames_max));
            json_object_set_new(reader, "lag_ns", integer(r->lag_ns));
            json_object_set_new(reader, "lag_ns_max", integer(r->lag_ns_max));
            if (r->gating != 0) {
                json_object_set_new(reader, "reason", json_string(gate_reason(r->reason)));
                json_object_set_new(reader, "deadline_ms", integer(r->deadline_ns / CLOCK_NS_PER_MS));
                json_object_set_new(reader, "waits", integer(r->waits));
                json_object_set_new(reader, "waited_ns", integer(r->waited_ns));
                json_object_set_new(reader, "waited_ns_max", integer(r->waited_ns_max));
            }
            json_array_append_new(list, reader);
        }
    }
    return list;
}

static uint64_t published(const struct session *s, uint32_t ring)
{
    return ring_published_now(s->ring[ring].header);
}

/* What became of gating readers that did not keep up: the last ones of this ring, and the sums. */
static json_t *report_demoted(const struct session *s, uint32_t ring)
{
    const struct supervisor_board *board = s->supervisor;
    const struct supervisor_ring *sums = &board->ring[ring];
    uint64_t events = __atomic_load_n(&board->reader_events, __ATOMIC_ACQUIRE);
    uint64_t first = events > SUPERVISOR_EVENTS_MAX ? events - SUPERVISOR_EVENTS_MAX : 0;
    json_t *list = json_array();
    for (uint64_t n = first; n < events; n++) {
        const struct supervisor_reader_event *e = &board->reader_event[n % SUPERVISOR_EVENTS_MAX];
        if (e->ring == ring) {
            json_array_append_new(list, json_pack("{s:I, s:I, s:s, s:s, s:I}", "tai_ns", (json_int_t)e->tai_ns,
                                                  "pid", (json_int_t)e->pid, "event",
                                                  e->event == SUPERVISOR_EVICTED ? "evicted" : "demoted", "reason",
                                                  gate_reason(e->reason), "lost", (json_int_t)e->lost));
        }
    }
    return json_pack("{s:I, s:I, s:I, s:o}", "demotions", (json_int_t)sums->demotions, "evictions",
                     (json_int_t)sums->evictions, "readers_lost", (json_int_t)sums->readers_lost, "events", list);
}

json_t *report_gating(const struct session *session)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < session->rings; i++) {
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:o, s:o}", "name", session->ring[i].header->identity.name,
                                        "slots", (json_int_t)session->ring[i].header->identity.slots, "readers",
                                        report_readers(session, i, published(session, i)), "gating",
                                        report_demoted(session, i)));
    }
    return list;
}

static json_t *report_rings(const struct session *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->rings; i++) {
        const struct ring_identity *id = &s->ring[i].header->identity;
        uint64_t now = published(s, i);
        uint64_t lost = ring_ledger_lost(&s->ring[i].header->ledger);
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:o, s:o}", "name", id->name,
                                        "slot_bytes", (json_int_t)id->slot_bytes, "slots", (json_int_t)id->slots,
                                        "page_bytes", (json_int_t)id->page_bytes, "published", (json_int_t)now,
                                        "rate_hz", s->supervisor->ring_rate_hz[i], "lost", (json_int_t)lost,
                                        "epoch", (json_int_t)s->ring[i].header->progress.epoch, "readers",
                                        report_readers(s, i, now), "gating", report_demoted(s, i)));
    }
    return list;
}

static json_t *causes_lost(const struct ring_ledger *ledger)
{
    json_t *lost = json_object();
    for (uint32_t i = 0; i < RING_LOSSES; i++) {
        json_object_set_new(lost, ring_loss_name(i), integer(ring_count_read(&ledger->lost[i])));
    }
    return lost;
}

static json_t *reasons_refused(const struct ring_ledger *ledger)
{
    json_t *refused = json_object();
    for (uint32_t i = 0; i <= RING_REFUSED_FRAGMENT; i++) {
        json_object_set_new(refused, ring_refusal_name(i), integer(ring_count_read(&ledger->refused[i])));
    }
    return refused;
}

/* The counters move while they are read: a residual counts only if it stays. */
static int64_t steady_residual(const struct ring_ledger *ledger)
{
    int64_t residual = 0;
    for (int i = 0; i < 20; i++) {
        residual = ring_ledger_residual(ledger);
        if (residual == 0) {
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
    return residual;
}

json_t *report_streams(const struct session *session)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < session->rings; i++) {
        const struct ring_ledger *l = &session->ring[i].header->ledger;
        const struct ring_identity *id = &session->ring[i].header->identity;
        json_t *stream = json_pack(
            "{s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:I, s:o, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
            session->ring[i].header->stream[0].name, "ring", id->name, "sent",
            (json_int_t)ring_count_read(&l->sent), "delivered", (json_int_t)ring_count_read(&l->delivered), "lost",
            causes_lost(l), "duplicated", (json_int_t)ring_count_read(&l->duplicated), "reordered",
            (json_int_t)ring_count_read(&l->reordered), "residual", (json_int_t)steady_residual(l), "refused",
            reasons_refused(l), "noise_bytes", (json_int_t)ring_count_read(&l->noise_bytes), "gap_records",
            (json_int_t)ring_count_read(&l->gap_records), "open", ring_count_read(&l->is_open) != 0, "connects",
            (json_int_t)ring_count_read(&l->connects), "disconnects", (json_int_t)ring_count_read(&l->disconnects),
            "bytes", (json_int_t)ring_count_read(&l->bytes), "open_errno",
            (json_int_t)ring_count_read(&l->open_errno), "polls_failed",
            (json_int_t)ring_count_read(&l->polls_failed), "polls_missed",
            (json_int_t)ring_count_read(&l->polls_missed));
        if (stream != NULL) {
            json_object_set_new(stream, "rate", report_rate(session->ring[i].header));
        }
        json_array_append_new(list, stream);
    }
    return list;
}

static json_t *report_channels(const struct session *s, const struct control_board *board)
{
    json_t *list = json_array();
    uint64_t now_ns = clock_tai_ns(s->table->tai_minus_monotonic_ns);
    for (uint32_t i = 0; i < s->table->channels && i < CONTROL_CHANNELS_MAX; i++) {
        const struct control_board_channel *c = &board->channel[i];
        uint64_t age_ns = now_ns > c->tai_ns ? now_ns - c->tai_ns : 0;
        json_array_append_new(
            list, json_pack("{s:s, s:o, s:s, s:s, s:o, s:I}", "name", s->table->channel[i].decode.name, "value",
                            c->samples > 0 ? report_real(c->value) : json_null(), "quality",
                            engine_quality_name(c->quality), "unit", s->table->channel[i].decode.unit, "age_ns",
                            c->samples > 0 ? integer(age_ns) : json_null(), "samples", (json_int_t)c->samples));
    }
    return list;
}

static json_t *report_histogram(const struct histogram *h)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)ring_count_read(&h->count), "p50",
                     (json_int_t)hist_quantile_ns(h, 0.5), "p99", (json_int_t)hist_quantile_ns(h, 0.99), "p999",
                     (json_int_t)hist_quantile_ns(h, 0.999), "max", (json_int_t)ring_count_read(&h->max_ns), "late",
                     (json_int_t)ring_count_read(&h->late), "late_limit", (json_int_t)h->limit_ns);
}

json_t *report_latency(const struct session *session)
{
    static struct hop list[HOPS_LIST_MAX];
    json_t *hops = json_object();
    for (uint32_t i = 0; i < HOPS; i++) {
        json_object_set_new(hops, control_hop_name(i), report_histogram(&session->control->hop[i]));
    }
    for (uint32_t i = 0; i < session->actuators; i++) {
        const struct outbox *outbox = session->outbox[i];
        char key[RING_NAME_BYTES + 16];
        snprintf(key, sizeof(key), "%.*s_taken", (int)sizeof(outbox->common.name) - 1, outbox->common.name);
        json_object_set_new(hops, key, report_histogram(&outbox->taken));
        snprintf(key, sizeof(key), "%.*s_confirmed", (int)sizeof(outbox->common.name) - 1, outbox->common.name);
        json_object_set_new(hops, key, report_histogram(&outbox->confirmed));
    }
    uint32_t count = hops_list(session, list, HOPS_LIST_MAX);
    for (uint32_t i = HOPS + 2 * session->actuators; i < count; i++) { /* those of workers and readers */
        json_t *hop = report_histogram(list[i].histogram);
        if (list[i].apart != NULL) {
            json_object_set_new(hop, "ahead", integer(ring_count_read(&list[i].apart->ahead)));
            json_object_set_new(hop, "undated", integer(ring_count_read(&list[i].apart->undated)));
        }
        json_object_set_new(hops, list[i].name, hop);
    }
    return hops;
}

json_t *report_status(struct session *session, struct error *err)
{
    static struct control_board board;
    if (session_refresh(session, err) != 0 || session_control_board(session, &board, err) != 0) {
        return NULL;
    }
    uint64_t now_ns = clock_tai_ns(session->table->tai_minus_monotonic_ns);
    json_t *status = json_pack(
        "{s:s, s:s, s:o, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "instance",
        session->supervisor->common.instance, "version", SLUICE_VERSION, "configuration",
        report_configuration(session), "uptime_s",
        (double)(now_ns - session->supervisor->common.started_tai_ns) / 1e9, "clock_step_s",
        (double)session->supervisor->clock_step_ns / 1e9, "processes", report_processes(session), "rings",
        report_rings(session), "streams", report_streams(session), "channels", report_channels(session, &board),
        "interlock", report_interlock(session, &board), "outputs", report_outputs(session, &board), "rules",
        report_rules(session, &board), "audit", report_audit(session), "latency_ns", report_latency(session),
        "black_box", report_black_box(session), "recorders", record_report_all(session));
    if (status == NULL) {
        error_set(err, -1, "no memory for the report");
    }
    return status;
}
