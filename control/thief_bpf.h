/* The observer's BPF programs: loads them, attaches them, takes what they tell. Cold. The only file beside
 * net/steer.c that knows libbpf. */
#ifndef CONTROL_THIEF_BPF_H
#define CONTROL_THIEF_BPF_H

#include "control/thief.h"
#include "ring/error.h"

struct thief_bpf;

/* Loads and attaches; interruptions below threshold_ns are not told. 0, or with err, which says what is missing and
 * what to do: -EPERM (not allowed), -ENOTSUP (a kernel without BPF, BTF or these tracepoints), -errno. */
int thief_bpf_open(struct thief_bpf **opened, uint64_t threshold_ns, struct error *err);

/* What this kernel does not tell of, "" if nothing: "device interrupts, NMIs". Valid until the next call. */
const char *thief_bpf_missing(const struct thief_bpf *bpf);

/* For thief_table_set. */
struct thief_settings *thief_bpf_settings(struct thief_bpf *bpf);

/* Hands over all that has been told since; makes no system call. How many they were. */
uint32_t thief_bpf_take(struct thief_bpf *bpf, void (*take)(void *context, const struct thief_event *event),
                        void *context);

struct thief_counts thief_bpf_counts(const struct thief_bpf *bpf);

/* NULL is fine. */
void thief_bpf_close(struct thief_bpf *bpf);

#endif
