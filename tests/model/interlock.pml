/* The interlock as a system (control/machine.h, control/engine.h, control/loop.h, daq/server_watch.c) for spin.
 * tests/model/run_interlock runs it, INTERLOCK.md says in plain words what is checked.
 *
 * Two models share one decide():
 *   ALONE  the engine by itself, one step at a time, with every input it can have: buttons that are held or hammered,
 *          rules and members of a vote that are clear, demanding or unknown, bypasses, a valve that is anywhere, a
 *          proof test, clocks that go back, a flipped state word, restarts at any moment.
 *   CHAIN  worker, control, supervisor, actuator and charge pump as processes. Each may be stopped, continued and
 *          killed between any two of its steps, as often as fate likes.
 *
 * Time:       ticks. A tick passes when every process that runs has had its turn; one that is stopped or dead does
 *             not hold time up. A turn is once a tick: refresh, heartbeat and supervision all have this period.
 * Abstracted: - A rule is what it says (clear, demand, unknown), not how it came to that: tests do that part.
 *             - One output. Rules that act on some outputs only, HOLD and PERMIT rules, alarms are not in it.
 *             - A send is with its receiver at once. Readback is read by control itself, not through a worker.
 *             - Nothing is left in the kernel by a process that is killed.
 */

#define INIT    0
#define TRIPPED 1
#define READY   2
#define ARMING  3
#define ARMED   4
#define TEST    5
#define FAULT   6
#define ILLEGAL 7
#ifdef REACHES_ARMED
#define REACH true
#else
#define REACH false
#endif
#define PERMITS(state) ((state) == ARMING || (state) == ARMED || (state) == TEST)

/* What a rule says; where a valve is. */
#define CLEAR     0
#define DEMAND    1
#define UNKNOWN   2
#define SAFE      0
#define ENERGISED 1

/* Buttons, and commands: one a step, TRIP first, then the lowest. */
#define PRESS_RESET    1
#define PRESS_ARM      2
#define PRESS_TRIP     4
#define PRESS_BYPASS   8
#define PRESS_UNBYPASS 16
#define PRESS_TEST     32

/* Causes, for the first-out. */
#define BY_STARTUP   1
#define BY_SELF_TEST 2
#define BY_DEADLINE  3
#define BY_MANUAL    4
#define BY_READBACK  5
#define BY_RULE      6
#define BY_BYPASSED  7 /* the bypassable rule */
#define BY_VOTE      8

#ifndef FOLLOW_TICKS
#define FOLLOW_TICKS 1 /* a valve may take so long, and no tick more */
#endif
#define BYPASS_TICKS 2 /* the longest bypass */
#define BYPASSES_MAX 2 /* at once */

/* The engine's state. */
byte code = INIT;
byte previous;  /* buttons as they were */
bit energised;  /* what it told the output last */
bit followed;   /* the output has been where it was told to be */
bit astray;     /* it is not there .. */
byte astray_ticks;
#ifdef ALONE
byte first_out;
bit open_first_out;
#endif
#ifdef BYPASS
byte bypass_ticks[3]; /* left; of the bypassable rule, of members a and b */
#define BYPASSED(i) (bypass_ticks[i] > 0)
#define BYPASSES    (BYPASSED(0) + BYPASSED(1) + BYPASSED(2))
#endif
#ifdef PROOF_TEST
byte phase; /* 1: told to be safe, 2: told to come back */
#define TOLD_SAFE (phase == 1)
#else
#define TOLD_SAFE false
#endif

/* Its inputs, and what it makes of them; all zero between two steps. */
byte down, edges, command; /* buttons */
byte position;             /* SAFE, ENERGISED, UNKNOWN */
byte rule;                 /* a rule that protects and cannot be bypassed */
bit deadline_missed, clock_back, corrupt;
bit late, lost;
#ifdef BYPASS
byte optional, member[3], target, ticks_asked, demands, unknowns;
#endif
byte cause; /* the first of all */
bit reset_edge, arm_edge, test_edge, self_test_bad, blocked, demand, gate_passed, all_followed, feedback_late,
    test_done;

/* An assertion by name: the names are 0 always, and are there to be in spin's message. The numbers are those of the
 * interlock's invariants:
 *    1  permit_only_armed      an output is energised in ARMING, ARMED and TEST only
 *    2  demand_is_safe_now     a demand, a fault, an unknown gives safe in the same step
 *    3  permit_needs_arm       safe to energised only from READY, by an arm edge, with all inputs healthy (or when a
 *                              proof test gives the output back)
 *    3  unlatch_needs_reset    TRIPPED is left by a reset edge, with all inputs healthy and the valve read back safe
 *    4  held_is_no_edge        a button that was down already does nothing
 *    5  illegal_is_fault       an illegal state word is FAULT
 *    6  bypass_bounded         no bypass is longer than allowed when it was given: no extension, no outliving
 *    6  bypasses_counted       .. nor are more standing at once than allowed
 *    6  bypass_ends_at_trip    .. nor does one outlive a trip
 *    6  vote_not_weakened      2oo3 with a bypassed or unknown member is 1oo2, with two of them a trip
 *    7  first_out_kept         the first-out is written once per arming, when the permit ends
 *    8  fault_absorbs          FAULT is left by a restart only
 *    9  heartbeat_from_loop    the heartbeat toggles only with the permit, only by the loop that has just looked at its
 *                              time, at most once a cycle
 *   10  worse_never_permits    a member that becomes unknown, or demands, never makes a vote clear
 *   11  readback_times_out     an output that does not follow is let go after its time
 *       clock_back_is_fault    the monotonic clock going back is FAULT
 *   12  can_be_rearmed         a healthy plant with a cooperating operator is armed within a bounded time, whatever
 *                              happened before
 *   13  safe_in_time           demand, or the end or stall of any process: the circuit is open within a bounded time,
 *                              whatever the others do
 *   13  gap_noticed            control never energises after a stop without having noticed its gap
 *   13  one_voice              control does not permit any more once the supervisor has spoken to the outputs
 *       never_armed            no invariant: must be violated, or else nothing above says anything */
