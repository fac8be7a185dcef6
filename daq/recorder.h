/* The recorder: a process that reads rings like any other reader and writes them to files (record_format.h). It
 * holds nothing of the server's but its plan, its board and its mailbox, and reads through the server's socket, so
 * that whatever becomes of it, or of the disk, nobody else waits. Not real-time. Cold.
 *
 *   recorder.c          the loop: commands, triggers, when a run begins and ends
 *   recorder_ring.c     one ring: from its reader into blocks, and what is missing between them
 *   recorder_slots.c    the same without a copy, from the mapped ring
 *   recorder_disk.c     blocks on their way to the disk, and the syncs behind them
 *   recorder_files.c    the files of a run: opened, filled, ended
 *   recorder_run.c      the run's directory, run.json
 *   recorder_keep.c     room on the disk, old runs
 *   recorder_trigger.c  trips and conditions
 *
 * Memory is all taken at the start: blocks for every ring and as many under way to the disk. The ring itself is the
 * buffer for what the disk does not take at once.
 */
#ifndef DAQ_RECORDER_H
#define DAQ_RECORDER_H

#include <signal.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "daq/record_build.h"
#include "daq/recorder_plan.h"
#include "net/uring.h"
#include "ring/error.h"
#include "ring/inside.h"
#include "ring/reader.h"

#define RECORDER_MEMORY_BYTES ((uint64_t)32 << 20) /* of all blocks together */
#define RECORDER_SPARE        16u                  /* blocks beside one for each ring: as deep as a disk likes it */
#define RECORDER_LEADS        16u                  /* blocks in place under way */
#define RECORDER_NOTES_MAX    64u

struct recorder;
struct recorder_ring;

/* A file that is open, or on its way to be closed. */
struct recorder_file {
    int fd; /* -1: free */
    uint32_t ring;
    uint32_t stripe;
    uint32_t segment;
    bool direct;        /* past the page cache */
    bool ended;         /* its end is written: closed as soon as it is synced */
    bool syncing;       /* a sync of it is under way */
    uint32_t in_flight; /* writes */
    uint64_t dirty;     /* bytes written since the last sync began */
    uint64_t allocated; /* bytes of it that the file system has set aside */
    uint64_t offset;    /* where the next block goes */
    struct record_account account;
};

/* A block under way: being filled, being written. */
struct recorder_write {
    bool busy;
    bool submitted;
    bool in_place;  /* its payload lies in the ring .. */
    bool overtaken; /* .. which went on before it was handed to the disk */
    uint32_t ring;
    struct record_block *lead;
    uint8_t *payload; /* behind the lead; NULL: a lead alone, for slots in place */
    struct recorder_file *file;
    uint64_t offset;
    uint64_t done; /* bytes, of a write that was cut short */
    uint64_t since_ns;
    uint64_t bytes; /* of all parts */
    unsigned parts;
    struct iovec part[2];
    struct iovec rest[2]; /* what is left of them */
};

struct recorder_ring {
    struct sluice_reader *reader; /* NULL: not attached */
    struct ring_reader *inside;   /* the same */
    struct recorder_ring_board *shown;
    struct record_source source; /* its files' head */
    struct record_totals totals; /* of the run */
    struct recorder_file *file[RECORD_STRIPES_MAX];
    struct record_packing packing;
    struct recorder_write *filling;          /* packing's memory; NULL: none is being filled */
    struct record_gap owed[RECORD_GAPS_MAX]; /* for the next block's lead */
    uint32_t owed_count;
    uint32_t next_stripe;
    uint64_t next_number;
    uint64_t expected;      /* position that has to be accounted for next */
    uint64_t waiting_ns;    /* monotonic: since when frames wait to be written in place; 0: none */
    uint64_t segment_bytes; /* of this segment, all stripes */
    uint64_t segment_began_ns;
    uint64_t unsynced_ns;   /* when the oldest of what is written and not synced was read; 0: nothing */
    uint64_t syncing_ns;    /* the same of what the sync under way covers */
    uint64_t sync_position; /* all below it is covered by that */
    bool rotating;          /* its next segment begins as soon as nothing of it is under way */
    uint64_t regain_ns;     /* monotonic: not before that it asks to be waited for again */
    uint64_t frames_seen;   /* for how full slots are */
    uint64_t bytes_seen;
    uint64_t decimator;
    uint32_t removed_segments; /* of this run, to make room */
};

struct recorder_note {
    uint64_t utc_ns;
    char person[PROTOCOL_PERSON_BYTES];
    char text[PROTOCOL_REASON_BYTES];
};

