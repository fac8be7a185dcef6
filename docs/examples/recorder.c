/* Writes the payload of every frame to standard output and loses none: recorder INSTANCE RING > FILE */
#include <inttypes.h>
#include <sluice/sluice.h>
#include <stdio.h>

/* 0 once something may be wrong with what was written. */
static int write_batch(struct sluice_reader *r, const struct sluice_batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if ((sluice_batch_descriptor(b, i)->flags & SLUICE_FRAME_GAP) == 0) {
            fwrite(sluice_batch_payload(b, i), 1, sluice_batch_length(b, i), stdout);
        }
    }
    return sluice_reader_overwritten(r, b) == 0 && ferror(stdout) == 0;
}

int main(int argc, char **argv)
{
    struct sluice_options options = {.bytes = sizeof(options), .mode = SLUICE_GATING, .start = SLUICE_OLDEST};
    struct sluice_reader *r;
    struct sluice_batch b;
    char error[512] = "usage: recorder INSTANCE RING > FILE";
    int good = 1;
    if (argc != 3 || sluice_attach_with(&r, argv[1], argv[2], &options, error, sizeof(error)) != 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    do {
        while (good && sluice_reader_batch(r, 256, &b) > 0) {
            good = write_batch(r, &b);
        }
        good = good && fflush(stdout) == 0 && sluice_reader_state(r) == SLUICE_STATE_GATING;
    } while (good && sluice_reader_wait(r, 1000) >= 0);
    fprintf(stderr, "recorder: the end at position %" PRIu64 "%s, %" PRIu64 " lost\n", sluice_reader_position(r),
            sluice_reader_state(r) == SLUICE_STATE_GATING ? "" : ": too slow", sluice_reader_lost(r));
    sluice_detach(r);
    return good ? 0 : 1;
}