hidden byte permit_only_armed, demand_is_safe_now, permit_needs_arm, unlatch_needs_reset, held_is_no_edge,
    illegal_is_fault, bypass_bounded, bypasses_counted, bypass_ends_at_trip, vote_not_weakened, first_out_kept,
    fault_absorbs, heartbeat_from_loop, worse_never_permits, readback_times_out, clock_back_is_fault, can_be_rearmed,
    safe_in_time, gap_noticed, one_voice, never_armed;
#define INVARIANT(name, condition) assert((condition) || name)

/* ---- The state machine: control/machine.c. The table of it is compared with the C function. */

#ifdef MUTANT_RESET_WITH_CAUSE
#define MAY_RESET true
#else
#define MAY_RESET (!blocked && !demand)
#endif

inline machine_next()
{
    if
#ifdef MUTANT_FAULT_RESET
    :: code == FAULT && reset_edge && !self_test_bad -> code = TRIPPED
    :: code == FAULT && !(reset_edge && !self_test_bad)
#else
    :: code == FAULT
#endif
#ifdef MUTANT_ILLEGAL_IS_TRIPPED
    :: code == ILLEGAL -> code = TRIPPED
#else
    :: code == ILLEGAL -> code = FAULT
#endif
    :: code < FAULT && self_test_bad -> code = FAULT
    :: code == INIT && !self_test_bad -> code = TRIPPED
    :: code == TRIPPED && !self_test_bad ->
        if
        :: reset_edge && MAY_RESET -> code = READY
#ifdef MUTANT_ARM_IN_TRIPPED
        :: arm_edge && MAY_RESET -> code = ARMING
        :: !(reset_edge || arm_edge) || !MAY_RESET
#else
        :: !reset_edge || !MAY_RESET
#endif
        fi
    :: code == READY && !self_test_bad ->
        if
        :: blocked || demand -> code = TRIPPED
        :: !(blocked || demand) && arm_edge && gate_passed -> code = ARMING
        :: !(blocked || demand) && !(arm_edge && gate_passed)
        fi
    :: code == ARMING && !self_test_bad ->
        if
        :: blocked || demand -> code = TRIPPED
        :: !(blocked || demand) && feedback_late -> code = FAULT
        :: !(blocked || demand) && !feedback_late && all_followed -> code = ARMED
        :: !(blocked || demand) && !feedback_late && !all_followed
        fi
    :: code == ARMED && !self_test_bad ->
        if
        :: demand -> code = TRIPPED
        :: !demand && test_edge -> code = TEST
        :: !demand && !test_edge
        fi
    :: code == TEST && !self_test_bad ->
        if
#ifdef MUTANT_TEST_IS_DEAF
        :: demand && cause != BY_READBACK
        :: demand && cause == BY_READBACK -> code = TRIPPED
#else
        :: demand -> code = TRIPPED
#endif
        :: !demand && test_done -> code = ARMED
        :: !demand && !test_done
        fi
    fi
}

#ifdef TABLE
/* All of it, a line per row: state, the ten inputs as bits in the order of struct machine_inputs, next state. */
active proctype table()
{
    short row;
    byte from;

    for (from : INIT .. ILLEGAL) {
        row = 0;
        do
        :: row == 1024 -> break
        :: row < 1024 ->
            d_step {
                code = from;
                reset_edge = row & 1;
                arm_edge = (row >> 1) & 1;
                test_edge = (row >> 2) & 1;
                self_test_bad = (row >> 3) & 1;
                blocked = (row >> 4) & 1;
                demand = (row >> 5) & 1;
                gate_passed = (row >> 6) & 1;
                all_followed = (row >> 7) & 1;
                feedback_late = (row >> 8) & 1;
                test_done = (row >> 9) & 1;
                machine_next();
                printf("%d %d %d\n", from, row, code);
                row++
            }
        od
    }
}
#else

/* ---- One step of the engine: control/engine.c. */

inline because(kind)
{
    demand = 1;
    blocked = 1;
    cause = (cause == 0 -> kind : cause)
}

inline press()
{
    edges = down & ~previous;
    previous = down;
    command = (edges & PRESS_TRIP -> PRESS_TRIP : edges & (256 - edges));
    reset_edge = (command == PRESS_RESET);
    arm_edge = (command == PRESS_ARM);
#ifdef MUTANT_RESET_BY_LEVEL
    reset_edge = reset_edge || (down & PRESS_RESET);
#endif
#ifdef MUTANT_ARM_BY_LEVEL
    arm_edge = arm_edge || (down & PRESS_ARM);
#endif
}

