#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daq/recorder.h"
#include "ring/clock.h"

#define ENTRIES_LEAST  64u
#define USER_SYNC      (UINT64_C(1) << 32)
#define DRAIN_LOOK     (20 * CLOCK_NS_PER_MS)
#define DISK_SILENT_NS (10 * CLOCK_NS_PER_S)
#define SYNC_PARTS     3 /* of sync_ns: to flush, to write, to sync */

static struct record_block *lead_at(uint8_t *memory)
{
    return (struct record_block *)(void *)memory;
}

/* One block for each ring and RECORDER_SPARE under way, within RECORDER_MEMORY_BYTES. */
static void divide(struct recorder *r)
{
    uint32_t blocks = r->rings + RECORDER_SPARE;
    uint64_t most = (RECORDER_MEMORY_BYTES / blocks - RECORD_LEAD_BYTES) / RECORD_ALIGN * RECORD_ALIGN;
    r->block_bytes = record_round_up(r->plan->block_bytes, RECORD_ALIGN);
    r->block_bytes = r->block_bytes < most ? r->block_bytes : most;
    r->writes = blocks + RECORDER_LEADS;
    r->memory_bytes = blocks * (RECORD_LEAD_BYTES + r->block_bytes) + (uint64_t)RECORDER_LEADS * RECORD_LEAD_BYTES;
}

int recorder_disk_init(struct recorder *r, struct error *err)
{
    divide(r);
    r->files = r->rings * r->plan->directories * 2; /* those of the segment before are still to be synced */
    r->file = calloc(r->files, sizeof(r->file[0]));
    r->write = calloc(r->writes, sizeof(r->write[0]));
    r->memory = mmap(NULL, r->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r->file == NULL || r->write == NULL || r->memory == MAP_FAILED) {
        r->memory = r->memory != MAP_FAILED ? r->memory : NULL;
        return error_set(err, -ENOMEM, "no memory for blocks of %llu bytes", (unsigned long long)r->memory_bytes);
    }
    (void)madvise(r->memory, r->memory_bytes, MADV_HUGEPAGE); /* fewer pieces for the disk, where there are any */
    for (uint32_t i = 0; i < r->files; i++) {
        r->file[i].fd = -1;
    }
    uint8_t *at = r->memory;
    for (uint32_t i = 0; i < r->writes; i++) {
        bool has_payload = i < r->writes - RECORDER_LEADS;
        r->write[i].lead = lead_at(at);
        r->write[i].payload = has_payload ? at + RECORD_LEAD_BYTES : NULL;
        at += RECORD_LEAD_BYTES + (has_payload ? r->block_bytes : 0);
    }
    unsigned entries = ENTRIES_LEAST; /* every write and every file's sync find a place */
    while (entries < r->files + r->writes) {
        entries *= 2;
    }
    return uring_create_disk(&r->uring, entries, err);
}

void recorder_disk_fini(struct recorder *r)
{
    uring_destroy(r->uring);
    for (uint32_t i = 0; r->file != NULL && i < r->files; i++) {
        if (r->file[i].fd >= 0) {
            recorder_files_close(r, &r->file[i]);
        }
        free(r->file[i].account.index);
    }
    if (r->memory != NULL) {
        munmap(r->memory, r->memory_bytes);
    }
    free(r->file);
    free(r->write);
    r->file = NULL;
    r->write = NULL;
    r->memory = NULL;
    r->uring = NULL;
}

