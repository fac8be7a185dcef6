#include "net/afxdp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>

#include "net/sequence.h"
#include "ring/clock.h"

#define LOOK_NS  (10 * CLOCK_NS_PER_MS)
#define RETRY_NS (50 * CLOCK_NS_PER_MS) /* opening takes the kernel some work: it pins the ring's pages */

static struct ring_ledger *ledger_of(const struct afxdp_source *s)
{
    return &s->writer->view.header->ledger;
}

/* In front of a frame, behind the kernel's own: what puts its payload where the ring has it. */
static uint32_t headroom_of(const struct source_plan *plan)
{
    if (plan->packet.form == PACKET_ETHERNET) {
        return AFXDP_PAYLOAD_OFFSET_ETHERNET - XSK_HEADROOM_BYTES;
    }
    return AFXDP_PAYLOAD_OFFSET_UDP - XSK_HEADROOM_BYTES - packet_headers(&plan->packet);
}

static uint32_t places_of(const struct afxdp_source *s)
{
    uint64_t half = s->writer->view.slot_count / 2;
    return half < s->plan->afxdp.descriptors ? (uint32_t)half : s->plan->afxdp.descriptors;
}

/* How a count of others has grown since it was last seen; it may have begun anew. */
static uint64_t grown(uint64_t *seen, uint64_t now)
{
    uint64_t more = now > *seen ? now - *seen : 0;
    *seen = now;
    return more;
}

static uint64_t too_long(const struct afxdp_source *s)
{
    return __atomic_load_n(&s->steer->queue[s->plan->afxdp.queue].too_long, __ATOMIC_RELAXED);
}

void afxdp_count_drops(struct afxdp_source *source)
{
    struct afxdp_source *s = source;
    uint64_t dropped = grown(&s->seen_dropped, xsk_dropped(&s->xsk));
    uint64_t missed = grown(&s->seen_missed, interface_missed(&s->interface));
    uint64_t cut = grown(&s->seen_too_long, too_long(s));
    /* With no slot free the kernel drops what is to be dropped without a detour through us. */
    bool by_us = s->is_full && s->drops;
    bool empty = s->writer->handed <= s->writer->next;
    s->is_full =
        s->pieces.memory == NULL && s->writer->handed - s->writer->next < s->ahead; /* else it has no slots */
    if (dropped + missed + cut == 0) {
        return;
    }
    ring_count_add(&ledger_of(s)->refused[RING_REFUSED_LONG], cut);
    s->untold[by_us ? RING_LOSS_RING_FULL : RING_LOSS_KERNEL] += dropped;
    s->untold[RING_LOSS_NIC] += missed;
    s->untold[RING_LOSS_TRUNCATED] += cut;
    s->untold_before = s->xsk.receive.next + xsk_waiting(&s->xsk);
    s->is_untold = true;
    if (by_us && empty && dropped > 0) {
        ring_writer_owe_gap(s->writer, RING_LOSS_RING_FULL, dropped, 0);
    }
    for (uint32_t cause = 0; cause < RING_LOSSES && s->plan->sequence.width_bytes == 0; cause++) {
        /* No number will ever show it. */
        net_sequence_explain(&s->plan->sequence, ledger_of(s), (enum ring_loss)cause, s->untold[cause]);
        s->untold[cause] = 0;
    }
}