inline judge_readback()
{
    if
    :: position == energised -> followed = 1; astray = 0; astray_ticks = 0
    :: position != energised && !astray -> astray = 1; astray_ticks = 0
    :: position != energised && astray
    fi;
#ifdef MUTANT_NO_TIMEOUT
    late = 0;
#else
    late = (astray && astray_ticks > FOLLOW_TICKS);
#endif
    lost = (energised && followed && position == SAFE);
    all_followed = !astray;
    feedback_late = late;
    if
    :: PERMITS(code) && (lost || (late && code != ARMING)) -> because(BY_READBACK)
#ifndef MUTANT_WELD_IGNORED
    :: !PERMITS(code) && astray -> because(BY_READBACK)
#endif
    :: else
    fi;
#ifdef PROOF_TEST
    if
    :: phase == 1 && position == SAFE -> phase = 2
    :: phase == 2 && energised && position == ENERGISED -> test_done = 1
    :: else
    fi
#endif
}

#ifdef BYPASS
/* A bypassed member is unknown. Unknown counts for the trip. */
#ifdef MUTANT_VOTE_EASIER
#define MEMBER_DEMANDS(i) (member[i] == DEMAND && !((i) < 2 && BYPASSED((i) + 1)))
#define MEMBER_UNKNOWN(i) (member[i] == UNKNOWN && !((i) < 2 && BYPASSED((i) + 1)))
#else
#define MEMBER_DEMANDS(i) (member[i] == DEMAND && !((i) < 2 && BYPASSED((i) + 1)))
#define MEMBER_UNKNOWN(i) (member[i] == UNKNOWN || ((i) < 2 && BYPASSED((i) + 1)))
#endif
#ifdef MUTANT_UNKNOWN_CLEARS
#define VOTE_TRIPS(d, u) ((d) > 0 && (d) + (u) >= 2)
#else
#define VOTE_TRIPS(d, u) ((d) + (u) >= 2)
#endif

inline judge_bypassable()
{
    if
    :: optional != CLEAR && !BYPASSED(0) -> because(BY_BYPASSED)
    :: else
    fi;
    demands = MEMBER_DEMANDS(0) + MEMBER_DEMANDS(1) + (member[2] == DEMAND);
    unknowns = MEMBER_UNKNOWN(0) + MEMBER_UNKNOWN(1) + (member[2] == UNKNOWN);
    if
    :: VOTE_TRIPS(demands, unknowns) ->
        because(BY_VOTE);
        INVARIANT(worse_never_permits, demands + unknowns == 3 || VOTE_TRIPS(demands, unknowns + 1));
        INVARIANT(worse_never_permits, demands + unknowns == 3 || VOTE_TRIPS(demands + 1, unknowns));
        INVARIANT(worse_never_permits, demands == 0 || VOTE_TRIPS(demands - 1, unknowns + 1));
        INVARIANT(worse_never_permits, unknowns == 0 || VOTE_TRIPS(demands + 1, unknowns - 1))
    :: else
    fi
}

#ifdef MUTANT_BYPASS_EXTENDED
#define MAY_BYPASS(i) true
#else
#define MAY_BYPASS(i) (!BYPASSED(i))
#endif
#ifdef MUTANT_BYPASS_ANY_LENGTH
#define LENGTH_OK true
#else
#define LENGTH_OK (ticks_asked <= BYPASS_TICKS)
#endif
#ifdef MUTANT_BYPASS_UNCOUNTED
#define COUNT_OK true
#else
#define COUNT_OK (BYPASSES < BYPASSES_MAX || BYPASSED(target))
#endif

/* Takes effect in the next step. */
inline obey_bypass()
{
    if
    :: command == PRESS_BYPASS && code != INIT && code != FAULT && code != ILLEGAL && MAY_BYPASS(target) &&
       LENGTH_OK && COUNT_OK -> bypass_ticks[target] = ticks_asked
    :: command == PRESS_UNBYPASS -> bypass_ticks[target] = 0
    :: else
    fi
}

inline end_bypasses()
{
    bypass_ticks[0] = 0;
    bypass_ticks[1] = 0;
    bypass_ticks[2] = 0
}
#endif

/* Everything the machine goes by. */
inline collect()
{
    self_test_bad = corrupt;
#ifndef MUTANT_CLOCK_BACK_IGNORED
    self_test_bad = corrupt || clock_back;
#endif
    if
    :: deadline_missed -> because(BY_DEADLINE)
    :: else
    fi;
    if
    :: command == PRESS_TRIP -> because(BY_MANUAL)
    :: else
    fi;
    judge_readback();
    if
#ifdef MUTANT_STALE_IGNORED
    :: rule == DEMAND || (rule == UNKNOWN && !PERMITS(code)) -> because(BY_RULE)
#else
    :: rule != CLEAR -> because(BY_RULE)
#endif
    :: else
    fi;
#ifdef BYPASS
    judge_bypassable();
    obey_bypass();
#endif
#ifdef PROOF_TEST
    test_edge = (command == PRESS_TEST && code == ARMED && energised && position == ENERGISED)
#endif
}

inline write_first_out()
{
    if
    :: was == INIT -> first_out = BY_STARTUP
    :: (PERMITS(was) || energised) && !PERMITS(code) && open_first_out ->
        first_out = (code == TRIPPED -> cause : (feedback_late && !self_test_bad -> BY_READBACK : BY_SELF_TEST));
        open_first_out = 0
#ifdef MUTANT_FIRST_OUT_OVERWRITTEN
    :: was == TRIPPED && cause != 0 -> first_out = cause
#endif
    :: was == READY && code == ARMING -> open_first_out = 1
    :: else
    fi
}