struct recorder_write *recorder_disk_take(struct recorder *r, uint32_t ring, bool payload)
{
    uint64_t filling = 0; /* will be written, too */
    for (uint32_t i = 0; i < r->rings; i++) {
        filling += r->ring[i].filling != NULL;
    }
    uint64_t block_bytes = RECORD_LEAD_BYTES + r->block_bytes;
    if (r->unsynced_bytes + (filling + 1) * block_bytes > r->plan->sync_bytes) {
        r->ring[ring].shown->waits_for_disk++; /* that much is promised: not more may be lost by a crash */
        return NULL;
    }
    for (uint32_t i = 0; i < r->writes; i++) {
        struct recorder_write *write = &r->write[i];
        if (!write->busy && (write->payload != NULL) == payload) {
            write->busy = true;
            write->submitted = false;
            write->in_place = !payload;
            write->ring = ring;
            write->done = 0;
            write->file = NULL;
            return write;
        }
    }
    r->ring[ring].shown->waits_for_disk++;
    return NULL;
}

void recorder_disk_give_back(struct recorder_write *write)
{
    write->busy = false;
    write->submitted = false;
}

/* What is left to be written of it, after so many bytes. */
static unsigned rest_of(struct recorder_write *write)
{
    uint64_t skip = write->done;
    unsigned parts = 0;
    for (unsigned i = 0; i < write->parts; i++) {
        uint64_t of_part = skip < write->part[i].iov_len ? skip : write->part[i].iov_len;
        if (of_part < write->part[i].iov_len) {
            write->rest[parts++] = (struct iovec){.iov_base = (uint8_t *)write->part[i].iov_base + of_part,
                                                  .iov_len = write->part[i].iov_len - of_part};
        }
        skip -= of_part;
    }
    return parts;
}

static bool submit(struct recorder *r, struct recorder_write *write)
{
    unsigned parts = rest_of(write);
    return uring_writev(r->uring, write->file->fd, write->rest, parts, write->offset + write->done,
                        (uint64_t)(write - r->write));
}

bool recorder_disk_write(struct recorder *r, struct recorder_write *write, const uint8_t *payload)
{
    struct recorder_ring *ring = &r->ring[write->ring];
    struct record_block *lead = write->lead;
    lead->number = ring->next_number;
    memcpy(lead->run, r->run.id, sizeof(lead->run));
    record_block_finish(lead, payload, &ring->inside->view.header->ledger,
                        clock_tai_ns(ring->source.header.tai_minus_monotonic_ns));
    /* Looked at behind the checksum: that of slots which had changed already would hold. */
    write->overtaken = write->in_place && !ring_reader_valid(ring->inside, lead->first_position);
    if (write->overtaken) {
        return false;
    }
    write->file = recorder_files_next(r, write->ring, lead->bytes, &r->err);
    if (write->file == NULL) {
        snprintf(r->failed, sizeof(r->failed), "%.250s", r->err.text);
        return false;
    }
    uint64_t padded = lead->bytes - RECORD_LEAD_BYTES;
    write->part[0] =
        (struct iovec){.iov_base = lead, .iov_len = RECORD_LEAD_BYTES + (write->in_place ? 0 : padded)};
    write->parts = 1;
    if (write->in_place) {
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): an iovec has no const; it is only read from */
        write->part[1] = (struct iovec){.iov_base = (void *)(uintptr_t)payload, .iov_len = padded};
        write->parts = 2;
    } else {
        memset(write->payload + lead->payload_bytes, 0, padded - lead->payload_bytes);
    }
    write->bytes = lead->bytes;
    write->offset = write->file->offset;
    if (!submit(r, write)) {
        error_set(&r->err, -EBUSY, "no place in the io_uring");
        return false;
    }
    write->submitted = true;
    write->file->offset += lead->bytes;
    write->file->in_flight++;
    ring->next_number++;
    ring->segment_bytes += lead->bytes;
    r->unsynced_bytes += lead->bytes;
    if (r->unsynced_bytes > r->board->unsynced_bytes_max) {
        r->board->unsynced_bytes_max = r->unsynced_bytes;
    }
    return true;
}

/* Its frames will not be found; what it told is told again. Nobody must take its lead, if that is on the disk, for
 * one whose payload was torn. */
