#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daq/blackbox.h"
#include "ring/clock.h"

#define ENTRIES_PER_MS       64u /* steps that a replay needs; more than that a loop hardly takes */
#define ENTRIES_MIN          (UINT64_C(1) << 14)
#define ENTRIES_MAX          (UINT64_C(1) << 20)
#define SAFE_BEHIND          (CONTROL_JOURNAL - 64u) /* as struct control_journal says */
#define CHECKPOINTS_PER_SPAN 8u

int blackbox_memory_init(struct blackbox_memory *memory, uint64_t span_ns, uint64_t bytes_max, struct error *err)
{
    uint64_t most = bytes_max / sizeof(struct journal_entry);
    *memory = (struct blackbox_memory){.room = span_ns / CLOCK_NS_PER_MS * ENTRIES_PER_MS,
                                       .apart_ns = span_ns / CHECKPOINTS_PER_SPAN,
                                       .span_ns = span_ns};
    memory->room = memory->room < ENTRIES_MIN ? ENTRIES_MIN : memory->room;
    memory->room = memory->room > most ? most : memory->room;
    memory->room = memory->room > ENTRIES_MAX ? ENTRIES_MAX : memory->room;
    memory->entry = calloc(memory->room, sizeof(*memory->entry));
    memory->checkpoint = calloc(BLACKBOX_CHECKPOINTS, sizeof(*memory->checkpoint));
    if (memory->entry == NULL || memory->checkpoint == NULL) {
        blackbox_memory_fini(memory);
        return error_set(err, -ENOMEM, "no memory for the journal of the last %llu ms; set a shorter pre_ms",
                         (unsigned long long)(span_ns / CLOCK_NS_PER_MS));
    }
    return 0;
}

void blackbox_memory_fini(struct blackbox_memory *memory)
{
    free(memory->entry);
    free(memory->checkpoint);
    memory->entry = NULL;
    memory->checkpoint = NULL;
}

/* An entry that is all zero stands for one that was overwritten before we came to it. */
static void keep_entry(struct blackbox_memory *memory, const struct journal_entry *entry)
{
    memory->entry[memory->to % memory->room] = entry != NULL ? *entry : (struct journal_entry){.now_ns = 0};
    memory->to++;
    if (memory->to - memory->from > memory->room) {
        memory->from = memory->to - memory->room;
    }
    if (entry == NULL) {
        memory->lost++;
        memory->whole_from = memory->to;
    }
}

static void lose_until(struct blackbox_memory *memory, uint64_t number)
{
    if (number - memory->to > memory->room) { /* all that is kept goes with it */
        memory->lost += number - memory->to - memory->room;
        memory->to = number - memory->room;
    }
    while (memory->to < number) {
        keep_entry(memory, NULL);
    }
}

static uint64_t safe_from(uint64_t count)
{
    return count > SAFE_BEHIND ? count - SAFE_BEHIND : 0;
}

static void drain_journal(struct blackbox_memory *memory, const struct control_journal *journal)
{
    if (__atomic_load_n(&journal->magic, __ATOMIC_ACQUIRE) != CONTROL_JOURNAL_MAGIC) {
        return; /* control has not begun it yet */
    }
    uint64_t count = __atomic_load_n(&journal->count, __ATOMIC_ACQUIRE);
    bool first_time = !memory->begun;
    memory->begun = true;
    if (first_time) { /* what went before is not lost: there was nobody, or one who read it and was killed */
        memory->from = memory->to = memory->whole_from = safe_from(count);
    }
    if (count < memory->to) { /* begun anew: nothing of before belongs to it */
        memory->from = memory->to = memory->whole_from = count;
        memory->checkpoints = 0;
        return;
    }
    if (memory->to < safe_from(count)) {
        lose_until(memory, safe_from(count));
    }
    uint64_t first = memory->to;
    while (memory->to < count) {
        struct journal_entry copy = journal->entry[memory->to % CONTROL_JOURNAL];
        keep_entry(memory, &copy);
    }
    /* What the writer may have come round to while we copied is not what it was. */
    ring_reads_before();
    uint64_t safe = safe_from(__atomic_load_n(&journal->count, __ATOMIC_ACQUIRE));
    if (first_time) {
        uint64_t there = safe < count ? safe : count;
        memory->from = there > memory->from ? there : memory->from;
        memory->whole_from = memory->from;
        return;
    }
    for (uint64_t n = first; n < safe && n < count; n++) {
        memset(&memory->entry[n % memory->room], 0, sizeof(struct journal_entry));
        memory->lost++;
        memory->whole_from = n + 1;
    }
}

