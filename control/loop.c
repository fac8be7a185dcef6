#include "control/loop.h"

#include <string.h>
#include <time.h>

#include "ring/clock.h"

#define FRAMES_PER_CYCLE_MAX 64u
#define SCRUB_BYTES          256u            /* per board period: the whole table about every 0.2 s */
#define RETRY_NS             CLOCK_NS_PER_MS /* a device that refused is asked again */
#define SAFE_PATIENCE_NS     (50 * CLOCK_NS_PER_MS)
#define BOARD_PERIOD_NS      CLOCK_NS_PER_MS
#define GATE_FRESH_NS        CLOCK_NS_PER_S
#define LOOP_LATE_NS         STALL_NS /* beyond its sleep, a gap is worth a line of the log */

#define STACK_BESIDE_BYTES 16384u /* of what else the loop calls */
#define ARRIVALS_MAX       (FRAMES_PER_CYCLE_MAX * CONTROL_RINGS_MAX)

/* The frames whose decisions are timed at the end of the cycle. */
struct arrivals {
    uint32_t count;
    uint32_t oldest_ring; /* of the frame whose decision took longest .. */
    uint64_t oldest_ns;   /* .. TAI, UINT64_MAX: there is none .. */
    uint64_t oldest_position;
    bool is_out[ARRIVALS_MAX]; /* its own decision changed an output: that is timed already */
    uint64_t tai_ns[ARRIVALS_MAX];
    uint64_t seen_tai_ns[ARRIVALS_MAX];
};

static uint64_t tai_of(const struct control_loop *loop, uint64_t monotonic_ns)
{
    return monotonic_ns + (uint64_t)loop->table->tai_minus_monotonic_ns;
}

/* A permit is looked at once more with nothing between it and the system call. What is stopped even then, in the
 * last instructions before the kernel has the datagram, carries the time of its decision: control/output.h says
 * what a receiver does with it. */
static void send_device(struct control_loop *loop, uint32_t index, uint64_t now_ns)
{
    struct loop_device *device = &loop->device[index];
    struct control_board_device *shown = &loop->board->device[index];
    uint32_t ring = loop->table->device[index].acknowledge_ring;
    struct output_message message = {.decided_tai_ns = tai_of(loop, now_ns),
                                     .energised = output_lines(loop->table, index, loop->levels),
                                     .number = device->number++,
                                     .origin = OUTPUT_CONTROL};
    if (ring != 0) {
        message.evaluated = loop->watch.ring[ring - 1].evaluated;
        message.source_sequence = loop->watch.ring[ring - 1].source_sequence;
    }
    if (message.energised != 0 && loop->cycle_ns != 0) {
        /* As old as what it saw, so that two stops too short to be noticed here add up at the receiver. */
        message.decided_tai_ns = tai_of(loop, loop->cycle_ns);
        if (clock_elapsed_ns(loop->cycle_ns, clock_monotonic_ns()) > loop->table->stall_trip_ns) {
            message.energised = 0; /* stopped since it decided, however short before this line: the trip follows */
        }
    }
    device->lines = message.energised;
    int code = output_send(loop->table, index, (int)loop->table->device[index].fd, &message);
    device->last_sent_ns = now_ns;
    if (message.evaluated != device->told) {
        device->told = message.evaluated;
        device->last_told_ns = now_ns;
    }
    device->failed = code != 0;
    if (code == 0) {
        device->last_ok_ns = now_ns;
        ring_count_add(&shown->sent, 1);
    } else {
        ring_count_add(&shown->errors, 1);
    }
    __atomic_store_n(&shown->last_error, (int64_t)-code, __ATOMIC_RELAXED);
    ring_count_set(&shown->evaluated, message.evaluated);
}

enum pass { PASS_FAST, PASS_FILES };