static int open_on(struct afxdp_source *s, unsigned ifindex)
{
    const struct packet_filter *filter = &s->plan->packet;
    struct ring_memory memory;
    bool pieces = s->pieces.memory != NULL;
    struct xsk_spec spec = {.ifindex = ifindex,
                            .queue = s->plan->afxdp.queue,
                            .headroom_bytes = pieces ? 0 : headroom_of(s->plan),
                            .descriptors = s->ahead,
                            .pieces = pieces};
    int code = steer_attach(s->steer, ifindex);
    if (code == 0 && (filter->match & PACKET_MATCH_TO) != 0 && IN_MULTICAST(ntohl(filter->to_address))) {
        code = interface_join(&s->interface, ifindex, filter->to_address);
    }
    if (code != 0) {
        return code;
    }
    spec.copy = s->steer->generic;
    ring_writer_memory(s->writer, &memory);
    uint32_t frame_bytes_max =
        pieces ? s->pieces.room : xsk_frame_bytes_max(memory.slot_bytes, spec.headroom_bytes);
    if (pieces) {
        memory.first_slot = s->pieces.memory;
        memory.slots = s->ahead;
        memory.slot_bytes = XSK_CHUNK_BYTES_MAX;
    }
    code = xsk_open(&s->xsk, &memory, &spec);
    if (code == 0) {
        interface_watch(&s->interface, ifindex);
        s->ifindex = ifindex;
        s->seen_dropped = 0;
        s->seen_missed = interface_missed(&s->interface);
        s->seen_too_long = too_long(s);
        steer_set_flow(s->steer, spec.queue, filter, frame_bytes_max);
    }
    return code;
}

/* What came while it was closed is missing; then the slots; only then frames may come. */
static int begin(struct afxdp_source *s, uint64_t tai_ns)
{
    s->untold_before = s->xsk.receive.next; /* indices begin anew */
    s->pieces.to = NULL;
    for (uint64_t i = 0; s->pieces.memory != NULL && i < s->ahead; i++) {
        xsk_fill(&s->xsk, i * XSK_CHUNK_BYTES_MAX);
    }
    xsk_fill_publish(&s->xsk);
    if (s->was_open) {
        net_sequence_interrupted(&s->plan->sequence, ledger_of(s));
        ring_writer_owe_gap(s->writer, RING_LOSS_RESTART, 0, s->closed_tai_ns);
    }
    afxdp_hand_out(s, tai_ns);
    int code = steer_to_socket(s->steer, s->plan->afxdp.queue, s->xsk.fd);
    if (code != 0) {
        xsk_close(&s->xsk);
        ring_writer_take_back(s->writer);
        return code;
    }
    s->was_open = true;
    ring_count_add(&ledger_of(s)->connects, 1);
    ring_count_set(&ledger_of(s)->is_open, 1);
    return 0;
}

static int try_open(struct afxdp_source *s, uint64_t monotonic_ns, uint64_t tai_ns)
{
    unsigned ifindex = 0;
    int code = interface_find(&s->interface, &ifindex);
    if (code == 0) {
        code = open_on(s, ifindex);
        if (code == 0) {
            code = begin(s, tai_ns);
        }
        if (code != 0) {
            s->looked_ns = monotonic_ns + RETRY_NS - LOOK_NS;
        }
    }
    ring_count_set(&ledger_of(s)->open_errno, (uint64_t)-code);
    return code;
}

/* Why it could not be opened, for the operator. */
static void note_why(struct afxdp_source *s, int code)
{
    const char *name = s->interface.name;
    uint32_t queue = s->plan->afxdp.queue;
    switch (code) {
    case -ENODEV:
        error_set(&s->note, code, "source %s: there is no interface %s; waiting for it", s->plan->name, name);
        break;
    case -ENETDOWN:
        error_set(&s->note, code,
                  "source %s: interface %s is down or has no carrier (ip link set %s up); waiting for it",
                  s->plan->name, name, name);
        break;
    case -EBUSY:
        error_set(
            &s->note, code,
            "source %s: another program has an XDP program on interface %s, or its queue %u (ip link show %s; "
            "bpftool net); waiting for it to let go",
            s->plan->name, name, queue, name);
        break;
    case -EINVAL:
        error_set(&s->note, code,
                  "source %s: interface %s does not take an AF_XDP socket: has it a queue %u "
                  "(ethtool -l %s)?%s",
                  s->plan->name, name, queue, name,
                  s->pieces.memory != NULL ? " Frames of more than a page need Linux 6.6, too" : "");
        break;
    case -ENOBUFS:
        error_set(&s->note, code,
                  "source %s: the kernel may not pin its ring's memory for interface %s: give it CAP_IPC_LOCK or a "
                  "larger RLIMIT_MEMLOCK",
                  s->plan->name, name);
        break;
    default:
        error_set(&s->note, code, "source %s: interface %s, queue %u: %s; trying again", s->plan->name, name, queue,
                  strerror(-code));
        break;
    }
}