inline command_output()
{
    if
    :: energised != (PERMITS(code) && !TOLD_SAFE) ->
        energised = !energised;
        followed = 0;
        astray = 1;
        astray_ticks = 0
    :: else
    fi
}

inline decide()
{
    was = code;
    press();
    collect();
    machine_next();
#ifdef ALONE
    write_first_out();
#endif
#ifdef BYPASS
#ifndef MUTANT_BYPASS_SURVIVES
    if
    :: (PERMITS(was) || energised) && !PERMITS(code) -> end_bypasses()
    :: else
    fi;
#endif
#endif
#ifdef PROOF_TEST
    phase = (code == TEST -> (was == TEST -> phase : 1) : 0);
#endif
    command_output()
}

/* A new control process: all it knows is gone, the output was told to be safe. */
inline begin()
{
    code = INIT;
    previous = 0;
    energised = 0;
    followed = 0;
    astray = 0;
    astray_ticks = 0;
#ifdef ALONE
    first_out = 0;
    open_first_out = 0;
#endif
#ifdef BYPASS
    end_bypasses();
#endif
#ifdef PROOF_TEST
    phase = 0;
#endif
#ifdef MUTANT_WAKES_ARMED
    code = ARMED; /* as the board says */
#endif
}

inline forget_inputs()
{
    d_step {
        down = 0;
        edges = 0;
        command = 0;
        position = 0;
        rule = 0;
        deadline_missed = 0;
        clock_back = 0;
        corrupt = 0;
        late = 0;
        lost = 0;
        cause = 0;
        reset_edge = 0;
        arm_edge = 0;
        test_edge = 0;
        self_test_bad = 0;
        blocked = 0;
        demand = 0;
        gate_passed = 0;
        all_followed = 0;
        feedback_late = 0;
        test_done = 0;
#ifdef BYPASS
        optional = 0;
        member[0] = 0;
        member[1] = 0;
        member[2] = 0;
        target = 0;
        ticks_asked = 0;
        demands = 0;
        unknowns = 0;
#endif
        was = 0;
        was_energised = 0;
#ifdef ALONE
        was_first_out = 0
#else
        previous = 0; /* buttons are let go between two steps */
        held = 0
#endif
    }
}

/* ---- The witness: sees inputs and outputs of each step, and nothing of how the one became the other. */

byte was;                          /* state before the step */
bit was_energised;
byte held;                         /* buttons as they really were */
#ifdef ALONE
byte was_first_out;
bit witness_open; /* armed since the last first-out */
bit not_there;    /* told to be energised, and is not .. */
byte not_there_ticks;
#endif
#ifdef BYPASS
byte bypass_age[3];
#define WITNESS_BYPASSED(i) (bypassed_before[i])
bit bypassed_before[3];
#define NOT_CLEAR(i) (member[i] != CLEAR || ((i) < 2 && WITNESS_BYPASSED((i) + 1)))
#endif

#define REAL_EDGE(button) ((down & (button)) && !(held & (button)))
#define UNHEALTHY \
    (rule != CLEAR || deadline_missed || clock_back || corrupt || REAL_EDGE(PRESS_TRIP))

inline before_step()
{
    was = code;
    was_energised = energised;
#ifdef ALONE
    was_first_out = first_out;
#endif
#ifdef BYPASS
    bypassed_before[0] = BYPASSED(0);
    bypassed_before[1] = BYPASSED(1);
    bypassed_before[2] = BYPASSED(2)
#endif
}

#ifdef ALONE
inline witness_alone()
{
    INVARIANT(first_out_kept, first_out == was_first_out || was == INIT ||
              ((PERMITS(was) || was_energised) && !PERMITS(code) && witness_open));
#ifndef PROOF_TEST
    INVARIANT(first_out_kept, PERMITS(code) || !open_first_out); /* it is written, too */
#endif
    INVARIANT(readback_times_out, !energised || !was_energised || position == ENERGISED ||
              not_there_ticks <= FOLLOW_TICKS);
    witness_open = (was == READY && code == ARMING) || (witness_open && PERMITS(code));
    not_there = (was_energised && energised && position != ENERGISED);
    not_there_ticks = (not_there -> not_there_ticks : 0)
}
#endif

inline witness_state()
{
    INVARIANT(permit_only_armed, !energised || PERMITS(code));
    INVARIANT(demand_is_safe_now, !energised || !UNHEALTHY);
    INVARIANT(permit_needs_arm, was_energised || !energised || was == TEST ||
              (was == READY && code == ARMING && REAL_EDGE(PRESS_ARM) && position == SAFE));
    INVARIANT(unlatch_needs_reset, was != TRIPPED || code == TRIPPED || code == FAULT ||
              (REAL_EDGE(PRESS_RESET) && position == SAFE && !UNHEALTHY));
    INVARIANT(held_is_no_edge, (down & ~held) != 0 || code == was || code == TRIPPED || code == FAULT ||
              (was == ARMING && code == ARMED) || (was == TEST && code == ARMED));
    INVARIANT(fault_absorbs, was != FAULT || code == FAULT);
    INVARIANT(illegal_is_fault, was != ILLEGAL || (code == FAULT && !energised));
    INVARIANT(clock_back_is_fault, !clock_back || code == FAULT);
#ifdef ALONE
    witness_alone();
#endif
    held = down
}

