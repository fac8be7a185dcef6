/* The frames of several readers in order of time. What waits here has been looked at, not passed: its reader's
 * position stays before it, so that it is neither released nor lost when the merge is closed. */
#include "ring/merge.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "ring/clock.h"
#include "ring/handle.h"

#define SLEEP_NS_MAX  CLOCK_NS_PER_S  /* then look again, whatever the servers say or do not say */
#define VAIN_ROUNDS   4u              /* something new that cannot be read: a ring whose words cannot be true */
#define VAIN_SLEEP_NS CLOCK_NS_PER_MS /* .. is looked at so often */

/* One reader and the frame of it that waits. */
struct lane {
    struct sluice_reader *reader;
    bool has_frame;
    bool has_ended;
    int64_t time_ns;  /* of the frame: CLOCK_MONOTONIC, below 0 if older than that */
    uint64_t seen_ns; /* when it was looked at first: CLOCK_MONOTONIC */
    struct sluice_frame frame;
};

struct sluice_merge {
    uint32_t count;
    uint64_t patience_ns;
    struct lane *to_release; /* that gave the frame which the caller has; or NULL */
    int64_t newest_ns;       /* time of the newest frame that was given */
    uint64_t late;
    struct lane lane[SLUICE_MERGE_READERS_MAX];
};

static int check(struct sluice_reader *const readers[], uint32_t count, struct error *err)
{
    if (count == 0 || count > SLUICE_MERGE_READERS_MAX) {
        return error_set(err, -EINVAL, "expected 1 to %d readers to merge, found %u", SLUICE_MERGE_READERS_MAX,
                         count);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (readers[i] == NULL) {
            return error_set(err, -EINVAL, "expected a reader at index %u, found NULL", i);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (readers[k] == readers[i]) {
                return error_set(err, -EINVAL,
                                 "expected each reader once, found the same at index %u and %u; "
                                 "attach a second one to read a ring twice",
                                 k, i);
            }
        }
    }
    return 0;
}

int sluice_merge_open(struct sluice_merge **merge, struct sluice_reader *const readers[], uint32_t count,
                      uint64_t patience_ns, char *error, size_t error_bytes)
{
    struct error err = {{0}};
    int code = check(readers, count, &err);
    struct sluice_merge *m = code == 0 ? calloc(1, sizeof(*m)) : NULL;
    if (m == NULL) {
        return sluice_say(code != 0 ? code : -ENOMEM, &err, error, error_bytes);
    }
    m->count = count;
    m->patience_ns = patience_ns;
    m->newest_ns = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        m->lane[i].reader = readers[i];
    }
    *merge = m;
    return 0;
}

void sluice_merge_close(struct sluice_merge *merge)
{
    free(merge);
}

/* Looks at the reader's next frame, unless it waits here already. The caller may have moved the reader meanwhile.
 */
static void peek(struct lane *lane, uint64_t now_ns)
{
    struct ring_reader *ring = &lane->reader->ring;
    if (lane->has_frame && lane->frame.position == ring->position) {
        return;
    }
    lane->has_frame = ring_reader_next(ring, &lane->frame) == 1;
    if (!lane->has_frame) {
        ring_reader_release(ring);
        return;
    }
    ring->position = lane->frame.position;
    lane->time_ns = (int64_t)(lane->frame.tai_ns - (uint64_t)ring->view.tai_minus_monotonic_ns);
    lane->seen_ns = now_ns;
}

/* How long until the frame is older than the patience; 0: it is. A time still to come, which no server writes, must
 * not hold others up for longer than its frame has been here. */
static uint64_t ripe_in_ns(const struct sluice_merge *m, const struct lane *lane, uint64_t now_ns)
{
    bool is_past = lane->time_ns < (int64_t)now_ns;
    uint64_t age_ns = is_past ? now_ns - (uint64_t)lane->time_ns : clock_elapsed_ns(lane->seen_ns, now_ns);
    if (age_ns > m->patience_ns) {
        return 0;
    }
    uint64_t left_ns = m->patience_ns - age_ns;
    return left_ns < UINT64_MAX ? left_ns + 1 : left_ns;
}

/* The lane whose frame is the oldest and, of equal ones, the first; NULL if none waits. *is_silent: a frame may yet
 * come from a lane that has none. now_ns was read before this looks: what comes later to a silent lane was not
 * there at that time. */
static struct lane *oldest(struct sluice_merge *m, uint64_t now_ns, bool *is_silent)
{
    struct lane *first = NULL;
    *is_silent = false;
    for (uint32_t i = 0; i < m->count; i++) {
        struct lane *lane = &m->lane[i];
        peek(lane, now_ns);
        if (!lane->has_frame) {
            *is_silent = *is_silent || !lane->has_ended;
        } else if (first == NULL || lane->time_ns < first->time_ns) {
            first = lane;
        }
    }
    return first;
}

