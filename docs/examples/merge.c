/* Prints the frames of several rings in order of time until the server ends: merge INSTANCE RING .. */
#include <inttypes.h>
#include <sluice/merge.h>
#include <stdio.h>

#define PATIENCE_NS 100000000u /* a ring that is silent for 0.1 s does not hold up the others */

int main(int argc, char **argv)
{
    struct sluice_reader *readers[SLUICE_MERGE_READERS_MAX];
    struct sluice_merge *merge;
    struct sluice_frame f;
    uint32_t i, count = argc > 2 ? (uint32_t)argc - 2 : 0;
    char error[512] = "usage: merge INSTANCE RING .., at most 64 rings";
    int code = count == 0 || count > SLUICE_MERGE_READERS_MAX ? -1 : 0;
    for (i = 0; code == 0 && i < count; i++) {
        code = sluice_attach(&readers[i], argv[1], argv[i + 2], SLUICE_NEWEST, error, sizeof(error));
    }
    if (code != 0 || sluice_merge_open(&merge, readers, count, PATIENCE_NS, error, sizeof(error)) != 0) {
        fprintf(stderr, "%s\n", error);
        return 1; /* what was attached ends with this process */
    }
    do {
        while (sluice_merge_next(merge, &f, &i) == 1) {
            double value = sluice_value(readers[i], 0, &f); /* of its first channel */
            if (sluice_reader_valid(readers[i], &f)) {      /* ask after the use */
                printf("%" PRIu64 " %s %" PRIu64 " %.17g\n", f.tai_ns, argv[i + 2], f.position, value);
            }
        }
        fflush(stdout);
    } while (sluice_merge_wait(merge, 1000) >= 0);
    fprintf(stderr, "merge: %" PRIu64 " frames were late\n", sluice_merge_late(merge));
    sluice_merge_close(merge);
    for (i = 0; i < count; i++) {
        sluice_detach(readers[i]);
    }
    return 0;
}