/* The run that is under way, or was last. */
struct recorder_run {
    bool open;
    uint8_t id[RECORD_RUN_BYTES];
    char name[RECORDER_RUN_BYTES];
    char reason[32];                            /* "at once", "trip", "condition", "command" */
    int directory_fd[RECORDER_DIRECTORIES_MAX]; /* of the run's directories */
    uint64_t began_utc_ns;
    uint64_t began_ns; /* monotonic */
    uint64_t ended_utc_ns;
    uint32_t why;         /* enum record_close; 0: not ended */
    uint64_t from_tai_ns; /* asked for from here on; 0: from now */
    uint32_t notes;
    uint32_t notes_lost;
    struct recorder_note note[RECORDER_NOTES_MAX];
};

struct recorder {
    const struct recorder_plan *plan;
    const struct recorder_mailbox *mailbox;
    struct recorder_board *board;
    const char *config;
    const struct control_board *control; /* NULL: not looked at */
    void *control_base;
    size_t control_bytes;
    struct uring *uring;
    uint32_t rings;
    struct recorder_ring ring[RECORDER_RINGS_MAX];
    struct recorder_file *file;
    uint32_t files;
    uint8_t *memory;
    uint64_t memory_bytes;
    uint64_t block_bytes; /* payload room of a block */
    struct recorder_write *write;
    uint32_t writes;  /* with payload, then RECORDER_LEADS without */
    uint8_t *scratch; /* for heads and ends */
    uint64_t scratch_bytes;
    struct recorder_run run;
    char operator_name[PROTOCOL_PERSON_BYTES];
    char test_id[RECORDER_TEST_BYTES];
    uint32_t wanted; /* why it is to record whenever that is possible, enum recorder_begins; 0: it is not to */
    bool decimates;  /* for want of room */
    bool server_gone;
    bool goes_on;                     /* the next run begins where the last one ended */
    bool ending;                      /* what is left in the rings is taken, however little it is */
    uint64_t begin_from_ns;           /* monotonic: the run that is wanted begins with what came then; 0: now */
    uint64_t kept_ns;                 /* monotonic: room has been made; the file system takes its time */
    int server_fd;                    /* its end is the server's; -1: not connected */
    char failed[RECORDER_TEXT_BYTES]; /* why the last block found no place; empty: strerror tells */
    int failure;                      /* -errno of a write; 0: none */
    uint32_t cause; /* enum record_cause that what is lost now is put down to; 0: the reader's own */
    uint64_t retry_ns;
    uint64_t post_until_ns; /* monotonic; 0: no trigger */
    uint64_t began_ns;
    uint64_t ticket;
    uint64_t sync_due_ns;
    uint32_t syncs_under_way;
    uint64_t looked_ns; /* at the room on the disk */
    uint64_t rated_ns;
    uint64_t rated_bytes;
    uint64_t rated_frames;
    uint64_t bytes; /* all written, ever */
    uint64_t frames;
    uint64_t unsynced_bytes;       /* completed or under way */
    uint64_t covered_bytes;        /* of those, by the sync under way */
    struct sluice_reader *watched; /* of the condition's channel */
    int watched_channel;
    uint64_t trips_seen;
    uint64_t away_ns; /* monotonic: since then nobody has looked for trips, one before us was killed; 0: no */
    struct error err;
};

/* recorder.c. Attaches nothing yet. 0 or -errno. */
int recorder_init(struct recorder *r, struct error *err);
void recorder_fini(struct recorder *r);
/* Until *stop, or its time is over, or the server has gone. Exit code: 0, or 1 if something could not be recorded.
 */
int recorder_loop(struct recorder *r, volatile sig_atomic_t *stop);
/* Why it cannot record, or is slow to: said once, and shown. "": it can. */
void recorder_say(struct recorder *r, const char *text);
/* The run cannot go on: ends it as well as can be, tries again later. */
void recorder_fail(struct recorder *r, uint32_t cause, const char *text);

/* recorder_ring.c */
/* From what came at this time (monotonic), or from this position (UINT64_MAX: not by position); 0 and UINT64_MAX:
 * from now on. */
int recorder_ring_attach(struct recorder *r, uint32_t index, uint64_t from_ns, uint64_t from_position,
                         struct error *err);
void recorder_ring_detach(struct recorder_ring *ring);
/* Takes some of what is new. How many frames. */
uint64_t recorder_ring_take(struct recorder *r, uint32_t index, uint64_t now_ns);
/* Hands the block that is being filled to the disk, whatever is in it. False: the disk does not take it yet. */
bool recorder_ring_flush(struct recorder *r, uint32_t index);
/* Positions [from, to) will not be in the recording. */
void recorder_ring_lose(struct recorder *r, uint32_t index, uint64_t from, uint64_t to, uint32_t cause);
/* What a block holds, and tells, is not on the disk. */
void recorder_ring_lose_block(struct recorder *r, uint32_t index, const struct record_block *lead, uint32_t cause);
/* The same of the block being filled. */
void recorder_ring_drop_filling(struct recorder *r, uint32_t index, uint32_t cause);
/* All below this position is no longer needed in the ring. */
void recorder_ring_release(struct recorder *r, uint32_t index);
/* Copies `count` frames that adjoin into blocks. How many it took: all, or fewer for want of memory. */
uint32_t recorder_ring_copy(struct recorder *r, uint32_t index, const struct sluice_batch *batch, uint64_t now_ns);
/* What is missing between what is accounted for and this position is put down. */
void recorder_ring_reach(struct recorder *r, uint32_t index, uint64_t position);
void recorder_ring_owed(struct recorder_ring *ring, struct record_block *lead);
/* What that gave to a lead that nobody will see. */
void recorder_ring_owe_again(struct recorder_ring *ring, const struct record_block *lead);