/* The lane whose frame is next, or NULL; *wait_ns: if nothing comes, for how long. */
static struct lane *choose(struct sluice_merge *m, uint64_t now_ns, uint64_t *wait_ns)
{
    *wait_ns = UINT64_MAX;
    for (uint32_t i = 0; i < m->count * RING_READER_JUMPS; i++) {
        bool is_silent;
        struct lane *lane = oldest(m, now_ns, &is_silent);
        if (lane == NULL) {
            return NULL;
        }
        if (!ring_reader_valid(&lane->reader->ring, lane->frame.position)) {
            lane->has_frame = false; /* overwritten while it waited: its reader counts it when it looks again */
            continue;
        }
        if (!is_silent || lane->time_ns < m->newest_ns) {
            return lane;
        }
        *wait_ns = ripe_in_ns(m, lane, now_ns);
        return *wait_ns == 0 ? lane : NULL;
    }
    *wait_ns = 0; /* lapped again and again: look again at once */
    return NULL;
}

static void release_last(struct sluice_merge *m)
{
    if (m->to_release != NULL) {
        sluice_give_back(m->to_release->reader);
        m->to_release = NULL;
    }
}

int sluice_merge_next_at(struct sluice_merge *merge, uint64_t now_ns, struct sluice_frame *frame, uint32_t *index)
{
    uint64_t wait_ns;
    release_last(merge);
    struct lane *lane = choose(merge, now_ns, &wait_ns);
    if (lane == NULL) {
        return 0;
    }
    lane->has_frame = false;
    lane->reader->ring.position = lane->frame.position + 1;
    merge->to_release = lane;
    if (lane->time_ns < merge->newest_ns) {
        merge->late++;
    } else {
        merge->newest_ns = lane->time_ns;
    }
    *frame = lane->frame;
    *index = (uint32_t)(lane - merge->lane);
    return 1;
}

int sluice_merge_next(struct sluice_merge *merge, struct sluice_frame *frame, uint32_t *index)
{
    return sluice_merge_next_at(merge, clock_monotonic_ns(), frame, index);
}

/* What the lanes with nothing waiting say when they are asked to wake us. */
struct asked {
    struct pollfd poll[SLUICE_MERGE_READERS_MAX];
    uint32_t count;  /* of those that will */
    bool has_new;    /* one has something already */
    bool has_ended;  /* the server of one has, as is known from now on */
    bool is_corrupt; /* one's ring is: its frames are missing, and nothing will come of waiting */
};

static void ask(struct sluice_merge *m, struct asked *asked)
{
    asked->count = 0;
    asked->has_new = false;
    asked->has_ended = false;
    asked->is_corrupt = false;
    for (uint32_t i = 0; i < m->count; i++) {
        struct lane *lane = &m->lane[i];
        if (lane->has_frame || lane->has_ended) {
            continue;
        }
        int code = sluice_reader_arm(lane->reader);
        asked->is_corrupt = asked->is_corrupt || code == -EPROTO;
        lane->has_ended = code < 0 && code != -EPROTO;
        asked->has_ended = asked->has_ended || lane->has_ended;
        asked->has_new = asked->has_new || code == 1;
        if (code >= 0) {
            asked->poll[asked->count++] =
                (struct pollfd){.fd = sluice_reader_fd(lane->reader), .events = POLLIN | POLLRDHUP};
        }
    }
}

static void sleep_for(struct asked *asked, uint64_t ns)
{
    ns = ns < SLEEP_NS_MAX ? ns : SLEEP_NS_MAX;
    struct timespec time = {.tv_sec = (time_t)(ns / CLOCK_NS_PER_S), .tv_nsec = (long)(ns % CLOCK_NS_PER_S)};
    (void)ppoll(asked->poll, asked->count, &time, NULL);
}

int sluice_merge_wait(struct sluice_merge *merge, int timeout_ms)
{
    uint64_t start_ns = clock_monotonic_ns();
    uint64_t most_ns = timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms * CLOCK_NS_PER_MS;
    uint32_t vain = 0;
    struct asked asked;
    uint64_t wait_ns;
    release_last(merge);
    for (;;) {
        if (choose(merge, clock_monotonic_ns(), &wait_ns) != NULL) {
            return 1;
        }
        ask(merge, &asked);
        if (asked.is_corrupt) {
            return -EPROTO;
        }
        if (asked.has_ended) {
            continue; /* what it published last is looked for once more; this happens once for each reader */
        }
        if (asked.count == 0 && wait_ns == UINT64_MAX) {
            return -EPIPE;
        }
        uint64_t waited_ns = clock_monotonic_ns() - start_ns;
        if (waited_ns >= most_ns) {
            return choose(merge, clock_monotonic_ns(), &wait_ns) != NULL ? 1 : 0;
        }
        vain = asked.has_new ? vain + 1 : 0;
        if (asked.has_new) {
            wait_ns = vain > VAIN_ROUNDS ? VAIN_SLEEP_NS : 0;
        }
        if (wait_ns > 0) {
            sleep_for(&asked, wait_ns < most_ns - waited_ns ? wait_ns : most_ns - waited_ns);
        }
    }
}

uint64_t sluice_merge_late(const struct sluice_merge *merge)
{
    return merge->late;
}
