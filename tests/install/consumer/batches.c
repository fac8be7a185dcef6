/* Prints position, sequence number and the first eight bytes of frames, taken in batches: batches INSTANCE RING
 * COUNT. C99, C11 and C++17 alike. */
#include <inttypes.h>
#include <sluice/sluice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_frame(const struct sluice_batch *batch, uint32_t i)
{
    const struct sluice_descriptor *descriptor = sluice_batch_descriptor(batch, i);
    const uint8_t *payload = sluice_batch_payload(batch, i);
    printf("%" PRIu64 " %" PRIu64 " %" PRIu32 " ", batch->position + i, descriptor->source_sequence,
           sluice_batch_length(batch, i));
    for (int at = 0; at < 8; at++) {
        printf("%02x", (unsigned)payload[at]);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    struct sluice_options options;
    struct sluice_reader *reader;
    struct sluice_ring ring;
    struct sluice_batch batch;
    char error[512];
    long left = argc == 4 ? atol(argv[3]) : 0;
    memset(&options, 0, sizeof(options));
    options.bytes = sizeof(options);
    options.start = SLUICE_OLDEST;
    if (left <= 0 || sluice_attach_with(&reader, argv[1], argv[2], &options, error, sizeof(error)) != 0) {
        fprintf(stderr, "%s\n", left <= 0 ? "usage: batches INSTANCE RING COUNT" : error);
        return 1;
    }
    sluice_ring(reader, &ring);
    printf("%s %s %" PRIu64 "\n", ring.instance, ring.name, ring.slots);
    while (left > 0 && sluice_reader_wait(reader, 1000) >= 0) {
        sluice_reader_batch(reader, (uint32_t)left, &batch);
        for (uint32_t i = 0; i < batch.count; i++) {
            print_frame(&batch, i);
        }
        left -= (long)batch.count;
        if (sluice_reader_overwritten(reader, &batch) > 0) {
            fprintf(stderr, "too slow\n");
            return 1;
        }
    }
    sluice_detach(reader);
    return 0;
}
