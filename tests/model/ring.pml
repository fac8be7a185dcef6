/* The ring's protocol (ring/layout.h, ring/writer.h, ring/reader.h and the gate) for spin: every interleaving, within
 * the bounds. tests/model/run runs it, README.md says in plain words what is checked and how to run one by hand.
 *
 * Processes: a writer that may be killed before any store and is replaced; an observer; a gating reader that may die;
 * the server that opens and closes the gate.
 *
 * Kept:       one step is one access to shared memory; any other process may act in between. Positions are not
 *             folded; slot = position % N. The payload is two words, written and read one by one.
 * Abstracted: - Readers load in program order (acquire loads; x86-64). Stores of the writer are seen at once, or with
 *               -DBUFFER through a store buffer of three: first in first out (x86-64), or with -DREORDERED in any
 *               order but for the same word, a release store (behind all before it) and the exchange (empties it).
 *             - A dead writer stores nothing more once the next one attaches: its store buffer is empty, and neither
 *               kernel nor device still fills a slot for it.
 *             - Polling is waiting until the polled words can make a difference: so no run is endless, and spin's
 *               search for cycles shows it.
 *             - The deadline of the gate may pass whenever the gate blocks. Batches have one frame. One gate.
 *             - A second reader of the gate comes only after the first is gone, and finds its position word as left.
 */
#ifndef N
#define N 2 /* slots */
#endif
#ifndef LAST
#define LAST 5 /* frames to write */
#endif
#ifndef CHUNK
#define CHUNK 1 /* slots claimed at a time */
#endif
#ifndef CRASHES
#define CRASHES 1 /* deaths of the writer */
#endif
#ifndef READERS
#define READERS 1 /* readers of the gate, one after the other; 0: the gate is never opened */
#endif
/* Switches: OBSERVER there is one. DEADLINE the gate may be left behind. DIES, STALLS what a gating reader may do.
 * EVICT the server may close the gate of a living reader. HOSTILE the gating reader stores anything. BUFFER,
 * REORDERED the writer's stores, see above. MUTANT_* one fault each. */

/* What the writer writes, but for the slots: one word each. */
#define CLAIMED   0
#define PUBLISHED 1
#define STATUS    2 /* generation * 4 + state */
#define BASE      3 /* first position that the gate protects */
#define SEQUENCE(p) (4 + (p) % N)
#define ONE(p)      (4 + N + (p) % N)
#define TWO(p)      (4 + 2 * N + (p) % N)
byte mem[4 + 3 * N];

/* States of the gate. */
#define NONE    0
#define GATING  1
#define DEMOTED 2
#define STATE_OF(status)      ((status) & 3)
#define GENERATION_OF(status) ((status) >> 2)

byte active_word;   /* by the server: generation * 2 + open */
byte gate_position; /* by the gating reader */
#define OPEN(word) ((word) & 1)
#define GENERATION_OF_WORD(word) ((word) >> 1)
#define GATE_STANDS(generation) \
    (mem[STATUS] == (generation) * 4 + GATING && active_word == (generation) * 2 + 1)
#define AT_LEAST(value, least) ((value) < (least) -> (least) : (value))

/* Not in the program: what is known from outside. */
byte crashes = CRASHES;
byte life_of[LAST];  /* life of the writer that published a position; 0: not published */
bit writer_done;
bit gone[READERS + 1]; /* by generation: the reader has let go of the gate's position word */
#define WORD(p) ((p) * 4 + life_of[p])

/* An assertion by name: the names are 0 always, and are there to be in spin's message. */
hidden byte whole_frame, exact_accounting, claim_covers_position, gate_keeps_slots, demoted_before_overrun,
    published_once, honest_reader_kept, jump_goes_forward;
#define INVARIANT(name, condition) assert((condition) || name)

/* ---- The writer's stores. It may die before each; between two stores nobody could tell. */

inline may_die()
{
    if
    :: crashes > 0 -> crashes--; goto died
    :: true
    fi
}

#ifdef BUFFER
#define BUFFERED 3
byte held, held_at[BUFFERED], held_value[BUFFERED];
bit held_release[BUFFERED];
#define ALL_VISIBLE (held == 0)

inline hold(at, value, release)
{
    atomic {
        held < BUFFERED ->
        may_die();
        held_at[held] = at;
        held_value[held] = value;
        held_release[held] = release;
        held++
    }
}

