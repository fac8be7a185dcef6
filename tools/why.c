/* sluice why: the worst decisions and what each is put down to; who took the cores. */
#include "tools/why.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/thief_words.h"
#include "ring/clock.h"
#include "ring/order.h"
#include "tools/screens.h"
#include "tools/session.h"
#include "tools/sluice.h"

#define WORST_DEFAULT 8u
#define COUNT_MOST    100000u
#define SILENT_NS     (5 * CLOCK_NS_PER_S)

struct options {
    const char *instance;
    uint32_t count;
    uint32_t log;      /* stretches to be listed; 0: none */
    bool latest;       /* instead of the worst */
    uint64_t since_ns; /* only what is not older; 0: all */
    bool json;
};

static const char *const kind_keys[LATE_KINDS] = {[LATE_DECISION] = "decision", [LATE_LOOP] = "loop"};

static int usage(FILE *to, int code)
{
    fprintf(to,
            "usage: sluice why [INSTANCE] [--count N] [--latest] [--since SECONDS] [--log N] [--json]\n"
            "The worst decisions and gaps of the control loop, what each is put down to, and who took the cores.\n"
            "  --count N        so many of each kind, default %u\n"
            "  --latest         the latest instead of the worst\n"
            "  --since SECONDS  only what is not older\n"
            "  --log N          also the last N times that a core was taken, one a line\n",
            WORST_DEFAULT);
    return code;
}

static bool parse_count(const char *text, uint32_t *value)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    *value = (uint32_t)n;
    return errno == 0 && end != text && *end == 0 && text[0] != '-' && n >= 1 && n <= COUNT_MOST;
}

static int bad_option(const char *option, const char *found)
{
    char text[160];
    snprintf(text, sizeof(text), "%s expects a whole number from 1 to %u, found '%.40s'", option, COUNT_MOST,
             found);
    return command_fail("why", text, EXIT_USAGE);
}

/* EXIT_DONE, or an exit code that has been explained; -1: only help was asked for. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"count", required_argument, NULL, 'c'},
                                            {"log", required_argument, NULL, 'l'},
                                            {"latest", no_argument, NULL, 'n'},
                                            {"since", required_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    uint32_t seconds = 0;
    *o = (struct options){.count = WORST_DEFAULT};
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'c' && !parse_count(optarg, &o->count)) {
            return bad_option("--count", optarg);
        }
        if (c == 'l' && !parse_count(optarg, &o->log)) {
            return bad_option("--log", optarg);
        }
        if (c == 's' && !parse_count(optarg, &seconds)) {
            return bad_option("--since", optarg);
        }
        o->latest = o->latest || c == 'n';
        o->json = o->json || c == 'j';
        if (c == 'h') {
            usage(stdout, EXIT_DONE);
            return -1;
        }
        if (c == '?') {
            return usage(stderr, EXIT_USAGE);
        }
    }
    o->instance = optind < argc ? argv[optind] : NULL;
    uint64_t now_ns = clock_monotonic_ns();
    o->since_ns = seconds == 0 ? 0 : now_ns > seconds * CLOCK_NS_PER_S ? now_ns - seconds * CLOCK_NS_PER_S : 1;
    return argc - optind <= 1 ? EXIT_DONE : usage(stderr, EXIT_USAGE);
}

/* --- as JSON --- */

static json_t *json_u64(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* Text of a board, which another process writes: it has an end here, and nothing that a terminal would obey. */
static json_t *json_plain(const char *from, size_t bytes)
{
    char text[512];
    size_t most = bytes < sizeof(text) ? bytes : sizeof(text);
    memcpy(text, from, most);
    thief_make_plain(text, most);
    return json_string(text);
}

static json_t *json_culprit(const struct culprit *given)
{
    char who[THIEF_WORDS_BYTES];
    struct culprit plain = *given;
    const struct culprit *culprit = &plain;
    thief_make_plain(plain.name, sizeof(plain.name));
    thief_who(culprit, who);
    return json_pack("{s:s, s:s, s:s, s:I, s:i, s:o, s:I, s:s}", "kind", thief_key(culprit->kind), "who", who,
                     "name", culprit->name, "pid", (json_int_t)culprit->pid, "what", (int)culprit->what, "ns",
                     json_u64(culprit->ns), "times", (json_int_t)culprit->times, "remedy", thief_remedy(culprit));
}

static json_t *json_finding(const struct session *s, const struct observer_finding *finding)
{
    const struct late_entry *late = &finding->late;
    const struct verdict *verdict = &finding->verdict;
    uint64_t tai_ns = late->from_ns + (uint64_t)s->table->tai_minus_monotonic_ns;
    json_t *culprits = json_array();
    for (uint32_t i = 0; i < verdict->culprits && i < CULPRITS_MAX; i++) {
        json_array_append_new(culprits, json_culprit(&verdict->culprit[i]));
    }
    json_t *json = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:I, s:o}", "what", kind_keys[late->kind], "tai_ns",
        json_u64(tai_ns), "monotonic_ns", json_u64(late->from_ns), "took_ns", json_u64(late->to_ns - late->from_ns),
        "limit_ns", json_u64(late->limit_ns), "over", late->over != 0, "complete", finding->complete != 0,
        "named_ns", json_u64(verdict->named_ns), "host_ns", json_u64(verdict->host_ns), "own_ns",
        json_u64(verdict->own_ns), "others", (json_int_t)verdict->others, "culprits", culprits);
    if (late->kind == LATE_DECISION && late->ring < s->table->rings) {
        json_object_set_new(json, "ring", json_string(s->table->ring[late->ring].name));
        json_object_set_new(json, "position", json_u64(late->position));
    }
    return json;
}