/* How many devices it was sent to. */
static uint32_t send_pass(struct control_loop *loop, uint64_t now_ns, enum pass pass)
{
    uint32_t devices = 0;
    for (uint32_t i = 0; i < loop->table->devices; i++) {
        if ((loop->table->device[i].kind == DEVICE_FILE) == (pass == PASS_FILES)) {
            send_device(loop, i, now_ns);
            devices++;
        }
    }
    return devices;
}

/* Datagrams first: a file may lie on a disk that makes its writer wait. */
static bool send_all(struct control_loop *loop, uint64_t now_ns)
{
    bool all = true;
    (void)send_pass(loop, now_ns, PASS_FAST);
    (void)send_pass(loop, now_ns, PASS_FILES);
    for (uint32_t i = 0; i < loop->table->devices; i++) {
        all = all && !loop->device[i].failed;
    }
    return all;
}

/* What is due: the refresh, and the word of frames evaluated since. */
static bool send_due(struct control_loop *loop, uint64_t now_ns)
{
    bool told = false;
    for (uint32_t i = 0; i < loop->table->devices; i++) {
        const struct control_device *plan = &loop->table->device[i];
        struct loop_device *device = &loop->device[i];
        uint64_t since_ns = clock_elapsed_ns(device->last_sent_ns, now_ns);
        bool news = plan->acknowledge_ring != 0 &&
                    loop->watch.ring[plan->acknowledge_ring - 1].evaluated != device->told &&
                    clock_elapsed_ns(device->last_told_ns, now_ns) >= loop->table->acknowledge_ns;
        bool again = device->failed && since_ns >= RETRY_NS;
        if (news || again || since_ns >= loop->table->refresh_ns) {
            send_device(loop, i, now_ns);
            told = told || news;
        }
    }
    return told;
}

static uint32_t faulty_output(const struct control_loop *loop, uint64_t now_ns)
{
    for (uint32_t i = 0; i < loop->table->devices; i++) {
        if (clock_elapsed_ns(loop->device[i].last_ok_ns, now_ns) > loop->table->output_fault_ns) {
            return i + 1;
        }
    }
    return 0;
}

void loop_init(struct control_loop *loop, const struct control_table *table, struct control_board *board,
               const struct control_mailbox *mailbox, struct control_journal *journal)
{
    memset(loop, 0, sizeof(*loop));
    loop->measures = true;
    loop->table = table;
    loop->board = board;
    loop->mailbox = mailbox;
    loop->watch.table = table;
    loop->scrub_hash = CONTROL_TABLE_HASH_START;
    loop->scrub_at = offsetof(struct control_table, checksum);
    engine_init(&loop->state);
    evidence_init(&loop->evidence, board, journal);
    loop->state.trips = board->trips; /* the count outlives a control process */
    if (board->died_armed != 0) {
        loop->state.start_cause = CAUSE_CONTROL_DIED;
        board->died_armed = 0;
    }
    uint64_t now_ns = clock_monotonic_ns();
    loop->started_ns = now_ns;
    watchdog_init(&loop->watchdog, table->watchdog_ns != 0 ? (int)table->watchdog_fd : -1, table->watchdog_ns);
    for (uint32_t i = 0; i < CONTROL_DEVICES_MAX; i++) {
        loop->device[i].last_ok_ns = now_ns;
    }
    /* A command left for a control process that died is not ours to carry out. */
    loop->seen_word = __atomic_load_n(&mailbox->word, __ATOMIC_ACQUIRE);
    board->hop[HOP_ARRIVAL_TO_DECIDED].limit_ns = table->late_ns;
    board->hop[HOP_ARRIVAL_TO_OUTPUT].limit_ns = table->late_ns;
    board->hop[HOP_LOOP].limit_ns = table->cycle_budget_ns;
    uint64_t loop_late_ns =
        LOOP_LATE_NS + (table->thread.idle != IDLE_BUSY ? table->thread.sleep_us * CLOCK_NS_PER_US : 0);
    late_init(&loop->late, &board->late, table->late_ns,
              loop_late_ns < table->cycle_budget_ns ? loop_late_ns : table->cycle_budget_ns);
    /* A replay begins here, or goes on here after a control process that died: before the first step. */
    loop->inputs.now_ns = tai_of(loop, now_ns);
    evidence_checkpoint(&loop->evidence, &loop->inputs, &loop->state, now_ns);
    send_all(loop, now_ns);
}

