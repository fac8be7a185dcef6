/* Mean, spread and percentiles of every channel of a ring, of all that comes in some seconds: summary INSTANCE RING
 * SECONDS */
#include <inttypes.h>
#include <sluice/stats.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHANNELS_MAX  64
#define BUFFER_VALUES (CHANNELS_MAX * 1024) /* 1024 of each channel: in the cache */
#define FRAMES        100000

static struct sluice_summary summary[CHANNELS_MAX]; /* all zero is empty */
static struct sluice_quantiles *quantiles[CHANNELS_MAX];
static struct sluice_fold_item items[2 * CHANNELS_MAX];
static double buffer[BUFFER_VALUES];

/* Two items a channel. Returns how many there are. */
static uint32_t make_items(uint32_t channels)
{
    for (uint32_t i = 0; i < channels; i++) {
        quantiles[i] = sluice_quantiles_open();
        if (quantiles[i] == NULL) {
            return 0;
        }
        items[2 * i].channel = i;
        items[2 * i].function = sluice_fold_summary;
        items[2 * i].context = &summary[i];
        items[2 * i + 1].channel = i;
        items[2 * i + 1].function = sluice_fold_quantiles;
        items[2 * i + 1].context = quantiles[i];
    }
    return 2 * channels;
}

static void print_channel(const struct sluice_reader *r, uint32_t i)
{
    struct sluice_channel channel;
    if (sluice_channel(r, i, &channel) == 0 && summary[i].count > 0) {
        printf("%s: %.6g +- %.3g %s, min %.6g, p50 %.6g, p99 %.6g, max %.6g, %" PRIu64 " values, %" PRIu64
               " are none\n",
               channel.name, summary[i].mean, sluice_summary_std(&summary[i], 1), channel.unit, summary[i].min,
               sluice_quantiles_at(quantiles[i], 0.5), sluice_quantiles_at(quantiles[i], 0.99), summary[i].max,
               summary[i].count, summary[i].not_finite);
    }
    sluice_quantiles_close(quantiles[i]);
}

int main(int argc, char **argv)
{
    struct sluice_reader *r;
    struct sluice_fold fold = {items, 0, 0, buffer, BUFFER_VALUES, 0, 0, 0, 0, 0, 0, 0, 0};
    char error[512] = "usage: summary INSTANCE RING SECONDS";
    time_t seconds = argc == 4 ? (time_t)strtol(argv[3], NULL, 10) : 0;
    if (argc != 4 || sluice_attach(&r, argv[1], argv[2], SLUICE_NEWEST, error, sizeof(error)) != 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    fold.item_count = make_items(sluice_channels(r));
    if (fold.item_count == 0) {
        fprintf(stderr, "no channels, or no memory\n");
        return 1;
    }
    time_t end = time(NULL) + seconds;
    while (time(NULL) < end && sluice_reader_wait(r, 100) >= 0) {
        sluice_fold(r, &fold, FRAMES);
    }
    for (uint32_t i = 0; i < sluice_channels(r); i++) {
        print_channel(r, i);
    }
    printf("%" PRIu64 " frames; not in it: %" PRIu64 " lost, %" PRIu64 " discarded, %" PRIu64
           " missing in the ring\n",
           fold.frames, fold.lost, fold.discarded, fold.missing);
    sluice_detach(r);
    return 0;
}
