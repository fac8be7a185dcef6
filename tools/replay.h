/* Recordings through the interlock's engine: sluice replay. Cold.
 *
 *   replay.c         the command
 *   replay_run.c     one engine under way, and what is kept of it: trips, alarms, margins; the virtual operator
 *   replay_exact.c   a trip directory as the live interlock saw it, decision by decision
 *   replay_rules.c   the same frames under another table
 *   replay_record.c  a recorder's recording under a table
 *   replay_csv.c     a table of numbers
 *   replay_paths.c   what each path is: directories of many runs are expanded
 *   replay_play.c    a recording into rings, as if live: starts sluiced
 *   replay_summary.c the rules over all recordings
 *   replay_load.c    a trip directory from the disk
 *   replay_print.c   the result, for people and as JSON
 */
#ifndef TOOLS_REPLAY_H
#define TOOLS_REPLAY_H

#include "control/watch.h"
#include "daq/blackbox_read.h"
#include "daq/record_read.h"

#define REPLAY_TRIPS_MAX  1000u /* told one by one; the others are counted */
#define REPLAY_TEXT_BYTES 256u

struct replay_trip {
    uint64_t tai_ns;
    uint32_t causes;
    uint32_t reserved;
    struct engine_cause cause[ENGINE_CAUSES_MAX];
};

/* How near a rule came to its limit: the least distance, below 0 beyond it. */
struct replay_margin {
    bool known;
    double margin; /* in the rule's unit */
    double measure;
    double limit;
    uint64_t tai_ns;
};

/* One pass of an engine over a recording. */
struct replay_run {
    const struct control_table *table;
    struct engine_inputs inputs;
    struct engine_state state;
    struct engine_outputs outputs;
    bool arms;      /* the virtual operator resets and arms whenever that is possible */
    bool arms_once; /* .. until it has succeeded once */
    uint64_t steps;
    uint64_t trips;
    uint32_t trips_told;
    struct replay_trip trip[REPLAY_TRIPS_MAX];
    uint64_t alarms[CONTROL_RULES_MAX]; /* times it became active */
    struct replay_margin margin[CONTROL_RULES_MAX];
};

/* An engine that has just been started. */
void replay_run_start(struct replay_run *run, const struct control_table *table);
/* One step on run->inputs, and what the operator does about it. */
void replay_run_step(struct replay_run *run);
/* Steps without anything new but the time, every_ns apart, up to but without to_ns. */
void replay_run_idle(struct replay_run *run, uint64_t to_ns, uint64_t every_ns);
/* Takes over what a step has given, without the operator: for whoever steps by himself. */
void replay_run_note(struct replay_run *run, bool first_out_open);

/* "kPa", "kPa/s", "s", "votes", "": of a rule's measure. */
void replay_rule_unit(const struct control_table *table, uint32_t rule, char unit[RING_UNIT_BYTES + 4]);

/* Whether a rule looks at this channel. */
bool replay_rule_uses(const struct control_table *table, uint32_t channel);

enum replay_kind { REPLAY_TRIP = 1, REPLAY_CSV = 2, REPLAY_RECORDING = 3 };

#define REPLAY_NOTES_MAX 16u

/* What became of one recording. */
struct replay_result {
    enum replay_kind kind;
    const char *path;
    char instance[RING_NAME_BYTES];
    bool exact; /* compared with the live decisions */
    bool identical;
    uint64_t compared;     /* steps */
    uint64_t not_compared; /* steps whose frames or predecessors are missing */
    uint64_t checkpoints;  /* that the replay came to as well */
    uint64_t different_at; /* number of the journal entry */
    char different[REPLAY_TEXT_BYTES];
    uint64_t frames;     /* or rows */
    uint64_t bad_values; /* CSV: empty or no number */
    uint64_t live_trips; /* that the recording tells of */
    uint32_t notes;
    char note[REPLAY_NOTES_MAX][REPLAY_TEXT_BYTES];
    struct replay_run run;
};

__attribute__((format(printf, 2, 3))) void replay_note(struct replay_result *result, const char *format, ...);

/* Runs a recording through its own table from its first checkpoint on. 0: result says whether it is identical; or
 * -EPROTO: there is nothing to begin with. */
int replay_exact(const struct blackbox_recording *recording, struct replay_result *result, struct error *err);

/* The same frames under another table; its channels are found in the recording by name. 0, or -EINVAL with what
 * does not match. result->run.arms is the caller's wish. */
int replay_rules(const struct blackbox_recording *recording, const struct control_table *rules,
                 struct replay_result *result, struct error *err);

/* The frames of a recorder's recording under a table of rules, its own or another. 0, -EINVAL with what does not
 * match, -EIO. result->run.arms is the caller's wish. */
int replay_recording(struct record_set *set, const struct control_table *rules, struct replay_result *result,
                     struct error *err);

#define REPLAY_COLUMNS_MAX 256u

struct replay_csv_options {
    char delimiter;
    const char *time;   /* column with the time; NULL: there is none */
    uint64_t period_ns; /* between two rows; 0: see time */
    uint32_t mappings;
    struct {
        const char *column;
        const char *channel;
    } mapping[CONTROL_CHANNELS_MAX];
};

/* Rows of numbers. 0, or -EINVAL with the line that is wrong. */
int replay_csv(const char *text, size_t bytes, const struct replay_csv_options *options,
               const struct control_table *rules, struct replay_result *result, struct error *err);

/* A directory on the disk. */
struct replay_directory {
    struct blackbox_recording recording;
    struct blackbox_bytes file[CONTROL_RINGS_MAX + 3];
    char *data[CONTROL_RINGS_MAX + 3]; /* theirs */
    uint32_t files;
    uint64_t live_trips;
    uint32_t missing;
    char note[REPLAY_NOTES_MAX][REPLAY_TEXT_BYTES]; /* what trip.json says is missing */
};

/* 0 or -errno; replay_unload is fine after a failure. */
int replay_load(struct replay_directory *directory, const char *path, struct error *err);
void replay_unload(struct replay_directory *directory);

/* A whole file in memory, with a 0 behind it. 0 or -errno; free(*data). */
int replay_read_file(const char *path, size_t bytes_max, char **data, size_t *bytes, struct error *err);

/* The wall clock's time of a stamp, to the us, taken as it stands (TAI). */
#define REPLAY_CLOCK_BYTES 40u
void replay_clock_text(uint64_t tai_ns, char text[REPLAY_CLOCK_BYTES]);

/* A result as text; or a new reference to a JSON object (json_t, kept out of this header). */
void replay_print(const struct replay_result *result);
void replay_print_row(const struct replay_result *result, bool header);
void *replay_json(const struct replay_result *result);

int command_replay(int argc, char **argv);

#endif
