/* Prints the first channel of a ring as its frames come: observer INSTANCE RING */
#include <inttypes.h>
#include <sluice/sluice.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct sluice_reader *r;
    struct sluice_frame f;
    char error[512] = "usage: observer INSTANCE RING";
    if (argc != 3 || sluice_attach(&r, argv[1], argv[2], SLUICE_NEWEST, error, sizeof(error)) != 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    do {
        while (sluice_reader_next(r, &f) == 1) {
            double value = sluice_value(r, 0, &f);
            if ((f.flags & SLUICE_FRAME_GAP) != 0) {
                printf("%" PRIu64 " gap: %s\n", f.position, sluice_loss_name(f.cause));
            } else if (sluice_reader_valid(r, &f) != 0) { /* ask after the use */
                printf("%" PRIu64 " %g\n", f.position, value);
            }
        }
        fflush(stdout);
    } while (sluice_reader_wait(r, 1000) >= 0);
    sluice_detach(r);
    return 0;
}
