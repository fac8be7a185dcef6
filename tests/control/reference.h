/* The interlock engine once more, written from its description (control/engine.h, control/machine.h,
 * control/table.h) and not from its code: slow, with lists instead of counters, one obvious loop per sentence. The
 * property test compares the two after every step. It shares the types of table, inputs, causes and events with the
 * engine, and nothing else.
 */
#ifndef CONTROL_REFERENCE_H
#define CONTROL_REFERENCE_H

#include "control/engine.h"

#define REFERENCE_ROW    64u
#define REFERENCE_CAUSES 600u
#define REFERENCE_EVENTS 2000u

/* Stamps of samples in a row: the first REFERENCE_ROW of them, and how many there were. */
struct reference_row {
    uint64_t stamp[REFERENCE_ROW];
    uint64_t length;
};

struct reference_rule {
    uint64_t seen; /* number of the last sample taken into account */
    struct reference_row outside;
    struct reference_row inside;
    bool demanding; /* the delays and the hysteresis say so */
    bool anchored;
    bool settled;
    double anchor;
    uint64_t anchor_ns;
    double measure;
    uint32_t truth;
    uint32_t why;
    uint32_t bad_channel; /* whose quality made it unknown, or ENGINE_NONE */
    uint32_t members;
    uint32_t unknown;
    uint32_t alarm;
    uint64_t demands;
    uint64_t bypass_until_ns;
    uint64_t shelved_until_ns;
};

struct reference_output {
    uint32_t position;
    bool followed;
    bool late; /* as of this step */
    bool lost;
    bool cause;
    uint64_t changed_ns;
    uint64_t left_ns;
};

struct reference_test {
    uint32_t output;
    uint32_t result;
    uint32_t phase;
    uint64_t from_ns;
    uint64_t safe_ns;
    uint64_t back_ns;
};

struct reference_list {
    struct engine_cause cause[REFERENCE_CAUSES];
    uint32_t count;
};

struct reference {
    uint32_t code;
    uint32_t previous_command;
    uint64_t last_now_ns;
    uint64_t trips;
    bool first_out_open;
    uint32_t latched;
    uint32_t held;
    uint32_t energised;
    uint32_t gate_missing;
    uint32_t quality[CONTROL_CHANNELS_MAX];
    uint32_t why[CONTROL_CHANNELS_MAX];
    struct reference_rule rule[CONTROL_RULES_MAX];
    struct reference_output output[CONTROL_OUTPUTS_MAX];
    struct reference_test test;
    struct reference_list first_out;

    /* Of this step only. */
    struct reference_list demanding;
    struct reference_list blocking;
    uint32_t answer;
    bool tripped;
    struct engine_event event[REFERENCE_EVENTS];
    uint32_t events;
};

/* What one step is about; every part of the reference takes it. */
struct reference_step {
    const struct control_table *table;
    const struct engine_inputs *inputs;
    struct reference *r;
    uint32_t pressed;
    uint32_t before; /* code of the step before */
    bool broken;
    bool test_safe; /* the tested output is read back as safe .. */
    bool test_cut;  /* .. or a rule has taken it */
    bool test_done; /* .. and as back */
    bool covered;   /* partial trips together cover all outputs */
    uint32_t newly_latched;
    bool acts[CONTROL_RULES_MAX];
};

void reference_init(struct reference *r);
void reference_step(const struct control_table *table, struct reference *r, const struct engine_inputs *inputs);

/* Parts; reference_rules.c. */
void reference_judge_channels(struct reference_step *s);
void reference_judge_rules(struct reference_step *s);

/* reference_causes.c */
bool reference_channels_why(uint32_t why);
void reference_readback_causes(const struct reference_step *s);
void reference_collect(struct reference_step *s);
bool reference_full(const struct control_table *table, const struct control_rule *rule);
/* Which rules act in this step: what a command of this step bypasses acts until the next. */
void reference_judge_acting(struct reference_step *s);
bool reference_acts(const struct reference_step *s, uint32_t rule);
/* The causes of the acting partial rules that name one of these outputs. */
void reference_partial_causes(const struct reference_step *s, uint32_t outputs, struct reference_list *list);
struct engine_cause reference_plain_cause(const struct reference_step *s, uint32_t kind);

void reference_event(struct reference_step *s, uint32_t kind, uint32_t index, double value);
bool reference_permits(uint32_t code);
bool reference_legal(uint32_t code); /* and not FAULT */
uint32_t reference_all(const struct control_table *table);

#endif