static void step(struct control_loop *loop, enum journal_kind kind, uint32_t ring)
{
    engine_step(loop->table, &loop->state, &loop->inputs, &loop->outputs);
    loop->kind = kind;
    loop->from_ring = ring;
}

static void tell(struct control_loop *loop)
{
    evidence_step(&loop->evidence, &loop->inputs, &loop->state, &loop->outputs, loop->kind, &loop->watch,
                  loop->from_ring);
}

/* Stopped since it looked: never energise on what it saw then. When that was found out. */
static uint64_t decide_anew_if_stopped(struct control_loop *loop)
{
    uint64_t now_ns = clock_monotonic_ns();
    if ((loop->outputs.energised & ~loop->energised) != 0 &&
        clock_elapsed_ns(loop->cycle_ns, now_ns) > loop->table->stall_trip_ns) {
        tell(loop);
        loop->inputs.deadline_missed = 1;
        loop->now_ns = now_ns; /* the rest of the cycle goes by this as well: time must not go back */
        loop->inputs.now_ns = tai_of(loop, now_ns);
        step(loop, JOURNAL_DEADLINE, 0);
    }
    return now_ns;
}

/* Decides on the inputs as they are. On a change of the outputs they go out at once, before anything else. Files go
 * last: the disk of one may hang, and the decision must have been told by then. */
static void decide(struct control_loop *loop, enum journal_kind kind, uint32_t ring)
{
    loop->inputs.now_ns = tai_of(loop, loop->now_ns);
    step(loop, kind, ring);
    if (loop->outputs.energised == loop->energised) {
        tell(loop);
        return;
    }
    uint64_t now_ns = decide_anew_if_stopped(loop);
    loop->energised = loop->outputs.energised;
    loop->levels = heartbeat_step(loop->table, &loop->heartbeat, loop->energised, now_ns, false);
    evidence_permit(&loop->evidence, &loop->state);
    (void)send_pass(loop, now_ns, PASS_FAST);
    loop->decided_ns = now_ns;
    loop->sent_ns = loop->measures ? clock_monotonic_ns() : 0;
    loop->board_ns = 0; /* the board is due: whoever sees the valve move may ask why */
    tell(loop);
    if (send_pass(loop, now_ns, PASS_FILES) > 0 && loop->measures) {
        loop->sent_ns = clock_monotonic_ns();
    }
}

static void measure(struct control_loop *loop, enum control_hop hop, uint64_t from_ns, uint64_t to_ns)
{
    hist_record(&loop->board->hop[hop], clock_elapsed_ns(from_ns, to_ns));
}

/* A frame that has been decided on. What it changed went out at once. */
static void note_frame(struct control_loop *loop, uint32_t ring, struct arrivals *arrivals, uint64_t seen_tai_ns)
{
    uint64_t arrival_ns = loop->watch.ring[ring].arrival_tai_ns;
    uint32_t n = arrivals->count++;
    arrivals->tai_ns[n] = arrival_ns;
    arrivals->seen_tai_ns[n] = seen_tai_ns;
    arrivals->is_out[n] = loop->sent_ns != 0;
    measure(loop, HOP_ARRIVAL_TO_SEEN, arrival_ns, seen_tai_ns);
    if (arrivals->is_out[n]) {
        measure(loop, HOP_ARRIVAL_TO_OUTPUT, arrival_ns, tai_of(loop, loop->sent_ns));
        measure(loop, HOP_DECIDED_TO_OUTPUT, loop->decided_ns, loop->sent_ns);
    }
    if (arrival_ns < arrivals->oldest_ns) {
        arrivals->oldest_ns = arrival_ns;
        arrivals->oldest_ring = ring;
        arrivals->oldest_position = loop->watch.position;
    }
}

