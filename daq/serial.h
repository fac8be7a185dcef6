/* A tty (or pty) over io_uring. Binary frames of fixed length are read straight into ring slots and checked there;
 * text lines are parsed into f64 fields. One outstanding read; a device that goes away is opened again.
 */
#ifndef DAQ_SERIAL_H
#define DAQ_SERIAL_H

#include "net/plan.h"
#include "net/uring.h"
#include "ring/writer.h"

struct serial_source {
    const struct source_plan *plan;
    struct ring_writer *writer;
    struct uring *uring;
    uint64_t user;
    int fd;            /* -1: closed */
    bool reading;      /* a read is outstanding */
    bool was_open;     /* opened at least once */
    uint32_t have;     /* bytes of the frame or line collected so far */
    bool overlong;     /* text: this line is being thrown away */
    uint64_t retry_ns; /* monotonic: when to try to open again */
    uint64_t closed_tai_ns;
    uint8_t *scratch;  /* frame_bytes: where a frame is collected that finds no slot; NULL: wait for one instead */
    bool into_scratch; /* the frame under way is collected there */
    char line[PLAN_LINE_BYTES];
};

/* Prepares; opens nothing yet. 0 or -ENOMEM. Cold. */
int serial_init(struct serial_source *source, const struct source_plan *plan, struct ring_writer *writer,
                struct uring *uring, uint64_t user, struct error *err);
void serial_close(struct serial_source *source);
void serial_fini(struct serial_source *source);

/* Opens the device if it is due, and keeps a read outstanding. Call once a loop. */
void serial_arm(struct serial_source *source, uint64_t monotonic_ns, uint64_t tai_ns);

/* One completion. Returns frames published. */
uint32_t serial_complete(struct serial_source *source, const struct uring_event *event, uint64_t tai_ns);

/* The termios constant for a rate in baud, or 0 if there is none. */
unsigned serial_speed(uint32_t baud);

/* Parses up to `fields` numbers separated by commas, semicolons, blanks or tabs. True if there are exactly as many,
 * and nothing else. "nan" and "inf" are numbers (the interlock judges them). Pure. */
bool serial_parse_line(const char *line, uint32_t fields, double *values);

#endif