/* Entry i may become visible before an older one. */
#define MAY_PASS(i, older) (held > i && !held_release[i] && held_at[i] != held_at[older])

inline drain_one(i)
{
    mem[held_at[i]] = held_value[i];
    j = i;
    do
    :: j + 1 < held ->
        held_at[j] = held_at[j + 1];
        held_value[j] = held_value[j + 1];
        held_release[j] = held_release[j + 1];
        j++
    :: else -> break
    od;
    held--;
    held_at[held] = 0;
    held_value[held] = 0;
    held_release[held] = 0;
    j = 0
}

active proctype store_buffer()
{
    byte j;
end:
    do
    :: d_step { held > 0 -> drain_one(0) }
#ifdef REORDERED
    :: d_step { MAY_PASS(1, 0) -> drain_one(1) }
    :: d_step { MAY_PASS(2, 0) && MAY_PASS(2, 1) -> drain_one(2) }
#endif
    od
}

#define put(at, value)         hold(at, value, 0)
#define put_release(at, value) hold(at, value, 1)
#else
#define ALL_VISIBLE true
#define put(at, value)         atomic { may_die(); mem[at] = value }
#define put_release(at, value) put(at, value)
#endif

/* A locked instruction: all earlier stores are visible before it, all later ones after it. */
#ifdef MUTANT_RELEASE_CLAIM
#define exchange(at, value) put_release(at, value)
#else
#define exchange(at, value) atomic { ALL_VISIBLE -> may_die(); mem[at] = value }
#endif

/* ---- The writer. */

inline forget()
{
    next = 0;
    claimed = 0;
    limit = 0;
    status = 0;
    base = 0;
    seen = 0
}

/* Nobody else stores what is read here, so it is one step. */
inline attach()
{
    next = mem[PUBLISHED];
#ifndef MUTANT_NO_SCAN
    do
    :: next < mem[PUBLISHED] + N && mem[SEQUENCE(next)] == next + 1 -> next++
    :: else -> break
    od;
#endif
    claimed = AT_LEAST(mem[CLAIMED], next);
    status = mem[STATUS];
    base = mem[BASE];
#ifdef MUTANT_GATE_FORGOTTEN
    status = (status & ~3) | DEMOTED;
#endif
    limit = next /* look at the gate before anything is claimed */
}

inline demote()
{
#ifdef MUTANT_LATE_DEMOTE
    late = 1;
    status = (status & ~3) | DEMOTED;
#else
    atomic { status = (status & ~3) | DEMOTED; seen = 0 }
    put_release(STATUS, status);
#endif
    limit = next + 1
}

inline join()
{
    atomic { base = next; status = GENERATION_OF_WORD(seen) * 4 + GATING; seen = 0 }
    put(BASE, base);
    put_release(STATUS, status);
    INVARIANT(gate_keeps_slots, claimed - base <= N);
#ifdef MUTANT_STALE_LIMIT
    limit = LAST + N
#else
    limit = base + N
#endif
}

/* Where the gate lets the writer go; a position below the base is one not yet stored by this reader. */
#define LIMIT (AT_LEAST(gate_position, base) + N)

inline obey()
{
    if
    :: atomic { gate_position > next ->
#ifndef HOSTILE
            INVARIANT(honest_reader_kept, false)
#endif
        };
        demote()
#ifdef MUTANT_BELOW_BASE
    :: atomic { gate_position < base -> INVARIANT(honest_reader_kept, false) };
        demote()
#endif
    :: atomic { gate_position <= next && LIMIT > next -> limit = LIMIT; seen = 0 }
#ifndef MUTANT_DEAD_GATE
    :: active_word != seen -> seen = 0 /* closed while we wait: look again */
#endif
#ifdef DEADLINE
    :: atomic { gate_position <= next && LIMIT <= next }; demote()
#endif
    fi
}

inline look_at_gate()
{
    seen = active_word;
    if
    :: !OPEN(seen) && STATE_OF(status) == GATING ->
        status = status & ~3;
        seen = 0;
        put_release(STATUS, status);
        limit = next + 1
    :: !OPEN(seen) && STATE_OF(status) != GATING -> limit = next + 1; seen = 0
    :: OPEN(seen) && GENERATION_OF_WORD(seen) != GENERATION_OF(status) -> join()
    :: OPEN(seen) && GENERATION_OF_WORD(seen) == GENERATION_OF(status) && STATE_OF(status) != GATING ->
        limit = next + 1;
        seen = 0
    :: OPEN(seen) && GENERATION_OF_WORD(seen) == GENERATION_OF(status) && STATE_OF(status) == GATING -> obey()
    fi
}