/* The newest frame that was taken, when all have been decided on: no decision waits for the writer's line. One that
 * was published after the cycle's look at the clock was seen by now at the latest. */
static void note_publish(struct control_loop *loop, uint32_t ring, uint64_t position, uint64_t seen_ns)
{
    const struct ring_header *header = loop->watch.ring[ring].reader.view.header;
    uint64_t published_ns = ring_newest_ns(header, position, seen_ns);
    if (published_ns != 0) {
        measure(loop, HOP_PUBLISH_TO_SEEN, published_ns, published_ns > seen_ns ? clock_monotonic_ns() : seen_ns);
    }
}

static enum journal_kind journal_kind_of(enum watch_result result)
{
    return result == WATCH_FRAME ? JOURNAL_FRAME : result == WATCH_GAP ? JOURNAL_GAP : JOURNAL_OVERRUN;
}

static uint32_t take_ring(struct control_loop *loop, uint32_t ring, struct arrivals *arrivals)
{
    uint32_t frames = 0;
    enum watch_result last = WATCH_NOTHING;
    uint64_t seen_ns = loop->now_ns;
    for (; frames < FRAMES_PER_CYCLE_MAX; frames++) {
        enum watch_result result = watch_next(&loop->watch, ring, &loop->inputs);
        if (result == WATCH_NOTHING) {
            break;
        }
        last = result;
        uint64_t arrival_ns = loop->watch.ring[ring].arrival_tai_ns;
        __builtin_prefetch(&loop->watch.ring[ring].reader.view.header->progress.published);
        if (arrival_ns > tai_of(loop, loop->now_ns)) {
            loop->now_ns = clock_monotonic_ns(); /* it came after the cycle began */
        }
        seen_ns = loop->now_ns;
        loop->sent_ns = 0;
        decide(loop, journal_kind_of(result), ring);
        if (result == WATCH_FRAME && loop->measures) {
            note_frame(loop, ring, arrivals, tai_of(loop, seen_ns));
        }
    }
    if (last == WATCH_FRAME && loop->measures) {
        note_publish(loop, ring, loop->watch.position, seen_ns);
    }
    return frames;
}

/* Frames that were seen at one time are one entry. */
static void account(struct control_loop *loop, const uint64_t *from_tai_ns, uint32_t count, enum control_hop hop,
                    uint64_t now_ns)
{
    uint64_t now_tai_ns = tai_of(loop, now_ns);
    for (uint32_t i = 0; i < count;) {
        uint32_t first = i++;
        while (i < count && from_tai_ns[i] == from_tai_ns[first]) {
            i++;
        }
        hist_record_n(&loop->board->hop[hop], clock_elapsed_ns(from_tai_ns[first], now_tai_ns), i - first);
    }
}

/* Of the frames of which word has been sent at the end of their cycle. */
static void account_output(struct control_loop *loop, const struct arrivals *arrivals, uint64_t decided_ns)
{
    uint64_t sent_ns = clock_monotonic_ns();
    uint32_t frames = 0;
    for (uint32_t i = 0; i < arrivals->count; i++) {
        if (!arrivals->is_out[i]) {
            measure(loop, HOP_ARRIVAL_TO_OUTPUT, arrivals->tai_ns[i], tai_of(loop, sent_ns));
            frames++;
        }
    }
    hist_record_n(&loop->board->hop[HOP_DECIDED_TO_OUTPUT], clock_elapsed_ns(decided_ns, sent_ns), frames);
}

