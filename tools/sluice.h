/* The commands behind `sluice COMMAND`. Each returns an exit code (tools/session.h). */
#ifndef TOOLS_SLUICE_H
#define TOOLS_SLUICE_H

#include <stdbool.h>
#include <stdint.h>

struct arguments {
    const char *instance; /* NULL: the only one that runs */
    const char *ring;     /* tail */
    const char *file;     /* check; audit --verify */
    const char *name;     /* rule, output or checksum that a command is about */
    const char *reason;   /* bypass */
    const char *by;       /* who answers for a command; NULL: the user that types it */
    uint64_t duration_ns; /* bypass, shelve */
    bool json;
    bool gating;      /* tail: the writer waits for us */
    uint32_t start;   /* tail: enum sluice_start; 0: only what comes */
    uint64_t at;      /* tail: the sequence or time that it begins at */
    uint64_t count;   /* tail: 0: endless */
    uint32_t seconds; /* status: 0: once, else every so many seconds */
};

int command_check(const struct arguments *arguments);
int command_status(const struct arguments *arguments);
int command_ledger(const struct arguments *arguments);
int command_map(const struct arguments *arguments);
int command_tail(const struct arguments *arguments);
int command_arm(const struct arguments *arguments);
int command_reset(const struct arguments *arguments);
int command_trip(const struct arguments *arguments);
int command_bypass(const struct arguments *arguments);
int command_unbypass(const struct arguments *arguments);
int command_proof_test(const struct arguments *arguments);
int command_ack(const struct arguments *arguments);
int command_shelve(const struct arguments *arguments);
int command_unshelve(const struct arguments *arguments);
int command_acknowledge(const struct arguments *arguments);
int command_rules(const struct arguments *arguments);
int command_audit(const struct arguments *arguments);

/* With options of their own. */
int command_top(int argc, char **argv);
int command_latency(int argc, char **argv);

/* Says err on standard error, as "sluice COMMAND: ..", and returns code. */
int command_fail(const char *command, const char *text, int code);

#endif
