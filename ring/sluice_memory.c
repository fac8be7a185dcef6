/* A ring's map, which outlives its reader for as long as somebody has views of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ring/handle.h"
#include "ring/segment.h"

int sluice_memory_map(struct sluice_memory **memory, int fd, struct error *err)
{
    struct sluice_memory *m = calloc(1, sizeof(*m));
    *memory = NULL;
    if (m == NULL) {
        return -ENOMEM;
    }
    m->kept = 1;
    int code = segment_map(fd, false, RING_HEADER_BYTES, &m->base, &m->bytes, err);
    if (code == 0) {
        code = ring_attach(&m->view, m->base, m->bytes, err);
    }
    if (code != 0) {
        sluice_memory_drop(m);
        return code;
    }
    *memory = m;
    return 0;
}

struct sluice_memory *sluice_memory_keep(struct sluice_reader *reader)
{
    __atomic_add_fetch(&reader->memory->kept, 1, __ATOMIC_RELAXED);
    return reader->memory;
}

void sluice_memory_drop(struct sluice_memory *memory)
{
    /* What others have read before they dropped theirs comes before the unmapping. */
    if (memory == NULL || __atomic_sub_fetch(&memory->kept, 1, __ATOMIC_ACQ_REL) != 0) {
        return;
    }
    if (memory->base != NULL) {
        munmap(memory->base, memory->bytes);
    }
    free(memory);
}

const uint8_t *sluice_memory_slots(const struct sluice_memory *memory, size_t *bytes)
{
    *bytes = memory->view.slot_count * memory->view.slot_bytes;
    return memory->view.slots;
}

uint64_t sluice_memory_overwritten(const struct sluice_memory *memory, uint64_t position, uint64_t count)
{
    ring_reads_before();
    uint64_t claimed = ring_claimed_now(memory->view.header);
    uint64_t oldest = ring_oldest(claimed, memory->view.slot_count);
    if (claimed < position || oldest <= position) {
        return claimed < position ? count : 0; /* a position that nobody has written: nothing of it is true */
    }
    return oldest - position < count ? oldest - position : count;
}