/* All of a cycle's frames are decided when it ends: the oldest is the one that took longest. */
static void note_late(struct control_loop *loop, const struct arrivals *arrivals, uint64_t decided_ns)
{
    // cppcheck-suppress ctuuninitvar ; loop_cycle() has set it
    if (arrivals->oldest_ns != UINT64_MAX) {
        uint64_t from_ns = arrivals->oldest_ns - (uint64_t)loop->table->tai_minus_monotonic_ns;
        late_look(&loop->late, LATE_DECISION, from_ns, decided_ns, arrivals->count, arrivals->oldest_ring,
                  arrivals->oldest_position);
    }
    late_turn(&loop->late, decided_ns);
}

/* Hashes the table over and over, a small piece at a time: a flipped bit in it is a failed self-test, for good. */
static void scrub(struct control_loop *loop)
{
    size_t end =
        loop->scrub_at + SCRUB_BYTES < sizeof(*loop->table) ? loop->scrub_at + SCRUB_BYTES : sizeof(*loop->table);
    loop->scrub_hash = control_table_hash_part(loop->table, loop->scrub_hash, loop->scrub_at, end);
    loop->scrub_at = end;
    if (end == sizeof(*loop->table)) {
        loop->inputs.self_test_bad = loop->inputs.self_test_bad != 0 || loop->scrub_hash != loop->table->hash;
        loop->scrub_hash = CONTROL_TABLE_HASH_START;
        loop->scrub_at = offsetof(struct control_table, checksum);
    }
}

/* The loop measures its own gap by the clock, not by a nominal period. */
static void look_at_own_gap(struct control_loop *loop, uint64_t now_ns)
{
    uint64_t gap_ns = loop->cycle_ns != 0 ? clock_elapsed_ns(loop->cycle_ns, now_ns) : 0;
    bool missed = gap_ns > loop->table->cycle_budget_ns;
    loop->inputs.deadline_missed = (missed && loop->table->miss_trips != 0) || gap_ns > loop->table->stall_trip_ns;
    if (loop->cycle_ns != 0 && loop->measures) {
        hist_record(&loop->board->hop[HOP_LOOP], gap_ns);
        late_look(&loop->late, LATE_LOOP, loop->cycle_ns, now_ns, loop->frames, 0, 0);
    }
    if (missed) {
        ring_count_add(&loop->board->misses, 1);
        ring_count_set(&loop->board->last_miss_ns, now_ns);
    }
    if (gap_ns > loop->evidence.period_max_ns) {
        loop->evidence.period_max_ns = gap_ns;
    }
    if (gap_ns > loop->board->worst_gap_ns) {
        ring_count_set(&loop->board->worst_gap_ns, gap_ns);
    }
    loop->cycle_ns = now_ns;
    loop->now_ns = now_ns;
}

/* Stopped in the middle of the cycle: what was decided is old, and must not go out as if it were new. */
static void look_inside_cycle(struct control_loop *loop, uint64_t decided_ns)
{
    uint64_t took_ns = clock_elapsed_ns(loop->cycle_ns, decided_ns);
    if (took_ns > loop->table->stall_trip_ns ||
        (took_ns > loop->table->cycle_budget_ns && loop->table->miss_trips != 0)) {
        loop->inputs.deadline_missed = 1;
        loop->now_ns = decided_ns;
        decide(loop, JOURNAL_DEADLINE, 0);
    }
}

/* Control alone still trips on a demand, but nobody would make the outputs safe if it died now. No check of the
 * gate, which may be waived. Before its first word the supervisor has been silent since our start. */
static void look_at_supervisor(struct control_loop *loop, uint64_t word)
{
    uint64_t said_ns = word >> MAILBOX_GATE_BITS << MAILBOX_GATE_BITS;
    uint64_t heard_ns = said_ns > loop->started_ns ? said_ns : loop->started_ns;
    loop->inputs.supervisor_silent =
        clock_elapsed_ns(heard_ns, loop->cycle_ns) > loop->table->supervisor_silence_ns;
}

/* Of the gate's checks one is ours: how the loop itself has kept time. The others are the supervisor's word, which
 * is believed while it is fresh: silence is no pass. */