static int check_ring(const struct source_plan *plan, const struct ring_view *view, struct error *err)
{
    uint32_t offset =
        plan->packet.form == PACKET_ETHERNET ? AFXDP_PAYLOAD_OFFSET_ETHERNET : AFXDP_PAYLOAD_OFFSET_UDP;
    if (view->payload_offset != offset) {
        return error_set(err, -EINVAL, "source %s: its ring has its payload at %u, it needs %u", plan->name,
                         view->payload_offset, offset);
    }
    if (xsk_chunk_bytes(view->slot_bytes) == 0) {
        return error_set(err, -EINVAL, "source %s: its ring has slots of %u bytes; AF_XDP needs at least %u",
                         plan->name, view->slot_bytes, XSK_CHUNK_BYTES_MIN);
    }
    return 0;
}

/* Frames of this source need not fit a page. */
static bool comes_in_pieces(const struct source_plan *plan, const struct ring_view *view)
{
    uint32_t longest = plan->frame_bytes != 0 ? view->payload_offset + plan->frame_bytes : view->slot_bytes;
    return longest > XSK_CHUNK_BYTES_MAX;
}

static int make_pieces(struct afxdp_source *s, struct error *err)
{
    const struct ring_view *view = &s->writer->view;
    size_t bytes = (size_t)s->ahead * XSK_CHUNK_BYTES_MAX;
    size_t spare = view->slot_bytes;
    if (!comes_in_pieces(s->plan, view)) {
        return 0;
    }
    uint8_t *memory =
        mmap(NULL, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        return error_set(err, -errno,
                         "source %s: no memory for %u pages of pieces of frames: %s; fewer descriptors",
                         s->plan->name, s->ahead, strerror(errno));
    }
    s->pieces =
        (struct afxdp_pieces){.memory = memory, .spare = memory + bytes, .room = view->payload_bytes + s->headers};
    return 0;
}

int afxdp_init(struct afxdp_source *source, const struct source_plan *plan, struct ring_writer *writer,
               struct uring *uring, uint64_t user, struct steer *steers, bool sleeps, struct error *err)
{
    struct afxdp_source *s = source;
    *s = (struct afxdp_source){.plan = plan,
                               .writer = writer,
                               .headers = packet_headers(&plan->packet),
                               .uring = uring,
                               .user = user,
                               .interface = {.socket_fd = -1, .missed_fd = -1},
                               .xsk = {.fd = -1},
                               .sleeps = sleeps,
                               .drops = plan->gates > 0 && plan->when_full == WHEN_FULL_DROP};
    int code = check_ring(plan, &writer->view, err);
    if (code == 0) {
        code = interface_open(&s->interface, plan->afxdp.interface, err);
    }
    if (code != 0) {
        return code;
    }
    s->steer = steer_for(steers, PLAN_SOURCES_MAX, plan->afxdp.interface, err);
    if (s->steer == NULL) {
        return -EPERM;
    }
    s->ahead = comes_in_pieces(plan, &writer->view) ? plan->afxdp.descriptors : places_of(s);
    code = make_pieces(s, err);
    if (code != 0) {
        return code;
    }
    ring_writer_take_back(writer);
    uint64_t monotonic_ns = clock_monotonic_ns();
    code = try_open(s, monotonic_ns, clock_tai_ns(writer->view.header->identity.tai_minus_monotonic_ns));
    if (code == -EPERM || code == -EACCES) {
        return error_set(err, code,
                         "source %s: not allowed to open an AF_XDP socket on interface %s: run as root, or with "
                         "CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON",
                         plan->name, plan->afxdp.interface);
    }
    if (code != 0) {
        note_why(s, code);
    } else if (s->steer->generic) {
        error_set(
            &s->note, 0,
            "source %s: the driver of interface %s has no XDP, or not with this MTU: the kernel's generic one "
            "works, for more time per frame",
            plan->name, plan->afxdp.interface);
    }
    return 0;
}

