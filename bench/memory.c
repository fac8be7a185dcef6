#include <sys/mman.h>

#include "bench/peer.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

void bench_touch(void *base, uint64_t bytes, bool writable)
{
    /* A kernel before 5.14 refuses: then the first round over the ring takes the page faults. */
    (void)madvise(base, bytes, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

int bench_memory(struct segment *segment, uint64_t bytes, struct error *err)
{
    int code = segment_create(segment, "bench", bytes, SEGMENT_HUGE_OR_NORMAL, err);
    if (code == 0) {
        bench_touch(segment->base, segment->bytes, true);
    }
    return code;
}

uint64_t bench_slots(uint64_t slot_bytes)
{
    uint64_t slots = 1;
    while (slots * 2 * slot_bytes <= BENCH_RING_BYTES) {
        slots *= 2;
    }
    return slots;
}