static void lose_block(struct recorder *r, struct recorder_write *write, uint32_t cause)
{
    static const uint8_t zeros[RECORD_LEAD_BYTES] __attribute__((aligned(RECORD_ALIGN)));
    recorder_ring_lose_block(r, write->ring, write->lead, cause);
    (void)!pwrite(write->file->fd, zeros, sizeof(zeros), (off_t)write->offset);
}

static void take_written(struct recorder *r, struct recorder_write *write)
{
    struct recorder_ring *ring = &r->ring[write->ring];
    struct record_block *lead = write->lead;
    struct recorder_file *file = write->file;
    if (!record_account_block(&file->account, write->offset, lead)) { /* never: recorder_files_next made room */
        lose_block(r, write, RECORD_CAUSE_DISK_ERROR);
        r->failure = -EOVERFLOW;
        r->cause = RECORD_CAUSE_DISK_ERROR;
        return;
    }
    record_totals_add(&ring->totals, lead);
    file->dirty += lead->bytes;
    r->bytes += lead->bytes;
    r->frames += lead->frames;
    ring->shown->run_bytes += lead->bytes;
    ring->shown->run_frames += lead->frames;
    ring->shown->frames += lead->frames;
    if (write->in_place) {
        ring->shown->in_place_bytes += lead->payload_bytes;
    } else {
        ring->shown->copied_bytes += lead->payload_bytes;
    }
    if (ring->unsynced_ns == 0 || write->since_ns < ring->unsynced_ns) {
        ring->unsynced_ns = write->since_ns;
    }
}

static void write_done(struct recorder *r, struct recorder_write *write, int32_t result)
{
    struct recorder_ring *ring = &r->ring[write->ring];
    if (result > 0 && write->done + (uint64_t)result < write->bytes) {
        write->done += (uint64_t)result / RECORD_ALIGN * RECORD_ALIGN; /* cut short: the rest once more */
        if (result >= (int32_t)RECORD_ALIGN && submit(r, write)) {
            return;
        }
        result = -ENOSPC;
    }
    write->file->in_flight--;
    /* Written from the ring itself, and the ring has gone on meanwhile: it is not what the checksum says. */
    bool overtaken = result > 0 && write->in_place && !ring_reader_valid(ring->inside, write->lead->first_position);
    if (overtaken) {
        lose_block(r, write, RECORD_CAUSE_DEMOTED);
        r->unsynced_bytes -= write->bytes;
    } else if (result > 0) {
        take_written(r, write);
    } else {
        bool full = result == -ENOSPC || result == -EDQUOT || result == 0;
        uint32_t cause = full ? RECORD_CAUSE_DISK_FULL : RECORD_CAUSE_DISK_ERROR;
        lose_block(r, write, cause);
        r->unsynced_bytes -= write->bytes;
        r->failure = result < 0 ? result : -ENOSPC;
        r->cause = cause;
    }
    recorder_disk_give_back(write);
    recorder_ring_release(r, write->ring);
}

static void sync_over(struct recorder *r, uint64_t now_ns)
{
    for (uint32_t i = 0; i < r->rings; i++) {
        struct recorder_ring *ring = &r->ring[i];
        uint64_t took_ns = ring->syncing_ns != 0 ? clock_elapsed_ns(ring->syncing_ns, now_ns) : 0;
        if (took_ns > r->board->durable_ns_max) {
            r->board->durable_ns_max = took_ns;
        }
        r->board->durable_late += took_ns > r->plan->sync_ns;
        if (r->failure == 0) {
            __atomic_store_n(&ring->shown->synced_position, ring->sync_position, __ATOMIC_RELEASE);
        }
        ring->syncing_ns = 0;
    }
    r->board->syncs++;
    r->unsynced_bytes -= r->covered_bytes;
    r->covered_bytes = 0;
}

