/* One poll(2) over up to 15 rings and standard input, whose end ends it: loop INSTANCE RING .. */
#include <inttypes.h>
#include <poll.h>
#include <sluice/sluice.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct sluice_reader *r[16];
    struct pollfd p[16] = {{.fd = 0, .events = POLLIN}};
    struct sluice_frame f;
    char error[512] = "usage: loop INSTANCE RING .., at most 15 rings";
    int count = argc - 1; /* with standard input, which is p[0] */
    for (int i = 1; i == 1 || i < count; i++) {
        if (count < 2 || count > 16 ||
            sluice_attach(&r[i], argv[1], argv[i + 1], SLUICE_NEWEST, error, sizeof(error)) != 0) {
            fprintf(stderr, "%s\n", error);
            return 1;
        }
        p[i] = (struct pollfd){.fd = sluice_reader_fd(r[i]), .events = POLLIN};
    }
    while (p[0].revents == 0) {
        int timeout_ms = 1000; /* look again then in any case */
        for (int i = 1; i < count; i++) {
            while (sluice_reader_next(r[i], &f) == 1) {
                printf("%s %" PRIu64 ": %" PRIu32 " bytes\n", argv[i + 1], f.position, f.length_bytes);
            }
            int armed = sluice_reader_arm(r[i]); /* 0: readable once there is more; 1: there is already */
            if (armed < 0) {
                return 0; /* the server has ended; so do the readers, with this process */
            }
            timeout_ms = armed == 1 ? 0 : timeout_ms;
        }
        fflush(stdout);
        poll(p, (nfds_t)count, timeout_ms);
    }
    return 0;
}