/* recorder_slots.c */
bool recorder_slots_wanted(const struct recorder *r, const struct recorder_ring *ring);
uint64_t recorder_slots_take(struct recorder *r, uint32_t index, uint64_t now_ns);

/* recorder_disk.c */
int recorder_disk_init(struct recorder *r, struct error *err);
void recorder_disk_fini(struct recorder *r);
/* A block to be filled (payload: true), or a lead alone. NULL: all are under way. */
struct recorder_write *recorder_disk_take(struct recorder *r, uint32_t ring, bool payload);
void recorder_disk_give_back(struct recorder_write *write);
/* Finishes the lead and writes the block. False: there is no file for it, or it is overtaken. */
bool recorder_disk_write(struct recorder *r, struct recorder_write *write, const uint8_t *payload);
/* Waits for completions for that long at most, and takes them. */
void recorder_disk_turn(struct recorder *r, uint64_t timeout_ns);
/* Begins a sync of all that has been written, if it is time or `now`; one at a time. */
void recorder_disk_sync(struct recorder *r, uint64_t now_ns, bool now);
/* Until nothing is under way, however long that takes: what is lies in rings and files that must stay. */
void recorder_disk_drain(struct recorder *r);
/* A write of this ring's is under way. */
bool recorder_disk_is_writing(const struct recorder *r, uint32_t ring);

/* recorder_files.c */
int recorder_files_open(struct recorder *r, uint32_t index, struct error *err);
/* The file that the next block of this ring goes to, with room for so many bytes; NULL with err. */
struct recorder_file *recorder_files_next(struct recorder *r, uint32_t index, uint64_t bytes, struct error *err);
/* Writes the ends of a ring's files; nothing of them is under way. They are closed when they are synced. 0, or
 * -errno of one that has none. */
int recorder_files_end(struct recorder *r, uint32_t index, enum record_close why);
/* Removes what was begun. */
void recorder_files_abandon(struct recorder *r, uint32_t index);
/* A ring's next segment finds places: those of the one before are freed by a sync. */
bool recorder_files_have_places(const struct recorder *r);
/* Ends a segment and begins the next. 0 or -errno. */
int recorder_files_rotate(struct recorder *r, uint32_t index, struct error *err);
void recorder_files_close(struct recorder *r, struct recorder_file *file);
/* No more blocks are to go to this segment: its index is as long as it may be. */
bool recorder_files_are_full(const struct recorder *r, uint32_t index);
/* New names are on the disk, too. */
void recorder_files_sync_directories(struct recorder *r);

/* recorder_run.c */
int recorder_run_begin(struct recorder *r, const char *reason, uint64_t from_ns, struct error *err);
/* 0, or -errno: something of it is not on the disk. */
int recorder_run_end(struct recorder *r, enum record_close why);
void recorder_run_note(struct recorder *r, const char *person, const char *text);
/* Replaces run.json. 0 or -errno. */
int recorder_run_describe(struct recorder *r, bool sync, struct error *err);
/* The same as text, into the caller's memory. Bytes, without the 0. */
size_t recorder_run_json(const struct recorder *r, char *room, size_t bytes);

/* recorder_keep.c */
/* Free bytes on the fullest of the disks; 0 or -errno. */
int recorder_keep_free(const struct recorder *r, uint64_t *free_bytes, struct error *err);
/* Removes what is beyond the limits; then looks whether there is room. True: there is. */
bool recorder_keep_room(struct recorder *r);
void recorder_keep_limits(struct recorder *r);
/* Name of the newest run of this recorder's in its first directory; empty: none. */
void recorder_keep_newest(const struct recorder *r, char name[RECORDER_RUN_BYTES]);
/* Is this the name of a run of this recorder? Pure. */
bool recorder_keep_is_run(const char *name, const char *recorder);

/* recorder_trigger.c */
void recorder_trigger_attach(struct recorder *r);
void recorder_trigger_detach(struct recorder *r);
/* True: it has come since the last look. */
bool recorder_trigger_look(struct recorder *r);

#endif