static void sync_done(struct recorder *r, struct recorder_file *file, int32_t result)
{
    file->syncing = false;
    if (result < 0) {
        r->failure = result;
        r->cause = RECORD_CAUSE_DISK_ERROR;
    }
    if (file->ended && file->dirty == 0) {
        recorder_files_close(r, file);
    }
    if (--r->syncs_under_way == 0) {
        sync_over(r, clock_monotonic_ns());
    }
}

void recorder_disk_turn(struct recorder *r, uint64_t timeout_ns)
{
    struct uring_event event;
    if (uring_wait(r->uring, timeout_ns) != 0) {
        r->failure = -EIO;
        r->cause = RECORD_CAUSE_DISK_ERROR;
    }
    while (uring_next(r->uring, &event)) {
        uint64_t index = event.user & (USER_SYNC - 1);
        if ((event.user & USER_SYNC) != 0) {
            if (index < r->files) {
                sync_done(r, &r->file[index], event.result);
            }
        } else if (index < r->writes) {
            write_done(r, &r->write[index], event.result);
        }
    }
    r->board->unsynced_bytes = r->unsynced_bytes;
}

/* All positions below this are written, or told in what is. */
static uint64_t written_position(const struct recorder *r, uint32_t index)
{
    const struct recorder_ring *ring = &r->ring[index];
    uint64_t position = ring->owed_count > 0 ? ring->owed[0].from_position : ring->expected;
    for (uint32_t i = 0; i < r->writes; i++) {
        const struct recorder_write *write = &r->write[i];
        if (write->busy && write->ring == index) {
            const struct record_block *lead = write == ring->filling ? &ring->packing.lead : write->lead;
            uint64_t from = lead->gaps > 0 && lead->gap[0].from_position < lead->first_position
                                ? lead->gap[0].from_position
                                : lead->first_position;
            position = from < position ? from : position;
        }
    }
    return position;
}

void recorder_disk_sync(struct recorder *r, uint64_t now_ns, bool now)
{
    bool due = now || now_ns >= r->sync_due_ns || r->unsynced_bytes > r->plan->sync_bytes / 2;
    if (!due || r->syncs_under_way > 0) {
        return;
    }
    r->sync_due_ns = now_ns + r->plan->sync_ns / SYNC_PARTS;
    for (uint32_t i = 0; i < r->rings; i++) {
        struct recorder_ring *ring = &r->ring[i];
        ring->sync_position = written_position(r, i);
        ring->syncing_ns = ring->unsynced_ns;
        ring->unsynced_ns = 0;
    }
    for (uint32_t i = 0; i < r->files; i++) {
        struct recorder_file *file = &r->file[i];
        if (file->fd >= 0 && (file->dirty > 0 || file->ended) &&
            uring_datasync(r->uring, file->fd, USER_SYNC | i)) {
            r->covered_bytes += file->dirty;
            file->dirty = 0;
            file->syncing = true;
            r->syncs_under_way++;
        }
    }
    if (r->syncs_under_way == 0) {
        for (uint32_t i = 0; i < r->rings; i++) { /* nothing new: what is told by nobody yet stays so */
            r->ring[i].syncing_ns = 0;
        }
    }
}

void recorder_disk_drain(struct recorder *r)
{
    uint64_t began_ns = clock_monotonic_ns();
    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        uint32_t under_way = r->syncs_under_way;
        for (uint32_t i = 0; i < r->writes; i++) {
            under_way += r->write[i].submitted;
        }
        if (under_way == 0) {
            return;
        }
        if (now_ns - began_ns > DISK_SILENT_NS) {
            recorder_say(r, "the disk does not answer: waiting for it");
        }
        board_beat(&r->board->common, now_ns); /* we live; it is the disk that does not */
        recorder_disk_turn(r, DRAIN_LOOK);
    }
}

bool recorder_disk_is_writing(const struct recorder *r, uint32_t ring)
{
    for (uint32_t i = 0; i < r->writes; i++) {
        if (r->write[i].submitted && r->write[i].ring == ring) {
            return true;
        }
    }
    return false;
}