/* Whatever is in the receive ring has been taken. */
static void shut(struct afxdp_source *s, uint64_t tai_ns)
{
    s->ending = false;
    if (s->xsk.fd < 0) {
        return;
    }
    afxdp_count_drops(s);
    xsk_close(&s->xsk);
    ring_writer_take_back(s->writer);
    s->closed_tai_ns = tai_ns;
    ring_count_set(&ledger_of(s)->is_open, 0);
}

void afxdp_fini(struct afxdp_source *source)
{
    if (source->plan != NULL) {
        shut(source, 0);
        interface_close(&source->interface);
        if (source->pieces.memory != NULL) {
            munmap(source->pieces.memory,
                   (size_t)(source->pieces.spare - source->pieces.memory) + source->writer->view.slot_bytes);
            source->pieces.memory = NULL;
        }
    }
}

static void take_all(struct afxdp_source *s, uint64_t tai_ns)
{
    bool more = true;
    for (uint32_t n = 0; n < 2 && more; n++) {
        (void)afxdp_take(s, tai_ns, &more);
    }
}

/* The interface is gone or down. The request on the socket holds it: it is ended first, see afxdp_complete. */
static void end(struct afxdp_source *s, uint64_t tai_ns)
{
    take_all(s, tai_ns);
    if (s->polling) {
        s->ending = s->ending || uring_cancel(s->uring, s->user);
        return;
    }
    ring_count_add(&ledger_of(s)->disconnects, 1);
    shut(s, tai_ns);
}

void afxdp_break(struct afxdp_source *source)
{
    source->broken = true;
    ring_count_set(&ledger_of(source)->open_errno, EPROTO);
}

static void look(struct afxdp_source *s, uint64_t monotonic_ns, uint64_t tai_ns)
{
    unsigned ifindex = s->ifindex;
    if (s->xsk.fd < 0) {
        if (!s->broken) {
            (void)try_open(s, monotonic_ns, tai_ns);
        }
        return;
    }
    int code = interface_find(&s->interface, &ifindex);
    bool gone = !xsk_is_bound(&s->xsk);
    if (gone) {
        steer_detach(s->steer, s->ifindex);
    }
    if (s->broken || gone || code != 0 || ifindex != s->ifindex) {
        end(s, tai_ns);
    } else {
        afxdp_count_drops(s);
    }
}

void afxdp_arm(struct afxdp_source *source, uint64_t monotonic_ns, uint64_t tai_ns)
{
    struct afxdp_source *s = source;
    if (clock_elapsed_ns(s->looked_ns, monotonic_ns) >= LOOK_NS) {
        s->looked_ns = monotonic_ns;
        look(s, monotonic_ns, tai_ns);
    }
    if (s->xsk.fd < 0 || s->broken) {
        return;
    }
    afxdp_hand_out(s, tai_ns); /* what gating readers have released meanwhile */
    if (s->sleeps && !s->polling) {
        s->polling = uring_poll_multishot(s->uring, s->xsk.fd, s->user);
    }
}

void afxdp_complete(struct afxdp_source *source, const struct uring_event *event, uint64_t tai_ns)
{
    struct afxdp_source *s = source;
    s->polling = s->polling && event->more;
    if (event->result > 0 && (event->result & URING_POLL_FAILED) != 0) {
        steer_detach(s->steer, s->ifindex); /* the kernel has taken the interface from the socket: it is gone */
        end(s, tai_ns);
    } else if (s->ending && !s->polling) {
        end(s, tai_ns);
    }
}