#ifdef BYPASS
inline witness_bypass(i)
{
    bypass_age[i] = (BYPASSED(i) -> (bypassed_before[i] -> bypass_age[i] : 0) : 0);
    INVARIANT(bypass_bounded, !BYPASSED(i) || bypass_age[i] < BYPASS_TICKS);
    bypassed_before[i] = 0
}

inline witness_bypasses()
{
    INVARIANT(demand_is_safe_now, !energised || optional == CLEAR || bypassed_before[0]);
    INVARIANT(vote_not_weakened, !energised || NOT_CLEAR(0) + NOT_CLEAR(1) + NOT_CLEAR(2) < 2);
    INVARIANT(unlatch_needs_reset, was != TRIPPED || code != READY || optional == CLEAR || bypassed_before[0]);
    INVARIANT(vote_not_weakened, was != TRIPPED || code != READY || NOT_CLEAR(0) + NOT_CLEAR(1) + NOT_CLEAR(2) < 2);
    INVARIANT(bypass_ends_at_trip, !PERMITS(was) || PERMITS(code) || BYPASSES == 0);
    INVARIANT(bypasses_counted, BYPASSES <= BYPASSES_MAX);
    witness_bypass(0);
    witness_bypass(1);
    witness_bypass(2)
}
#endif

inline grow(ticks, limit)
{
    ticks = (ticks < (limit) -> ticks + 1 : (limit))
}

/* A tick for engine and witness. */
inline age_outputs()
{
    astray_ticks = (astray && astray_ticks <= FOLLOW_TICKS -> astray_ticks + 1 : astray_ticks);
#ifdef ALONE
    not_there_ticks = (not_there && not_there_ticks <= FOLLOW_TICKS -> not_there_ticks + 1 : not_there_ticks)
#endif
}

#ifdef ALONE
/* ---- The engine by itself. */

#ifdef BYPASS
inline age_bypass(i)
{
#ifndef MUTANT_BYPASS_FOR_EVER
    bypass_ticks[i] = (BYPASSED(i) -> bypass_ticks[i] - 1 : 0);
#endif
    bypass_age[i] = (bypass_age[i] < BYPASS_TICKS -> bypass_age[i] + 1 : bypass_age[i])
}
#endif

inline may_set(what)
{
    if
    :: what = 1
    :: skip
    fi
}

inline choose_truth(what)
{
    if
    :: what = CLEAR
    :: what = DEMAND
    :: what = UNKNOWN
    fi
}

inline choose_buttons()
{
#ifdef BUTTONS
    if
    :: down = PRESS_RESET
    :: skip
    fi;
    if
    :: down = down | PRESS_ARM
    :: skip
    fi;
    if
    :: down = down | PRESS_TRIP
    :: skip
    fi
#else
    if
    :: skip
    :: down = PRESS_RESET
    :: down = PRESS_ARM
#ifdef BYPASS
    :: down = PRESS_BYPASS
    :: down = PRESS_UNBYPASS
#endif
#ifdef PROOF_TEST
    :: down = PRESS_TEST
    :: down = PRESS_TRIP
#endif
    fi
#endif
}

inline choose_inputs()
{
    choose_buttons();
#ifdef BYPASS
    position = energised;
    gate_passed = 1;
    choose_truth(optional);
    choose_truth(member[0]);
    choose_truth(member[1]);
    choose_truth(member[2]);
    if
    :: down & (PRESS_BYPASS | PRESS_UNBYPASS) ->
        if
        :: target = 0
        :: target = 1
        :: target = 2
        fi;
        if
        :: down == PRESS_BYPASS -> ticks_asked = BYPASS_TICKS
        :: down == PRESS_BYPASS -> ticks_asked = BYPASS_TICKS + 1
        :: down == PRESS_UNBYPASS
        fi
    :: else
    fi
#else
    choose_truth(position);
    choose_truth(rule);
    may_set(gate_passed);
    if /* at most one of these */
    :: skip
    :: deadline_missed = 1
    :: corrupt = 1
    :: clock_back = 1
    fi
#endif
}

inline tick()
{
    age_outputs();
#ifdef BYPASS
    age_bypass(0);
    age_bypass(1);
    age_bypass(2)
#endif
}

active proctype alone()
{
    do
    :: atomic { tick() }
    :: atomic {
            choose_inputs();
            before_step();
            decide();
            witness_state();
#ifdef BYPASS
            witness_bypasses();
#endif
            INVARIANT(never_armed, !REACH || code != ARMED);
            forget_inputs()
        }
    :: atomic {
            begin();
            witness_open = 0;
            not_there = 0;
            not_there_ticks = 0;
#ifdef BYPASS
            bypass_age[0] = 0;
            bypass_age[1] = 0;
            bypass_age[2] = 0
#endif
        }
#ifndef BYPASS
    :: atomic { code != ILLEGAL -> code = ILLEGAL } /* a flipped bit */
#endif
    od
}
#endif

#ifdef CHAIN
/* ---- The processes. */

#define RUNS    0
#define STOPPED 1
#define DEAD    2