static void look_at_gate(struct control_loop *loop)
{
    uint64_t word = __atomic_load_n(&loop->mailbox->gate, __ATOMIC_ACQUIRE);
    uint64_t said = word >> MAILBOX_GATE_BITS;
    uint64_t now = loop->cycle_ns >> MAILBOX_GATE_BITS;
    uint64_t since_ns = loop->board->last_miss_ns > loop->started_ns ? loop->board->last_miss_ns : loop->started_ns;
    uint32_t passed = 0;
    look_at_supervisor(loop, word);
    /* It may have been said after this cycle began. */
    uint64_t apart = now > said ? now - said : said - now;
    if (word != 0 && apart <= GATE_FRESH_NS >> MAILBOX_GATE_BITS) {
        passed = (uint32_t)(word & GATE_ALL) & ~(uint32_t)GATE_LATENCY;
        loop->others_fresh = (word & MAILBOX_WORKERS_FRESH) != 0;
    } else {
        loop->others_fresh = false;
    }
    if (clock_elapsed_ns(since_ns, loop->cycle_ns) >= loop->table->gate_latency_ns) {
        passed |= GATE_LATENCY;
    }
    loop->inputs.gate_passed = passed;
}

/* The operands belong to the word only if they carry its ticket. */
static void take_command(struct control_loop *loop, uint64_t word)
{
    uint64_t ticket = word >> MAILBOX_COMMAND_BITS;
    const struct control_operand *operand = &loop->mailbox->operand[ticket % CONTROL_OPERANDS];
    bool own = operand->ticket == ticket;
    loop->inputs.command = (uint32_t)(word & MAILBOX_COMMAND_MASK);
    loop->inputs.command_index = own ? operand->index : CONTROL_RULES_MAX;
    loop->inputs.command_ns = own ? operand->duration_ns : 0;
}

/* The level falls between two commands, so that each has its edge. */
static bool obey(struct control_loop *loop)
{
    uint64_t word = __atomic_load_n(&loop->mailbox->word, __ATOMIC_ACQUIRE);
    bool asked = word != loop->seen_word;
    loop->inputs.command = COMMAND_NONE;
    if (asked && loop->state.previous_command != COMMAND_NONE) {
        decide(loop, JOURNAL_IDLE, 0);
    }
    if (asked) {
        take_command(loop, word);
        loop->seen_word = word;
    }
    decide(loop, asked ? JOURNAL_COMMAND : JOURNAL_IDLE, 0);
    if (asked) {
        loop->board->answer = loop->outputs.answer;
    }
    return asked;
}

/* The end of a complete cycle: the charge pump gets its edge if the cycle was in time. When that was. */
static uint64_t beat(struct control_loop *loop, bool in_time)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint32_t levels = heartbeat_step(loop->table, &loop->heartbeat, loop->energised, now_ns, in_time);
    if (levels == loop->levels) {
        return now_ns;
    }
    loop->levels = levels;
    ring_count_set(&loop->board->heartbeats, loop->heartbeat.toggles);
    for (uint32_t i = 0; i < loop->table->devices; i++) {
        if (output_lines(loop->table, i, levels) != loop->device[i].lines) {
            send_device(loop, i, now_ns);
        }
    }
    return now_ns;
}

