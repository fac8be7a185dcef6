/* Which memfd is what: every segment of an instance, as sluiced knows them. Stands on the supervisor's board, is
 * brought up to date with it when a client asks for the boards, and is written by sluiced only. A mapping in
 * /proc/PID/maps is matched by device and inode, so that nothing has to be believed of its name. */
#ifndef DAQ_SEGMENT_TABLE_H
#define DAQ_SEGMENT_TABLE_H

#include "ring/layout.h"

#define SEGMENT_TABLE_MAX 720u

enum segment_kind {
    SEGMENT_KIND_BOARD = 1, /* sluiced's */
    SEGMENT_KIND_TABLE = 2,
    SEGMENT_KIND_CONTROL_BOARD = 3,
    SEGMENT_KIND_MAILBOX = 4,
    SEGMENT_KIND_WORKER_PLAN = 5,
    SEGMENT_KIND_WORKER_BOARD = 6,
    SEGMENT_KIND_RING = 7,
    SEGMENT_KIND_LEASE = 8,
    SEGMENT_KIND_ORDERS = 9,   /* of a ring: what the server asks of its writer */
    SEGMENT_KIND_JOURNAL = 10, /* the interlock's decisions, one by one */
    SEGMENT_KIND_OUTBOX = 11,  /* what control leaves for an actuator */
    SEGMENT_KIND_BLACK_BOX_BOARD = 14,
    SEGMENT_KIND_BLACK_BOX_PLAN = 15,
    SEGMENT_KIND_OBSERVER_BOARD = 17,
    SEGMENT_KIND_CONFIG = 16, /* the configuration's text */
    SEGMENT_KIND_RECORDER_BOARD = 18,
    SEGMENT_KIND_RECORDER_PLAN = 19,
    SEGMENT_KIND_RECORDER_MAILBOX = 20,
    SEGMENT_KIND_MEASURES = 21 /* the list of what is counted and measured */
};

struct segment_entry {
    uint64_t device; /* st_dev */
    uint64_t inode;  /* st_ino */
    uint64_t bytes;
    uint64_t page_bytes;         /* as obtained */
    uint64_t owner_pid;          /* the one process that writes it; 0: nobody can, or it does not run */
    uint32_t kind;               /* enum segment_kind */
    int32_t numa_node;           /* its pages are bound to; -1: to none */
    char name[RING_NAME_BYTES];  /* of the ring, or of the worker */
    char owner[RING_NAME_BYTES]; /* name of the process that writes it; empty: sealed, nobody can */
};

struct segment_table {
    uint64_t version; /* odd while it is being written: read, copy, read again */
    uint64_t segments;
    struct segment_entry entry[SEGMENT_TABLE_MAX];
};

#endif
