/* What a server tells of itself, once: status INSTANCE */
#include <inttypes.h>
#include <sluice/server.h>
#include <stdio.h>

static void print_ring(const struct sluice_server *server, uint32_t ring)
{
    struct sluice_ring about;
    struct sluice_progress progress;
    struct sluice_ledger ledger;
    uint64_t lost = 0;
    if (sluice_server_ring(server, ring, &about) != 0 || sluice_server_progress(server, ring, &progress) != 0 ||
        sluice_server_ledger(server, ring, &ledger) != 0) {
        return;
    }
    for (uint32_t cause = 0; cause < 8; cause++) {
        lost += ledger.lost[cause];
    }
    /* sent = delivered + lost; what is missing in that is the residual, and never silent */
    printf("ring %s: %" PRIu64 " published, sent %" PRIu64 ", delivered %" PRIu64 ", lost %" PRIu64
           ", residual %" PRId64 "\n",
           about.name, progress.published, ledger.sent, ledger.delivered, lost, ledger.residual);
    for (uint32_t cause = 0; cause < 8; cause++) {
        if (ledger.lost[cause] != 0) {
            printf("    %s %" PRIu64 "\n", sluice_loss_name(cause), ledger.lost[cause]);
        }
    }
}

static void print_histogram(const struct sluice_server *server, uint32_t measure)
{
    static struct sluice_histogram h;
    static const double quantiles[] = {0.5, 0.99, 0.999};
    if (sluice_server_histogram(server, measure, &h) != 0) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        printf("    %g %% up to %" PRIu64 " ns\n", 100 * quantiles[i],
               sluice_histogram_quantile_ns(&h, quantiles[i]));
    }
    printf("    max %" PRIu64 " ns\n", h.max_ns);
}

int main(int argc, char **argv)
{
    struct sluice_server *server;
    struct sluice_process process;
    struct sluice_measure measure;
    int histograms = 0;
    char error[512] = "usage: status INSTANCE";
    if (argc != 2 || sluice_open(&server, argv[1], error, sizeof(error)) != 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    printf("%s %s\n", sluice_server_instance(server), sluice_server_alive(server) ? "runs" : "has ended");
    for (uint32_t i = 0; sluice_server_process(server, i, &process) == 0; i++) {
        printf("process %s: pid %" PRIu64 ", core %" PRId32 "\n", process.name, process.pid, process.core);
    }
    for (uint32_t i = 0; i < sluice_server_rings(server); i++) {
        print_ring(server, i);
    }
    for (uint32_t i = 0; sluice_server_measure(server, i, &measure) == 0; i++) {
        if (measure.kind == SLUICE_STATE_WORD) {
            printf("%s %s\n", measure.name, measure.word);
        } else {
            printf("%s %" PRIu64 "\n", measure.name, measure.value);
        }
        if (measure.kind == SLUICE_HISTOGRAM && measure.value > 0 && histograms++ == 0) {
            print_histogram(server, i); /* the first that has counted anything */
        }
    }
    sluice_close(server);
    return 0;
}