uint32_t loop_cycle(struct control_loop *loop)
{
    struct arrivals arrivals;
    uint32_t frames = 0;
    arrivals.count = 0;
    arrivals.oldest_ns = UINT64_MAX;
    look_at_own_gap(loop, clock_monotonic_ns());
    look_at_gate(loop);
    loop->inputs.output_fault = faulty_output(loop, loop->cycle_ns);
    loop->inputs.command = COMMAND_NONE;
    for (uint32_t i = 0; i < loop->table->rings; i++) {
        frames += take_ring(loop, i, &arrivals);
    }
    bool asked = obey(loop);
    uint64_t decided_ns = clock_monotonic_ns();
    look_inside_cycle(loop, decided_ns);
    account(loop, arrivals.tai_ns, arrivals.count, HOP_ARRIVAL_TO_DECIDED, decided_ns);
    account(loop, arrivals.seen_tai_ns, arrivals.count, HOP_SEEN_TO_DECIDED, decided_ns);
    note_late(loop, &arrivals, decided_ns);
    if (send_due(loop, decided_ns) && arrivals.count > 0) {
        account_output(loop, &arrivals, decided_ns);
    }
    if (asked || clock_elapsed_ns(loop->board_ns, loop->cycle_ns) >= BOARD_PERIOD_NS) {
        evidence_snapshot(&loop->evidence, loop->table, &loop->inputs, &loop->state, loop->watch.overruns);
        loop->board_ns = loop->cycle_ns;
        scrub(loop);
    }
    if (asked) {
        uint64_t ticket = loop->seen_word >> MAILBOX_COMMAND_BITS;
        __atomic_store_n(&loop->board->answered_ticket, ticket, __ATOMIC_RELEASE);
    }
    evidence_checkpoint(&loop->evidence, &loop->inputs, &loop->state, loop->cycle_ns);
    bool in_time = clock_elapsed_ns(loop->cycle_ns, clock_monotonic_ns()) <= loop->table->cycle_budget_ns &&
                   loop->inputs.deadline_missed == 0;
    uint64_t end_ns = beat(loop, in_time);
    if ((frames > 0 || asked) && loop->measures) {
        measure(loop, HOP_BUSY, loop->cycle_ns, end_ns);
    }
    watchdog_pet(&loop->watchdog, decided_ns, in_time && loop->others_fresh);
    board_beat(&loop->board->common, decided_ns);
    loop->frames = frames;
    return frames;
}

void loop_idle(struct control_loop *loop)
{
    const struct thread_plan *plan = &loop->table->thread;
    struct timespec sleep = {.tv_nsec = (long)plan->sleep_us * 1000};
    if (plan->idle == IDLE_BUSY) {
        return;
    }
    if (plan->idle == IDLE_DUTY) {
        uint64_t now_ns = clock_monotonic_ns();
        if (clock_elapsed_ns(loop->spin_since_ns, now_ns) < plan->spin_us * CLOCK_NS_PER_US) {
            return;
        }
        clock_nanosleep(CLOCK_MONOTONIC, 0, &sleep, NULL);
        loop->spin_since_ns = clock_monotonic_ns();
        return;
    }
    clock_nanosleep(CLOCK_MONOTONIC, 0, &sleep, NULL);
}

void loop_safe(struct control_loop *loop)
{
    struct timespec pause = {.tv_nsec = (long)RETRY_NS};
    uint64_t from_ns = clock_monotonic_ns();
    loop->energised = 0;
    loop->levels = 0;
    while (!send_all(loop, clock_monotonic_ns()) &&
           clock_elapsed_ns(from_ns, clock_monotonic_ns()) < SAFE_PATIENCE_NS) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
}

/* The first burst must not be the first to touch the stack that it needs: no page fault on the way to the valve. */
__attribute__((noinline)) static void fault_stack_in(void)
{
    volatile uint8_t stack[sizeof(struct arrivals) + STACK_BESIDE_BYTES];
    for (size_t i = 0; i < sizeof(stack); i += 4096) {
        stack[i] = 0;
    }
}

void loop_run(struct control_loop *loop, const volatile sig_atomic_t *stop, const volatile sig_atomic_t *orphaned)
{
    fault_stack_in();
    while (*stop == 0) {
        loop_cycle(loop);
        loop_idle(loop);
    }
    loop_safe(loop);
    if (orphaned == NULL || *orphaned == 0) {
        watchdog_release(&loop->watchdog); /* an orderly stop; whoever dies leaves it running */
    }
    loop->state.code = ENGINE_TRIPPED;
    loop->state.energised = 0;
    evidence_snapshot(&loop->evidence, loop->table, &loop->inputs, &loop->state, loop->watch.overruns);
}