/* A consistent copy of a newer one than `seen`, or false. */
static bool copy_checkpoint(const struct control_checkpoint *from, uint64_t seen, struct control_checkpoint *to)
{
    uint64_t before = __atomic_load_n(&from->number, __ATOMIC_ACQUIRE);
    if (before == seen || before == 0 || (before & 1) != 0) {
        return false;
    }
    memcpy(to, from, sizeof(*to));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    to->number = before;
    return __atomic_load_n(&from->number, __ATOMIC_RELAXED) == before;
}

static void drop_oldest(struct blackbox_memory *memory)
{
    memory->checkpoints--;
    memmove(memory->checkpoint, memory->checkpoint + 1, memory->checkpoints * sizeof(*memory->checkpoint));
}

/* Not every one: they may come often. One of a control process that has started anew is kept in any case. */
static void keep_checkpoint(struct blackbox_memory *memory, const struct control_checkpoint *copy)
{
    const struct control_checkpoint *last =
        memory->checkpoints > 0 ? &memory->checkpoint[memory->checkpoints - 1] : NULL;
    bool anew = last != NULL && copy->state.steps <= last->state.steps;
    if (last != NULL && !anew && copy->tai_ns - last->tai_ns < memory->apart_ns) {
        return;
    }
    while (memory->checkpoints > 1 && copy->tai_ns > memory->span_ns &&
           memory->checkpoint[1].tai_ns < copy->tai_ns - memory->span_ns) {
        drop_oldest(memory);
    }
    if (memory->checkpoints == BLACKBOX_CHECKPOINTS) {
        drop_oldest(memory);
    }
    memory->checkpoint[memory->checkpoints++] = *copy;
}

static void drain_checkpoints(struct blackbox_memory *memory, const struct control_board *board)
{
    static struct control_checkpoint copy;
    uint32_t older = board->checkpoint[1].tai_ns < board->checkpoint[0].tai_ns ? 1 : 0;
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t which = i == 0 ? older : 1 - older;
        if (copy_checkpoint(&board->checkpoint[which], memory->seen[which], &copy)) {
            memory->seen[which] = copy.number;
            keep_checkpoint(memory, &copy);
        }
    }
}

void blackbox_memory_drain(struct blackbox_memory *memory, const struct control_journal *journal,
                           const struct control_board *board)
{
    drain_journal(memory, journal);
    drain_checkpoints(memory, board);
    drain_journal(memory, journal); /* what a checkpoint builds on is there, too */
}

const struct journal_entry *blackbox_memory_entry(const struct blackbox_memory *memory, uint64_t number)
{
    return number >= memory->from && number < memory->to ? &memory->entry[number % memory->room] : NULL;
}

int blackbox_memory_start(const struct blackbox_memory *memory, uint64_t tai_ns)
{
    uint64_t whole = memory->whole_from > memory->from ? memory->whole_from : memory->from;
    int start = -1;
    for (uint32_t i = 0; i < memory->checkpoints; i++) {
        const struct control_checkpoint *c = &memory->checkpoint[i];
        if (c->journal >= whole && c->journal <= memory->to && (start < 0 || c->tai_ns <= tai_ns)) {
            start = (int)i;
        }
    }
    return start;
}