static json_t *json_causes(const struct observer_board *board)
{
    json_t *causes = json_object();
    for (uint32_t kind = THIEF_TASK; kind < THIEF_HOST; kind++) {
        const struct histogram *h = &board->lasted[kind];
        json_object_set_new(causes, thief_key(kind),
                            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "count", json_u64(h->count), "total_ns",
                                      json_u64(h->sum_ns), "p50", json_u64(hist_quantile_ns(h, 0.5)), "p99",
                                      json_u64(hist_quantile_ns(h, 0.99)), "p999",
                                      json_u64(hist_quantile_ns(h, 0.999)), "max", json_u64(h->max_ns)));
    }
    return causes;
}

static json_t *json_threads(const struct observer_board *board)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < board->threads && i < THIEF_THREADS_MAX; i++) {
        const struct observer_thread *thread = &board->thread[i];
        json_t *causes = json_object();
        for (uint32_t kind = THIEF_TASK; kind < THIEF_HOST; kind++) {
            if (thread->count[kind] > 0) {
                json_object_set_new(causes, thief_key(kind),
                                    json_pack("{s:o, s:o, s:o}", "count", json_u64(thread->count[kind]), "total_ns",
                                              json_u64(thread->ns[kind]), "longest_ns",
                                              json_u64(thread->longest_ns[kind])));
            }
        }
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:o}", "thread", json_plain(thread->name, sizeof(thread->name)),
                                        "tid", json_u64(thread->tid), "causes", causes));
    }
    return list;
}

static json_t *json_event(const struct session *s, const struct thief_event *event)
{
    struct culprit culprit = {
        .ns = event->ns, .kind = event->kind, .pid = event->pid, .what = event->what, .times = 1};
    memcpy(culprit.name, event->name, sizeof(culprit.name));
    json_t *json = json_culprit(&culprit);
    json_object_set_new(json, "tai_ns", json_u64(event->from_ns + (uint64_t)s->table->tai_minus_monotonic_ns));
    json_object_set_new(json, "monotonic_ns", json_u64(event->from_ns));
    json_object_set_new(json, "cpu", json_integer((json_int_t)event->cpu));
    json_object_set_new(json, "thread", json_plain(s->observer->thread[event->thread].name, RING_NAME_BYTES));
    return json;
}

/* A copy of what a log has, without what was overwritten meanwhile. How many. */
static uint32_t copy_log(const struct observer_log *log, const struct options *o, struct thief_event *to)
{
    static struct thief_event copy[OBSERVER_LOG];
    uint32_t count = 0;
    uint64_t events = __atomic_load_n(&log->events, __ATOMIC_ACQUIRE);
    uint64_t first = events > OBSERVER_LOG ? events - OBSERVER_LOG : 0;
    memcpy(copy, log->event, sizeof(copy));
    ring_reads_before();
    uint64_t later = __atomic_load_n(&log->events, __ATOMIC_ACQUIRE) + 1; /* one may be half written */
    first = later > OBSERVER_LOG && later - OBSERVER_LOG > first ? later - OBSERVER_LOG : first;
    for (uint64_t n = first; n < events; n++) {
        const struct thief_event *event = &copy[n % OBSERVER_LOG];
        if (event->from_ns + event->ns >= o->since_ns && event->thread < THIEF_THREADS_MAX) {
            to[count++] = *event;
        }
    }
    return count;
}