/* Limits, in ticks. A turn a tick makes every age 1 at most, so that 2 is the first that tells. */
#define STALE_TICKS    2 /* a sample so old is unknown */
#define GAP_TICKS      2 /* a cycle so long after the last one has a gap behind it */
#define SILENCE_TICKS  2 /* looks of the supervisor without a heartbeat between them, then control is killed */
#define WATCHDOG_TICKS 2 /* the actuator drops the line when it has heard nothing for so long; a permit as old as that
                            is refused */
#define PUMP_TICKS     2 /* the charge pump is empty so long after the last edge */

/* Where a process is in its turn. */
#define REST   0
#define LOOKED 1
#define AGAIN  2
#define SEND   3
#define LAST   4

byte worker_is, control_is, supervisor_is;
bit worker_due = 1, control_due = 1, supervisor_due = 1; /* its turn of this tick is still to come */
byte control_at, supervisor_at;

bit plant_demands; /* what the sensor would say */
bit welded;        /* the valve stays where it is when the circuit opens */

bit sample;        /* in the ring, by the worker .. */
byte sample_ticks = STALE_TICKS;
bit gap_record;    /* .. with the gap of a new worker before it */

byte cycle_ticks;   /* since control looked at its clock */
#ifdef MUTANT_LATE_STAMP
byte decision_ticks; /* since it decided */
#else
#define decision_ticks cycle_ticks /* the message tells when the cycle began that decided it */
#endif
bit message;        /* what it is about to send */
bit gap_seen;       /* to be told to the engine */
bit beaten;         /* its heartbeat for the supervisor has changed */

byte silence;       /* looks of the supervisor */
byte own_ticks;     /* since it looked at its clock */
bit speaks;         /* it has driven the outputs safe, and has not started control since */

bit line;           /* of the actuator */
byte heard_ticks;
byte edge_ticks;    /* since the last edge of the heartbeat */

#ifdef NO_PUMP
#define PUMP_IS_FULL true
#else
#define PUMP_IS_FULL (edge_ticks < PUMP_TICKS)
#endif
#define CIRCUIT (line && PUMP_IS_FULL) /* the valve's coil has current */

/* For the witness. */
#ifndef WATCHED
#define WATCHED WATCH_PLANT
#endif
#define WATCH_PLANT      0
#define WATCH_WORKER     1
#define WATCH_CONTROL    2
#define WATCH_SUPERVISOR 3
bit died;              /* it has died, and the circuit has not been open since */
byte closed_ticks;     /* how long the circuit has been closed since then */
bit gap_unseen;        /* control was stopped for longer than a gap, and has not let go since */
bit looked;            /* a cycle has been begun since the last edge of the heartbeat */
byte late_permits;     /* permits that the actuator took from a control with an unseen gap */
#ifdef REARM
bit calm;              /* from now on nothing fails, and the operator wants to arm */
byte calm_ticks;
#define CALM calm
#else
#define CALM false
#endif

#ifndef PLANT_BOUND
#define PLANT_BOUND 2
#endif
#ifndef WORKER_BOUND
#define WORKER_BOUND 2
#endif
#ifndef CONTROL_BOUND
#define CONTROL_BOUND 1
#endif
#ifndef SUPERVISOR_BOUND
#define SUPERVISOR_BOUND 1
#endif
#ifndef REARM_BOUND
#define REARM_BOUND 7
#endif

#define HAZARD \
    ((WATCHED == WATCH_PLANT && plant_demands) || (WATCHED == WATCH_WORKER && (died || worker_is != RUNS)) || \
     (WATCHED == WATCH_CONTROL && (died || control_is != RUNS)) || \
     (WATCHED == WATCH_SUPERVISOR && supervisor_is == DEAD))
#define BOUND \
    (WATCHED == WATCH_PLANT -> PLANT_BOUND : \
     (WATCHED == WATCH_WORKER -> WORKER_BOUND : \
      (WATCHED == WATCH_CONTROL -> CONTROL_BOUND : SUPERVISOR_BOUND)))

/* ---- The actuator: a command is with it at once. */

inline edge()
{
    INVARIANT(heartbeat_from_loop, looked && message && energised);
    looked = 0;
    edge_ticks = 0
}

#if defined(BLIND) || defined(MUTANT_OLD_PERMIT)
#define TOO_OLD false
#else
#define TOO_OLD (decision_ticks >= WATCHDOG_TICKS)
#endif

inline hear_permit()
{
    if
    :: !TOO_OLD -> line = 1; heard_ticks = 0; edge()
    :: TOO_OLD
    fi
}

inline hear_safe()
{
    d_step { line = 0; heard_ticks = 0; edge_ticks = 0 }
}

/* ---- Time, and the safety of the circuit. */

inline watch_circuit()
{
    if
    :: CIRCUIT && HAZARD -> closed_ticks++
    :: CIRCUIT && !HAZARD -> closed_ticks = 0
    :: !CIRCUIT -> closed_ticks = 0; died = 0
    fi;
    INVARIANT(safe_in_time, closed_ticks <= BOUND)
}

