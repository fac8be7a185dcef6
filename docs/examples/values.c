/* Prints the mean of one channel in its unit, second by second (TAI): values INSTANCE RING CHANNEL */
#include <inttypes.h>
#include <math.h>
#include <sluice/sluice.h>
#include <stdio.h>
#include <string.h>

#define FRAMES   1024
#define NS_PER_S 1000000000u

struct mean {
    uint64_t second;
    uint64_t count;
    double sum;
};

/* A frame's value; of those before, the mean is printed once the next second has begun. */
static void add(struct mean *mean, uint64_t second, double value, const char *unit)
{
    if (second > mean->second) {
        if (mean->count > 0) {
            printf("%" PRIu64 " %.9g %s, mean of %" PRIu64 "\n", mean->second, mean->sum / (double)mean->count,
                   unit, mean->count);
            fflush(stdout);
        }
        mean->second = second;
        mean->count = 0;
        mean->sum = 0;
    }
    if (!isnan(value)) { /* a gap record, a short frame, outside of the calibration */
        mean->sum += value;
        mean->count++;
    }
}

static uint32_t find(const struct sluice_reader *r, const char *name, struct sluice_channel *channel)
{
    uint32_t i = 0;
    while (sluice_channel(r, i, channel) == 0 && strcmp(channel->name, name) != 0) {
        i++;
    }
    return i; /* sluice_channels(r): there is none */
}

int main(int argc, char **argv)
{
    static double values[FRAMES];
    static uint64_t seconds[FRAMES];
    struct sluice_reader *r;
    struct sluice_channel channel;
    struct sluice_batch b;
    struct mean mean = {0, 0, 0};
    char error[512] = "usage: values INSTANCE RING CHANNEL";
    if (argc != 4 || sluice_attach(&r, argv[1], argv[2], SLUICE_NEWEST, error, sizeof(error)) != 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    uint32_t index = find(r, argv[3], &channel);
    if (index == sluice_channels(r)) {
        fprintf(stderr, "ring %s has no channel %s\n", argv[2], argv[3]);
        return 1;
    }
    do {
        while (sluice_reader_batch(r, FRAMES, &b) > 0) {
            sluice_batch_values(r, index, &b, 0, b.count, values);
            for (uint32_t i = 0; i < b.count; i++) {
                seconds[i] = sluice_batch_descriptor(&b, i)->tai_ns / NS_PER_S;
            }
            for (uint32_t i = sluice_reader_overwritten(r, &b); i < b.count; i++) { /* ask after the use */
                add(&mean, seconds[i], values[i], channel.unit);
            }
        }
    } while (sluice_reader_wait(r, 1000) >= 0);
    fprintf(stderr, "values: %" PRIu64 " frames lost\n", sluice_reader_lost(r));
    sluice_detach(r);
    return 0;
}