static int by_beginning(const void *one, const void *two)
{
    const struct thief_event *a = one;
    const struct thief_event *b = two;
    return a->from_ns < b->from_ns ? -1 : a->from_ns > b->from_ns;
}

static json_t *json_log(const struct session *s, const struct options *o)
{
    static struct thief_event event[OBSERVER_LOGS * OBSERVER_LOG];
    json_t *list = json_array();
    uint32_t count = 0;
    for (uint32_t i = 0; i < OBSERVER_LOGS; i++) {
        count += copy_log(&s->observer->log[i], o, event + count);
    }
    qsort(event, count, sizeof(event[0]), by_beginning);
    for (uint32_t i = count > o->log ? count - o->log : 0; i < count; i++) {
        json_array_append_new(list, json_event(s, &event[i]));
    }
    return list;
}

/* The observer is an ordinary process, and may be put off in the middle of its writing. */
static int read_findings(const struct session *s, const struct options *o, enum late_kind kind,
                         struct observer_findings *found)
{
    uint32_t tries = 0;
    int code = -EAGAIN;
    while (code == -EAGAIN && session_again(&tries)) {
        code = o->latest ? observer_read_latest(s->observer, found) : observer_read_worst(s->observer, kind, found);
    }
    return code;
}

static int by_length(const void *one, const void *two)
{
    const struct observer_finding *a = one;
    const struct observer_finding *b = two;
    uint64_t a_ns = a->late.to_ns - a->late.from_ns;
    uint64_t b_ns = b->late.to_ns - b->late.from_ns;
    return a_ns > b_ns ? -1 : a_ns < b_ns;
}

/* The worst that are not older than was asked for may stand among the latest only: what was worse once keeps them
 * out of the other table. Each once. */
static int add_latest(const struct session *s, const struct options *o, struct observer_findings *found)
{
    static struct observer_findings latest;
    uint32_t worst = found->count;
    uint32_t tries = 0;
    int code = -EAGAIN;
    while (code == -EAGAIN && session_again(&tries)) {
        code = observer_read_latest(s->observer, &latest);
    }
    for (uint32_t i = 0; code == 0 && i < latest.count && found->count < OBSERVER_LATEST; i++) {
        bool known = false;
        for (uint32_t w = 0; w < worst; w++) {
            known = known || found->finding[w].number == latest.finding[i].number;
        }
        if (!known && latest.finding[i].late.to_ns >= o->since_ns) {
            found->finding[found->count++] = latest.finding[i];
        }
    }
    qsort(found->finding, found->count, sizeof(found->finding[0]), by_length);
    return code;
}

/* Findings of one kind, as many as are wanted. -EAGAIN if the observer kept writing. */
static int add_findings(const struct session *s, const struct options *o, enum late_kind kind, json_t *list)
{
    static struct observer_findings found;
    int code = read_findings(s, o, kind, &found);
    if (code == 0 && o->since_ns > 0 && !o->latest) {
        code = add_latest(s, o, &found);
    }
    uint32_t added = 0;
    for (uint32_t i = 0; code == 0 && i < found.count && added < o->count; i++) {
        const struct observer_finding *finding = &found.finding[o->latest ? found.count - 1 - i : i];
        if (finding->late.kind == kind && finding->late.to_ns >= o->since_ns) {
            json_array_append_new(list, json_finding(s, finding));
            added++;
        }
    }
    return code;
}

static const char *state_key(const struct observer_board *board)
{
    static const char *const words[] = {"starting", "watching", "blind"};
    if (board == NULL) {
        return "off";
    }
    uint64_t beat_ns = __atomic_load_n(&board->common.heartbeat_ns, __ATOMIC_ACQUIRE);
    uint64_t now_ns = clock_monotonic_ns();
    if (beat_ns != 0 && now_ns > beat_ns + SILENT_NS) {
        return "silent";
    }
    return beat_ns == 0                                      ? words[0]
           : board->state < sizeof(words) / sizeof(words[0]) ? words[board->state]
                                                             : "unknown";
}

