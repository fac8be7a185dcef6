/* sluice-plant: builds the plant from the command line, then wakes it at each tick and at each command. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tools/plant/plant.h"

#define EXIT_USAGE     2
#define ERROR_BYTES    (PATH_MAX + 512)
#define UDP_SEND_BYTES (1 << 20)

static volatile sig_atomic_t stop_asked;

static void on_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

/* Blocked everywhere but in ppoll, so that a signal between the test and the sleep is not slept through. */
static void catch_stop(sigset_t *while_sleeping)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigset_t stops;

    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigprocmask(SIG_BLOCK, &stops, while_sleeping);
    sigdelset(while_sleeping, SIGINT);
    sigdelset(while_sleeping, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int open_udp(struct plant *plant, char *error, size_t error_bytes)
{
    struct plant_stream *udp = &plant->udp;
    int buffer_bytes = UDP_SEND_BYTES;
    int failed = plant_address_parse(&udp->udp_to, "--udp", plant->options.udp_to, error, error_bytes);

    if (failed != 0)
        return failed;
    /* Not connected: a receiver that is not there yet must not make sending fail. */
    udp->udp_fd = socket(udp->udp_to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (udp->udp_fd < 0) {
        failed = -errno;
        snprintf(error, error_bytes, "--udp: expected a UDP socket, got: %s", strerror(-failed));
        return failed;
    }
    setsockopt(udp->udp_fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
    return 0;
}

static int open_series(struct plant *plant, char *error, size_t error_bytes)
{
    const char *path = plant->options.series_path;

    plant->series = fopen(path, "we");
    if (plant->series == NULL) {
        snprintf(error, error_bytes, "--series %s: expected a file that can be written, got: %s", path,
                 strerror(errno));
        return -EIO;
    }
    setvbuf(plant->series, NULL, _IOFBF, 1 << 16);
    fputs("tai_ns,t_s,chamber_kpa,coolant_kpa,shroud_c,article_c,relief_open,supply_open\n", plant->series);
    return 0;
}

static void init_state(struct plant *plant)
{
    const struct plant_options *options = &plant->options;
    uint64_t seed = (uint64_t)options->seed;

    plant_clock_init(&plant->clock);
    plant_physics_init(&plant->physics, &plant->scenario.parameters, seed);
    plant_sensors_init(&plant->sensors, seed);
    plant_random_init(&plant->garbage, ~seed);
    plant_relay_init(&plant->relay, (uint64_t)(options->relay_watchdog_ms * 1e6));
    plant->ack_stream = strcmp(options->ack_stream, "udp") == 0      ? PLANT_STREAM_UDP
                        : strcmp(options->ack_stream, "serial") == 0 ? PLANT_STREAM_SERIAL
                                                                     : PLANT_STREAM_NONE;
    plant->serial.id = PLANT_STREAM_SERIAL;
    plant->serial.rate_hz = options->tty_path != NULL ? (uint32_t)options->serial_hz : 0;
    plant->serial.tty = &plant->tty;
    plant->udp.id = PLANT_STREAM_UDP;
    plant->udp.rate_hz = options->udp_to != NULL ? (uint32_t)options->udp_hz : 0;
    plant->serial.sent = plant->udp.sent = plant_frame_sent;
    plant->serial.context = plant->udp.context = plant;
}

/* 0 or -errno with a message; plant_fini undoes a half-built plant too. */
static int plant_init(struct plant *plant, char *error, size_t error_bytes)
{
    const struct plant_options *options = &plant->options;
    int failed;

    init_state(plant);
    failed = plant_truth_open(&plant->truth, options->truth_path, &plant->clock, error, error_bytes);
    if (failed == 0)
        failed = plant_decisions_open(&plant->decisions, options->decisions_path, error, error_bytes);
    if (failed == 0 && options->series_path != NULL)
        failed = open_series(plant, error, error_bytes);
    if (failed == 0 && options->udp_to != NULL)
        failed = open_udp(plant, error, error_bytes);
    if (failed == 0 && options->actuator_at != NULL)
        failed = plant_actuator_open(&plant->actuator, options->actuator_at, error, error_bytes);
    if (failed == 0 && options->inject_at != NULL)
        failed = plant_inject_open(&plant->inject, options->inject_at, error, error_bytes);
    if (failed == 0 && options->tty_path != NULL)
        failed = plant_tty_open(&plant->tty, options->tty_path, error, error_bytes);
    return failed;
}

static int plant_fini(struct plant *plant)
{
    bool failed = false;

    plant_tty_close(&plant->tty);
    plant_actuator_close(&plant->actuator);
    plant_inject_close(&plant->inject);
    if (plant->udp.udp_fd >= 0)
        close(plant->udp.udp_fd);
    if (plant->series != NULL) {
        failed = ferror(plant->series) != 0;
        failed |= fclose(plant->series) != 0;
    }
    failed |= plant_decisions_close(&plant->decisions) != 0;
    failed |= plant_truth_close(&plant->truth) != 0;
    return failed ? -EIO : 0;
}

static void sleep_until(struct plant *plant, uint64_t wake_ns, const sigset_t *while_sleeping)
{
    struct pollfd commands = {.fd = plant->options.no_wake ? -1 : plant->actuator.fd, .events = POLLIN};
    uint64_t now_ns = plant_clock_now_ns();
    uint64_t left_ns = wake_ns > now_ns ? wake_ns - now_ns : 0;
    struct timespec left = {.tv_sec = (time_t)(left_ns / 1000000000u), .tv_nsec = (long)(left_ns % 1000000000u)};

    if (left_ns > 0)
        ppoll(&commands, 1, &left, while_sleeping);
}

/* Behind the steps up to now: an event never reaches back. */
static void take_injected(struct plant *plant, uint64_t now_ns)
{
    struct plant_event event;

    while (plant_inject_receive(&plant->inject, &event, plant_clock_tai_ns(&plant->clock, now_ns)))
        plant_run_event(plant, &event, now_ns);
}

static void plant_run(struct plant *plant, const sigset_t *while_sleeping)
{
    struct plant_marks *marks = &plant->marks;
    uint64_t now_ns = plant_clock_now_ns();

    marks->start_ns = plant->serial.start_ns = plant->udp.start_ns = now_ns;
    plant_truth_event(&plant->truth, now_ns, "start scenario=%s seed=%.0f", plant->scenario.name,
                      plant->options.seed);
    while (!plant->done && stop_asked == 0) {
        now_ns = plant_clock_now_ns();
        /* The time first, then the commands: all that arrived before it are in. */
        plant->arrival_count +=
            plant_actuator_receive(&plant->actuator, &plant->clock, plant->arrivals + plant->arrival_count,
                                   PLANT_ACTUATOR_COMMANDS_MAX - plant->arrival_count);
        plant_advance(plant, now_ns);
        take_injected(plant, now_ns);
        marks->wake_goal_ns = plant_next_wake_ns(plant, now_ns);
        sleep_until(plant, marks->wake_goal_ns, while_sleeping);
    }
    now_ns = plant_clock_now_ns();
    plant_truth_event(&plant->truth, now_ns, "end why=%s",
                      plant->not_armed       ? "not_armed"
                      : stop_asked != 0      ? "signal"
                      : plant->physics.burst ? "burst"
                                             : "scenario_end");
    plant_summary(plant, now_ns);
}

static int fail(int status, const char *error)
{
    fprintf(stderr, "sluice-plant: %s\n", error);
    return status;
}

static int run(struct plant *plant, int count, char **arguments)
{
    char error[ERROR_BYTES] = "";
    sigset_t while_sleeping;
    int failed;

    if (plant_options_parse(&plant->options, count, arguments, error, sizeof(error)) != 0)
        return fail(EXIT_USAGE, error);
    if (plant->options.help) {
        plant_options_help();
        return EXIT_SUCCESS;
    }
    if (plant->options.version) {
        puts("sluice-plant " SLUICE_VERSION);
        return EXIT_SUCCESS;
    }
    plant_scenario_init(&plant->scenario);
    if (plant->options.scenario_path != NULL &&
        plant_scenario_load(&plant->scenario, plant->options.scenario_path, error, sizeof(error)) != 0)
        return fail(EXIT_USAGE, error);
    if (plant->options.check) {
        printf("%s: ok: %u events in %g s\n", plant->scenario.name, plant->scenario.event_count,
               (double)plant->scenario.duration_ns * 1e-9);
        return EXIT_SUCCESS;
    }
    catch_stop(&while_sleeping);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* ns; the default of 50 us would be in every sample */
    failed = plant_init(plant, error, sizeof(error));
    if (failed == 0)
        plant_run(plant, &while_sleeping);
    if (plant_fini(plant) != 0 && failed == 0)
        return fail(EXIT_FAILURE, "expected to write all of the logs, but a write failed; is the disk full?");
    if (failed != 0)
        return fail(failed == -EINVAL ? EXIT_USAGE : EXIT_FAILURE, error);
    if (plant->not_armed)
        return fail(EXIT_FAILURE,
                    "--wait-armed: expected both lines energised for 0.5 s in that time, they were not; "
                    "is the server armed and sending to --actuator?");
    return EXIT_SUCCESS;
}

int main(int count, char **arguments)
{
    struct plant *plant = calloc(1, sizeof(*plant));
    int status;

    if (plant == NULL)
        return fail(EXIT_FAILURE, "expected memory for the plant, got none; free some");
    plant->tty.master = plant->actuator.fd = plant->udp.udp_fd = plant->inject.fd = -1;
    status = run(plant, count, arguments);
    free(plant);
    return status;
}