inline tick()
{
    worker_due = (worker_is != DEAD);
    control_due = (control_is != DEAD);
    supervisor_due = (supervisor_is != DEAD);
    grow(sample_ticks, STALE_TICKS);
    grow(cycle_ticks, (control_is == DEAD -> 0 : GAP_TICKS));
#ifdef MUTANT_LATE_STAMP
    grow(decision_ticks, (control_at >= AGAIN -> WATCHDOG_TICKS : 0));
#endif
    grow(own_ticks, (supervisor_is == DEAD -> 0 : GAP_TICKS));
    grow(heard_ticks, (line -> WATCHDOG_TICKS : 0)); /* only while it matters */
    grow(edge_ticks, (line -> PUMP_TICKS : 0));
#ifndef NO_WATCHDOG
    line = line && heard_ticks < WATCHDOG_TICKS;
#endif
    age_outputs();
#ifdef MUTANT_HEARTBEAT_TIMER
    if
    :: control_is == RUNS && energised -> edge()
    :: else
    fi;
#endif
    gap_unseen = gap_unseen || (control_is == STOPPED && cycle_ticks == GAP_TICKS && energised);
    watch_circuit();
#ifdef REARM
    calm_ticks = (calm && calm_ticks < REARM_BOUND -> calm_ticks + 1 : calm_ticks);
    INVARIANT(can_be_rearmed, calm_ticks < REARM_BOUND || code == ARMED)
#endif
}

#define TURN_OVER(is, due) ((is) != RUNS || !(due))
active proctype world()
{
    do
    :: atomic {
            TURN_OVER(worker_is, worker_due) && TURN_OVER(control_is, control_due) &&
                TURN_OVER(supervisor_is, supervisor_due) -> tick()
        }
    od
}

/* ---- Worker. */

active proctype worker()
{
    do
    :: atomic { worker_is == RUNS && worker_due -> sample = plant_demands; sample_ticks = 0; worker_due = 0 }
    od
}

/* ---- Control: look at the clock, decide, look at the clock again, send. */

inline control_ends()
{
    d_step {
        control_is = DEAD;
        control_due = 0;
        control_at = REST;
        cycle_ticks = 0;
        message = 0;
        gap_seen = 0;
        gap_unseen = 0;
        late_permits = 0;
        beaten = 0;
        looked = 0;
        died = died || (WATCHED == WATCH_CONTROL && CIRCUIT);
        begin()
    }
}

inline press_buttons()
{
#ifdef REARM
    if
    :: calm && code == TRIPPED -> down = PRESS_RESET
    :: calm && code == READY -> down = PRESS_ARM
    :: calm && code != TRIPPED && code != READY
    :: !calm
    :: !calm -> down = PRESS_RESET
    :: !calm -> down = PRESS_ARM
    :: !calm -> down = PRESS_TRIP
    fi
#else
    if
    :: skip
    :: down = PRESS_RESET
    :: down = PRESS_ARM
    fi
#endif
}

#ifdef MUTANT_WALL_CLOCK
bit wall_went_back; /* .. by more than any limit */
#define SAMPLE_IS_OLD (sample_ticks >= STALE_TICKS && !wall_went_back)
#else
#define SAMPLE_IS_OLD (sample_ticks >= STALE_TICKS)
#endif
#ifdef MUTANT_RESTART_GAP_IGNORED
#define GAP_BEFORE_SAMPLE false
#else
#define GAP_BEFORE_SAMPLE gap_record
#endif

inline take_inputs()
{
    press_buttons();
    gate_passed = 1;
    position = (CIRCUIT || welded);
    deadline_missed = gap_seen;
    gap_seen = 0;
    rule = (SAMPLE_IS_OLD || GAP_BEFORE_SAMPLE -> UNKNOWN : sample);
    gap_record = 0
}

inline look_at_clock()
{
#ifdef MUTANT_NO_GAP_CHECK
    gap_seen = 0;
#else
    gap_seen = (cycle_ticks >= GAP_TICKS);
#endif
#ifdef MUTANT_GAP_FOR_EVER
    cycle_ticks = (gap_seen -> cycle_ticks : 0);
#else
    cycle_ticks = 0;
#endif
    looked = 1
}

#ifdef MUTANT_NO_SECOND_LOOK
#define STILL_IN_TIME true
#else
#define STILL_IN_TIME (cycle_ticks < GAP_TICKS)
#endif
#ifdef MUTANT_ORPHAN_GOES_ON
#define ORPHANED false
#else
#define ORPHANED (supervisor_is == DEAD)
#endif

inline send()
{
    INVARIANT(one_voice, !message || !speaks);
    if
    :: message -> hear_permit()
    :: !message -> hear_safe()
    fi;
#ifdef MUTANT_HEARTBEAT_ALWAYS
    edge();
#endif
    late_permits = late_permits + (message && line && gap_unseen);
#ifdef BLIND
    INVARIANT(gap_noticed, late_permits <= 1);
#else
    INVARIANT(gap_noticed, late_permits == 0);
#endif
    looked = 0;
    message = 0
}