static json_t *make(const struct session *s, const struct options *o, struct error *err)
{
    const struct observer_board *board = s->observer;
    json_t *report = json_pack("{s:s, s:s}", "instance", s->instance, "observer", state_key(board));
    if (board == NULL) {
        return report;
    }
    json_t *decisions = json_array();
    json_t *loops = json_array();
    json_t *refusals = json_array();
    int code = add_findings(s, o, LATE_DECISION, decisions);
    code = code == 0 ? add_findings(s, o, LATE_LOOP, loops) : code;
    if (code != 0) {
        json_decref(decisions);
        json_decref(loops);
        json_decref(refusals);
        json_decref(report);
        error_set(err, code, "the observer died, or stands still, while it wrote; try again");
        return NULL;
    }
    for (uint32_t i = 0; i < board->common.refusals && i < BOARD_REFUSALS_MAX; i++) {
        json_array_append_new(refusals, json_plain(board->common.refusal[i], BOARD_REFUSAL_BYTES));
    }
    json_object_update_new(
        report,
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "refusals", refusals,
                  "missing", json_plain(board->missing, sizeof(board->missing)), "threshold_ns",
                  json_u64(board->threshold_ns), "told", json_u64(board->told), "lost", json_u64(board->lost),
                  "brief", json_u64(board->brief), "late_decisions", json_u64(board->over[LATE_DECISION]),
                  "late_loops", json_u64(board->over[LATE_LOOP]), "missed", json_u64(board->missed), "decisions",
                  decisions, "loops", loops, "causes", json_causes(board), "threads", json_threads(board)));
    if (o->log > 0) {
        json_object_set_new(report, "log", json_log(s, o));
    }
    return report;
}

/* --- for people --- */

static void say_time(double ns, char text[24])
{
    if (ns >= 1e9) {
        snprintf(text, 24, "%.2f s", ns / 1e9);
    } else if (ns >= 1e6) {
        snprintf(text, 24, "%.1f ms", ns / 1e6);
    } else {
        snprintf(text, 24, "%.1f us", ns / 1e3);
    }
}

/* UTC of the day, to the microsecond. */
static void say_when(const json_t *of, int32_t utc_offset_s, char text[24])
{
    uint64_t ns = (uint64_t)number_of(of, "tai_ns");
    time_t seconds = (time_t)(ns / CLOCK_NS_PER_S) - utc_offset_s;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    snprintf(text, 24, "%02d:%02d:%02d.%06u", tm.tm_hour, tm.tm_min, tm.tm_sec,
             (unsigned)(ns % CLOCK_NS_PER_S / CLOCK_NS_PER_US));
}

static void draw_finding(const json_t *finding, int32_t utc_offset_s)
{
    char when[24];
    char took[24];
    double took_ns = number_of(finding, "took_ns");
    size_t i;
    json_t *culprit;
    say_when(finding, utc_offset_s, when);
    say_time(took_ns, took);
    printf("%s %10s%s", when, took, true_of(finding, "over") ? " late" : "     ");
    if (json_object_get(finding, "ring") != NULL) {
        printf("  %s frame %.0f", text_of(finding, "ring"), number_of(finding, "position"));
    }
    printf("%s\n", true_of(finding, "complete") ? "" : "  (not all that happened then is known)");
    json_array_foreach(json_object_get(finding, "culprits"), i, culprit)
    {
        char part[24];
        say_time(number_of(culprit, "ns"), part);
        printf("    %10s %3.0f %%  %s", part, 100 * number_of(culprit, "ns") / (took_ns > 0 ? took_ns : 1),
               text_of(culprit, "who"));
        printf(number_of(culprit, "times") > 1 ? ", %.0f times\n" : "\n", number_of(culprit, "times"));
    }
    char own[24];
    say_time(number_of(finding, "own_ns"), own);
    printf("    %10s %3.0f %%  its own work, and waiting for its turn\n", own,
           100 * number_of(finding, "own_ns") / (took_ns > 0 ? took_ns : 1));
}

static void draw_findings(const json_t *list, const char *title, int32_t utc_offset_s, json_t *remedies)
{
    size_t i;
    json_t *finding;
    printf("\n%s%s\n", title, json_array_size(list) == 0 ? ": none" : "");
    json_array_foreach(list, i, finding)
    {
        json_t *first = json_array_get(json_object_get(finding, "culprits"), 0);
        draw_finding(finding, utc_offset_s);
        if (first != NULL && text_of(first, "remedy")[0] != 0) {
            json_object_set_new(remedies, text_of(first, "remedy"), json_true());
        }
    }
}

static void draw_causes(const json_t *report)
{
    const char *key;
    json_t *cause;
    printf("\n%-28s %10s %10s %9s %9s %9s\n", "what took the cores", "times", "together", "p50", "p99", "max");
    json_object_foreach(json_object_get(report, "causes"), key, cause)
    {
        char text[4][24];
        if (number_of(cause, "count") > 0) {
            say_time(number_of(cause, "total_ns"), text[0]);
            say_time(number_of(cause, "p50"), text[1]);
            say_time(number_of(cause, "p99"), text[2]);
            say_time(number_of(cause, "max"), text[3]);
            printf("%-28s %10.0f %10s %9s %9s %9s\n", key, number_of(cause, "count"), text[0], text[1], text[2],
                   text[3]);
        }
    }
}

