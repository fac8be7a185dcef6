#include "tools/gen/recording.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* VDIF Release 1.1.1: the length of a frame, header included, in units of 8 bytes: 24 bits of the third word. */
#define VDIF_HEAD_BYTES  16u /* of a legacy header; others have 32 */
#define VDIF_LENGTH_AT   8u
#define VDIF_LENGTH_MASK 0xffffffu

/* Doubled when full. */
static int grow(void **array, uint64_t *places, uint64_t wanted, uint64_t size, struct error *err)
{
    uint64_t room = *places != 0 ? *places : 1024;
    while (room < wanted) {
        room *= 2;
    }
    if (room == *places) {
        return 0;
    }
    void *larger = realloc(*array, room * size);
    if (larger == NULL) {
        return error_set(err, -ENOMEM, "expected memory for a recording of %llu MB, got none; cut the file",
                         (unsigned long long)(room * size >> 20));
    }
    *array = larger;
    *places = room;
    return 0;
}

int recording_add(struct recording *r, const uint8_t *bytes, uint32_t count, struct error *err)
{
    if (r->used + count > RECORDING_BYTES_MAX || r->frames >= RECORDING_FRAMES_MAX) {
        return error_set(err, -EFBIG, "expected at most %llu MB in %u frames, found more; cut the file",
                         (unsigned long long)(RECORDING_BYTES_MAX >> 20), RECORDING_FRAMES_MAX);
    }
    uint64_t places = r->places;
    int failed = grow((void **)&r->bytes, &r->room, r->used + count, 1, err);
    if (failed == 0) {
        failed = grow((void **)&r->at, &places, r->frames + 1, sizeof(r->at[0]), err);
    }
    if (failed == 0) {
        failed = grow((void **)&r->count, &r->places, r->frames + 1, sizeof(r->count[0]), err);
    }
    if (failed != 0) {
        return failed;
    }
    memcpy(r->bytes + r->used, bytes, count);
    r->at[r->frames] = r->used;
    r->count[r->frames++] = count;
    r->used += count;
    r->longest = count > r->longest ? count : r->longest;
    return 0;
}

void recording_close(struct recording *recording)
{
    free(recording->bytes);
    free(recording->at);
    free(recording->count);
    *recording = (struct recording){0};
}

static uint32_t vdif_bytes(const uint8_t *head)
{
    const uint8_t *at = head + VDIF_LENGTH_AT;
    return 8 * (((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16) & VDIF_LENGTH_MASK);
}

static int read_vdif(struct recording *r, FILE *file, const char *path, uint8_t *frame, uint32_t bytes_max,
                     struct error *err)
{
    for (;;) {
        size_t n = fread(frame, 1, VDIF_HEAD_BYTES, file);
        if (n == 0 && ferror(file) == 0) {
            return 0;
        }
        uint32_t bytes = n == VDIF_HEAD_BYTES ? vdif_bytes(frame) : 0;
        if (bytes <= VDIF_HEAD_BYTES || bytes > bytes_max) {
            return error_set(
                err, -EINVAL,
                "%s: expected at byte %llu the header of a VDIF frame of 24 to %u bytes, found %s%u bytes; "
                "is it VDIF?",
                path, (unsigned long long)r->used, bytes_max, bytes == 0 ? "no header of " : "one of ", bytes);
        }
        n += fread(frame + VDIF_HEAD_BYTES, 1, bytes - VDIF_HEAD_BYTES, file);
        if (n != bytes) {
            return error_set(err, -EINVAL,
                             "%s: expected %u bytes in its last frame, found %zu; cut it to whole frames", path,
                             bytes, n);
        }
        int failed = recording_add(r, frame, bytes, err);
        if (failed != 0) {
            return failed;
        }
    }
}

int recording_open_vdif(struct recording *recording, const char *path, uint32_t bytes_max, struct error *err)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *frame = malloc(bytes_max);
    int failed;
    if (file == NULL) {
        failed = error_set(err, -errno, "%s: expected a VDIF file: %s", path, strerror(errno));
    } else if (frame == NULL) {
        failed = error_set(err, -ENOMEM, "expected memory for a frame, got none; free some");
    } else {
        failed = read_vdif(recording, file, path, frame, bytes_max, err);
    }
    if (failed == 0 && recording->frames == 0) {
        failed = error_set(err, -EINVAL, "%s: expected VDIF frames, found an empty file", path);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(frame);
    return failed;
}