active proctype control()
{
    do
    :: atomic { control_is == RUNS && control_due && control_at == REST && ORPHANED -> control_at = LAST }
    :: atomic {
            control_is == RUNS && control_due && control_at == REST && !ORPHANED && !(CALM && code == FAULT) ->
            look_at_clock();
            control_at = LOOKED
        }
    :: atomic {
            control_is == RUNS && control_at == LOOKED ->
            before_step();
            take_inputs();
            decide();
            witness_state();
            gap_unseen = gap_unseen && PERMITS(code);
            late_permits = (PERMITS(code) -> late_permits : 0);
            INVARIANT(never_armed, !REACH || code != ARMED);
            forget_inputs();
#ifdef MUTANT_LATE_STAMP
            decision_ticks = 0;
#endif
            control_at = AGAIN
        }
    :: atomic {
            control_is == RUNS && control_at == AGAIN ->
            message = energised && STILL_IN_TIME;
            INVARIANT(gap_noticed, !message || !gap_unseen);
            control_at = SEND
        }
    :: atomic {
            control_is == RUNS && control_at == SEND ->
            send();
            control_at = REST;
            control_due = 0;
            beaten = 1
        }
    :: atomic { control_is == RUNS && control_at == LAST -> hear_safe(); control_ends() }
#ifdef REARM
    :: atomic { calm && control_is == RUNS && control_at == REST && code == FAULT -> control_ends() } /* asked to */
#endif
    od
}

/* ---- Supervisor: look and kill what is silent; drive safe what is dead, or start it again. */

inline look_at_control()
{
    if
    :: control_is == DEAD -> silence = 0
    :: control_is != DEAD && beaten -> silence = 0
    :: control_is != DEAD && !beaten && own_ticks >= GAP_TICKS /* its own gap proves nothing */
    :: control_is != DEAD && !beaten && own_ticks < GAP_TICKS -> grow(silence, SILENCE_TICKS)
    fi;
#ifndef MUTANT_BESIDE
    if
    :: silence >= SILENCE_TICKS -> silence = 0; control_ends() /* killed, before anybody speaks for it */
    :: else
    fi;
#endif
    beaten = 0;
    own_ticks = 0
}

inline start_control()
{
    hear_safe();
    speaks = 0;
    control_is = RUNS;
    control_due = 1;
    cycle_ticks = 0;
    beaten = 1
}

inline start_worker()
{
    worker_is = RUNS;
    worker_due = 1;
    gap_record = 1
}

#ifdef MUTANT_BESIDE
#define HAS_TO_SPEAK (control_is == DEAD || silence >= SILENCE_TICKS)
#else
#define HAS_TO_SPEAK (control_is == DEAD)
#endif

active proctype supervisor()
{
    do
    :: atomic {
            supervisor_is == RUNS && supervisor_due && supervisor_at == REST ->
            look_at_control();
            supervisor_at = LOOKED
        }
    :: atomic {
            supervisor_is == RUNS && supervisor_at == LOOKED ->
            if
            :: HAS_TO_SPEAK && !speaks -> hear_safe(); speaks = 1
            :: control_is == DEAD && speaks -> hear_safe(); start_control()
            :: !HAS_TO_SPEAK || (!CALM && speaks)
            fi;
            if
            :: worker_is == DEAD -> start_worker()
            :: !CALM || worker_is != DEAD
            fi;
            supervisor_at = REST;
            supervisor_due = 0
        }
    od
}

/* ---- Fate. */

#ifdef REARM
/* The operator sees to it that everything runs: a server whose supervisor is dead is started as a whole. */
inline mend()
{
    calm = 1;
    plant_demands = 0;
    welded = 0;
    worker_is = (worker_is == STOPPED -> RUNS : worker_is);
    control_is = (control_is == STOPPED -> RUNS : control_is);
    supervisor_is = (supervisor_is == STOPPED -> RUNS : supervisor_is);
    if
    :: supervisor_is == DEAD ->
        worker_is = DEAD;
        worker_due = 0;
        control_ends();
        supervisor_is = RUNS;
        supervisor_due = 1
    :: else
    fi
}
#endif

inline worker_dies()
{
    worker_is = DEAD;
    worker_due = 0;
    died = died || (WATCHED == WATCH_WORKER && CIRCUIT)
}

inline supervisor_dies()
{
    supervisor_is = DEAD;
    supervisor_due = 0;
    supervisor_at = REST;
    silence = 0;
    own_ticks = 0
}

/* It was a hazard, and is not any more, if only for a moment. */
inline over(what)
{
    closed_ticks = (WATCHED == what && !died -> 0 : closed_ticks)
}

active proctype fate()
{
    do
    :: atomic { !CALM && worker_is == RUNS -> worker_is = STOPPED }
    :: atomic { !CALM && worker_is == STOPPED -> worker_is = RUNS; over(WATCH_WORKER) }
    :: atomic { !CALM && worker_is != DEAD -> worker_dies() }
    :: atomic { !CALM && control_is == RUNS -> control_is = STOPPED }
    :: atomic { !CALM && control_is == STOPPED -> control_is = RUNS; over(WATCH_CONTROL) }
    :: atomic { !CALM && control_is != DEAD -> control_ends() }
    :: atomic { !CALM && supervisor_is == RUNS -> supervisor_is = STOPPED }
    :: atomic { !CALM && supervisor_is == STOPPED -> supervisor_is = RUNS }
    :: atomic { !CALM && supervisor_is != DEAD -> supervisor_dies() }
#if WATCHED == 0
    :: atomic { !CALM -> plant_demands = !plant_demands; over(WATCH_PLANT) }
#endif
#ifdef WELD
    :: atomic { !CALM && CIRCUIT && !welded -> welded = 1 }
    :: atomic { !CALM && welded -> welded = 0 }
#endif
#ifdef MUTANT_WALL_CLOCK
    :: atomic { wall_went_back = !wall_went_back }
#endif
#ifdef REARM
    :: atomic { !calm -> mend() }
#endif
    od
}
#endif
#endif