inline claim()
{
    if
    :: next == claimed ->
        atomic {
            claimed = next + CHUNK;
#ifndef MUTANT_UNCLIPPED_CLAIM
            if
            :: STATE_OF(status) == GATING && claimed > limit -> claimed = limit
            :: else
            fi
#endif
        };
        exchange(CLAIMED, claimed)
    :: else
    fi
}

/* Outside sees the gate and the claim at once when the exchange is over. */
inline check_claim()
{
#ifndef HOSTILE
    INVARIANT(gate_keeps_slots, STATE_OF(mem[STATUS]) != GATING || !GATE_STANDS(GENERATION_OF(mem[STATUS])) ||
              mem[CLAIMED] - AT_LEAST(gate_position, mem[BASE]) <= N)
#else
    skip
#endif
}

inline fill_one()
{
    INVARIANT(published_once, life_of[next] == 0);
    put(ONE(next), next * 4 + life)
}

inline fill_two()
{
    put(TWO(next), next * 4 + life)
}

/* With the mark from outside: whose frame this position is, once and for ever. */
inline publish_word()
{
    atomic {
        put_release(SEQUENCE(next), next + 1);
        INVARIANT(published_once, life_of[next] == 0);
        life_of[next] = life
    }
}

active proctype writer()
{
    byte life = 1, next, claimed, limit, status, base, seen;
#ifdef MUTANT_LATE_DEMOTE
    bit late;
#endif

again:
    atomic { ALL_VISIBLE -> attach() };
    put_release(PUBLISHED, next);
    do
    :: next == LAST -> break
    :: next < LAST && next == limit -> look_at_gate()
    :: next < LAST && next != limit ->
#ifdef MUTANT_LATE_CLAIM
        fill_one();
        claim();
#else
        claim();
        check_claim();
#ifdef MUTANT_LATE_DEMOTE
        if
        :: late -> late = 0; put_release(STATUS, status)
        :: else
        fi;
#endif
        fill_one();
#endif
#ifdef MUTANT_EARLY_SEQUENCE
        publish_word();
        fill_two();
#else
        fill_two();
        publish_word();
#endif
        put_release(PUBLISHED, next + 1);
        next++
    od;
    atomic { ALL_VISIBLE -> writer_done = 1; forget() };
    goto end_writer;
died:
    atomic { forget(); life++; goto again };
end_writer:
    skip
}

/* ---- Readers. */

#define FRAME   1
#define NOTHING 2
#define LAPPED  3

#ifdef MUTANT_WRONG_WORD
#define CHECKED mem[PUBLISHED]
#else
#define CHECKED mem[CLAIMED]
#endif
#ifdef MUTANT_OFF_BY_ONE
#define SPAN (N + 1)
#else
#define SPAN N
#endif

inline check(q, verdict, to)
{
    atomic {
        INVARIANT(claim_covers_position, mem[CLAIMED] >= q);
        if
        :: CHECKED - q > SPAN -> verdict = LAPPED; to = CHECKED - N
        :: else
        fi
    }
}

/* What a reader finds at its position q: verdict, and for LAPPED the place to go on in `to`. */
inline look(q, verdict, whole, to)
{
    if
    :: atomic { mem[SEQUENCE(q)] == q + 1 -> verdict = FRAME };
#ifdef MUTANT_EARLY_CHECK
        check(q, verdict, to);
#endif
#ifdef MUTANT_EARLY_RELEASE
        gate_position = q + 1;
#endif
        whole = mem[ONE(q)] == WORD(q);
        whole = whole && mem[TWO(q)] == WORD(q);
#ifndef MUTANT_EARLY_CHECK
        check(q, verdict, to)
#endif
    :: atomic { mem[SEQUENCE(q)] != q + 1 -> verdict = NOTHING };
#ifndef MUTANT_DEAF
        check(q, verdict, to)
#endif
    fi
}

