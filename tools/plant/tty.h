/* A serial line: a pseudo-terminal, raw, whose slave is found under a symbolic link.
 *
 * Like a real line it keeps nothing for a reader that is not there: while nobody has the slave open, frames are not
 * written. The plant never waits: with a full buffer a whole frame is dropped, and a frame that the kernel took
 * only in part is finished before the next one begins. */
#ifndef SLUICE_PLANT_TTY_H
#define SLUICE_PLANT_TTY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLANT_TTY_WRITE_BYTES_MAX 4096

enum plant_tty_result {
    PLANT_TTY_SENT,
    PLANT_TTY_FULL,      /* dropped: the reader does not keep up */
    PLANT_TTY_NO_READER, /* dropped: nobody has it open, or it is hung up */
};

struct plant_tty {
    int master; /* -1 while hung up */
    bool reader;
    size_t rest_bytes; /* of a frame taken in part: the end of rest[] */
    uint8_t rest[PLANT_TTY_WRITE_BYTES_MAX];
    char link_path[PATH_MAX];
    char slave_path[64];
};

/* 0 or -errno with a message. Also brings it back after a hang-up. */
int plant_tty_open(struct plant_tty *tty, const char *link_path, char *error, size_t error_bytes);
/* Readers see the line end; the link disappears. Works on a closed one. */
void plant_tty_close(struct plant_tty *tty);
/* Looks who is there and throws away what the reader sent. Returns true if a reader came or went. */
bool plant_tty_poll(struct plant_tty *tty);
/* At most PLANT_TTY_WRITE_BYTES_MAX. */
enum plant_tty_result plant_tty_write(struct plant_tty *tty, const void *bytes, size_t length_bytes);

#endif