static void draw_threads(const json_t *report)
{
    size_t i;
    json_t *thread;
    json_array_foreach(json_object_get(report, "threads"), i, thread)
    {
        const char *key;
        json_t *cause;
        bool first = true;
        printf("%-20s %7.0f ", text_of(thread, "thread"), number_of(thread, "tid"));
        json_object_foreach(json_object_get(thread, "causes"), key, cause)
        {
            char longest[24];
            say_time(number_of(cause, "longest_ns"), longest);
            printf("%s %s %.0f (max %s)", first ? "" : ",", key, number_of(cause, "count"), longest);
            first = false;
        }
        printf("%s\n", first ? " nothing yet" : "");
    }
}

static void draw_log(const json_t *report, int32_t utc_offset_s)
{
    size_t i;
    json_t *entry;
    if (json_object_get(report, "log") == NULL) {
        return;
    }
    printf("\n%-15s %10s %4s %-20s %s\n", "when", "how long", "core", "whose", "who");
    json_array_foreach(json_object_get(report, "log"), i, entry)
    {
        char when[24];
        char took[24];
        say_when(entry, utc_offset_s, when);
        say_time(number_of(entry, "ns"), took);
        printf("%s %10s %4.0f %-20s %s\n", when, took, number_of(entry, "cpu"), text_of(entry, "thread"),
               text_of(entry, "who"));
    }
}

static void draw(const json_t *report, int32_t utc_offset_s)
{
    size_t i;
    json_t *refusal;
    const char *state = text_of(report, "observer");
    printf("%s: observer %s\n", text_of(report, "instance"), state);
    if (strcmp(state, "off") == 0) {
        printf("nothing watches who takes the cores: the configuration says observer: {watch: false}\n");
        return;
    }
    if (strcmp(state, "silent") == 0) {
        printf("  ! it has been silent for more than 5 s: what follows is old\n");
    }
    json_array_foreach(json_object_get(report, "refusals"), i, refusal)
    {
        printf("  ! %s\n", json_string_value(refusal));
    }
    if (text_of(report, "missing")[0] != 0) {
        printf("  ! this kernel does not tell of: %s\n", text_of(report, "missing"));
    }
    if (number_of(report, "lost") > 0) {
        printf("  ! %.0f times that a core was taken found no room, and are not known\n",
               number_of(report, "lost"));
    }
    json_t *remedies = json_object();
    draw_findings(json_object_get(report, "decisions"), "decisions, from a frame's stamp on", utc_offset_s,
                  remedies);
    draw_findings(json_object_get(report, "loops"), "gaps of the control loop", utc_offset_s, remedies);
    printf("\n%.0f late decisions and %.0f long gaps of the loop so far; the worst of each second are looked at "
           "too.\n",
           number_of(report, "late_decisions"), number_of(report, "late_loops"));
    const char *remedy;
    json_t *unused;
    json_object_foreach(remedies, remedy, unused)
    {
        printf("  > %s\n", remedy);
    }
    json_decref(remedies);
    if (strcmp(state, "watching") == 0) {
        draw_causes(report);
        printf("\n%-20s %7s  what it lost its core to\n", "thread", "tid");
        draw_threads(report);
    }
    draw_log(report, utc_offset_s);
}

int command_why(int argc, char **argv)
{
    struct error err = {{0}};
    struct session session;
    struct options o;
    char instance[RING_NAME_BYTES];
    int code = parse(argc, argv, &o);
    if (code != EXIT_DONE) {
        return code < 0 ? EXIT_DONE : code;
    }
    code = session_instance(o.instance, instance, &err);
    if (code != 0) {
        return command_fail("why", err.text, code == -EINVAL ? EXIT_USAGE : EXIT_UNREACHABLE);
    }
    code = session_open(&session, instance, &err);
    code = code == 0 ? session_refresh(&session, &err) : code;
    if (code != 0) {
        session_close(&session);
        return command_fail("why", err.text, EXIT_UNREACHABLE);
    }
    json_t *report = make(&session, &o, &err);
    if (report == NULL) {
        session_close(&session);
        return command_fail("why", err.text, EXIT_NOT_SO);
    }
    if (o.json) {
        json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        printf("\n");
    } else {
        draw(report, session.rings > 0 ? session.ring[0].header->identity.utc_offset_s : 0);
    }
    json_decref(report);
    session_close(&session);
    return EXIT_DONE;
}