/* Polls. A reader that does not look at the claim is woken by the word alone. */
inline wait_for_news(q)
{
#ifdef MUTANT_DEAF
    mem[SEQUENCE(q)] == q + 1
#else
    mem[SEQUENCE(q)] == q + 1 || mem[CLAIMED] - q > N
#endif
}

inline jump(q, to)
{
    atomic {
        to = (to > mem[PUBLISHED] -> mem[PUBLISHED] : to);
        INVARIANT(jump_goes_forward, to > q && to <= mem[CLAIMED] - N)
    }
}

#ifdef OBSERVER
active proctype observer()
{
    byte q, verdict, to, accepted, lost;
    bit whole;

    do
    :: q == LAST -> break
    :: q < LAST ->
        look(q, verdict, whole, to);
        if
        :: verdict == FRAME ->
            d_step { INVARIANT(whole_frame, whole); accepted++; q++; verdict = 0; whole = 0 }
        :: verdict == NOTHING -> verdict = 0; wait_for_news(q)
        :: verdict == LAPPED ->
            jump(q, to);
            d_step { lost = lost + to - q; q = to; to = 0; verdict = 0; whole = 0 }
        fi;
        INVARIANT(exact_accounting, accepted + lost == q)
    od
}
#endif

#if READERS > 0 && !defined(HOSTILE)
/* An answer of any kind: a gate may open and be taken away again before its reader looks. */
#ifdef MUTANT_WAITS_FOR_GATING
#define ANSWERED(generation) (mem[STATUS] == (generation) * 4 + GATING)
#else
#define ANSWERED(generation) (GENERATION_OF(mem[STATUS]) == (generation))
#endif

proctype gating_reader(byte generation)
{
    byte q, verdict, to;
    bit whole, gating;

    if
    :: atomic { ANSWERED(generation) -> gating = (STATE_OF(mem[STATUS]) == GATING) }; q = mem[BASE]
    :: atomic { writer_done && GENERATION_OF(mem[STATUS]) != generation -> goto leave }
#ifdef EVICT
    :: atomic { active_word == generation * 2 -> goto leave } /* perhaps before any writer saw that it was open */
#endif
#ifdef DIES
    :: goto leave
#endif
#ifdef STALLS
    :: goto end_stalled
#endif
    fi;
    do
    :: q == LAST -> break
    :: q < LAST ->
        look(q, verdict, whole, to);
        if
        :: verdict == FRAME ->
            atomic { INVARIANT(whole_frame, whole); verdict = 0; whole = 0; to = 0; q++ };
            if
            :: gating -> gate_position = q
            :: !gating
#ifdef DIES
            :: gating -> goto leave
#endif
#ifdef STALLS
            :: gating -> goto end_stalled
#endif
            fi
        :: verdict == NOTHING -> verdict = 0; wait_for_news(q)
        :: verdict == LAPPED ->
            atomic {
                INVARIANT(demoted_before_overrun, mem[STATUS] != generation * 4 + GATING);
                gating = 0;
                verdict = 0;
                whole = 0
            };
            jump(q, to);
            atomic { q = to; to = 0 }
        fi
    od;
leave:
    atomic { q = 0; verdict = 0; to = 0; whole = 0; gating = 0; gone[generation] = 1; goto end_reader };
#ifdef STALLS
end_stalled:
    false;
#endif
end_reader:
    skip
}
#endif

#ifdef HOSTILE
/* Stores what it likes. */
proctype gating_reader(byte generation)
{
end:
    do
    :: gate_position < LAST + 2 -> gate_position++
    :: gate_position > 0 -> gate_position--
    :: gone[generation] == 0 -> gone[generation] = 1
    od
}
#endif

#if READERS > 0
/* Opens the gate for one reader after the other, closes it when the reader's socket closes; with EVICT also when it
 * pleases: the reader lives on then, and has no gate. Whoever comes next waits until it is gone: they would share the
 * position word. */
active proctype server()
{
    byte generation;

    do
    :: generation == READERS -> break
    :: generation < READERS ->
        atomic { generation++; active_word = generation * 2 + 1; run gating_reader(generation) };
end_reader_lives:
        if
        :: gone[generation]
#ifdef EVICT
        :: true
#endif
        fi;
        active_word = generation * 2;
#ifndef MUTANT_SHARED_POSITION
end_reader_remains:
        gone[generation]
#endif
    od
}
#endif
