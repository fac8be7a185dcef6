/* What was found, for people and as JSON. The keys of findings stand in doctor_kinds.c. */
#include <jansson.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "tools/doctor.h"

static void print_time(char *text, size_t bytes)
{
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(text, bytes, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void print_head(const struct doctor *d, FILE *to)
{
    char when[32];
    char cores[96];
    struct utsname name;
    print_time(when, sizeof(when));
    doctor_print_cores(&d->need.cores, cores, sizeof(cores));
    if (d->root[0] != 0 || uname(&name) != 0) {
        fprintf(to, "host: the tree %s, %s\n", d->root, when);
    } else {
        fprintf(to, "host: %s, kernel %s, %s\n", name.nodename, name.release, when);
    }
    fprintf(to, "for: %s, cores %s%s\n\n", d->need.name[0] != 0 ? d->need.name : "no configuration", cores,
            d->need.pinned ? "" : " (all that may be used)");
}

static void print_finding(const struct doctor *d, enum doctor_key key, FILE *to)
{
    const struct doctor_finding *finding = &d->finding[key];
    const struct doctor_kind *kind = &doctor_kinds[key];
    fprintf(to, "%-8s %-22s %s\n", doctor_severity_word(finding->severity), kind->key, finding->found);
    if (finding->severity != DOCTOR_OK) {
        fprintf(to, "         expected: %s; %s\n         do: %s%s\n", kind->expected, kind->why,
                doctor_remedy(d, key), finding->fixable ? " (--fix does it)" : "");
        if (kind->gate != NULL) {
            fprintf(to, "         the arming gate looks at it: %s\n", kind->gate);
        }
    }
}

static void print_measures(const struct doctor_measures *m, FILE *to)
{
    fputs("\ncores: gaps of more than 10 us in a busy loop, and a 1 ms timer, in us\n"
          "  core     gaps    longest  taken % |    ticks      p50      p99  longest\n",
          to);
    for (uint32_t i = 0; i < m->cores; i++) {
        const struct doctor_core *core = &m->core[i];
        if (core->span_ns == 0) {
            fprintf(to, "  %4d could not be measured\n", core->core);
            continue;
        }
        fprintf(to, "  %4d %8llu %10.1f %8.3f | %8llu %8.1f %8.1f %8.1f\n", core->core,
                (unsigned long long)core->gaps, (double)core->gap_max_ns / 1e3,
                100.0 * (double)core->stolen_ns / (double)core->span_ns, (unsigned long long)core->timers,
                (double)core->timer_p50_ns / 1e3, (double)core->timer_p99_ns / 1e3,
                (double)core->timer_max_ns / 1e3);
    }
    for (uint32_t i = 0; i < m->pairs; i++) {
        fprintf(to, "  core %d to %d, one way: p50 %llu ns of %llu round trips\n", m->pair[i].from, m->pair[i].to,
                (unsigned long long)m->pair[i].p50_ns, (unsigned long long)m->pair[i].rounds);
    }
}

void doctor_print(const struct doctor *d, FILE *to)
{
    uint32_t count[DOCTOR_DANGER + 1] = {0};
    print_head(d, to);
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        print_finding(d, (enum doctor_key)i, to);
        count[d->finding[i].severity]++;
    }
    if (d->measures.done) {
        print_measures(&d->measures, to);
    }
    fprintf(to, "\nverdict: %s (%u dangers, %u warnings, %u unknown, %u notes, %u ok)\n",
            doctor_severity_word(doctor_verdict(d)), count[DOCTOR_DANGER], count[DOCTOR_WARNING],
            count[DOCTOR_UNKNOWN], count[DOCTOR_NOTE], count[DOCTOR_OK]);
    if (d->certified[0] != 0) {
        fprintf(to, "left for the arming gate in %s: %s\n", d->certified,
                count[DOCTOR_DANGER] + count[DOCTOR_UNKNOWN] == 0
                    ? "passes, until the machine is started anew"
                    : "does not pass, before nothing is a danger or unknown");
    }
}

static json_t *text_or_null(const char *text)
{
    return text != NULL && text[0] != 0 ? json_string(text) : json_null();
}

static json_t *number_or_null(uint64_t n)
{
    return n > 0 ? json_integer((json_int_t)n) : json_null();
}

static json_t *make_finding(const struct doctor *d, enum doctor_key key)
{
    const struct doctor_finding *finding = &d->finding[key];
    const struct doctor_kind *kind = &doctor_kinds[key];
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:b}", "key", kind->key, "severity",
                     doctor_severity_word(finding->severity), "expected", kind->expected, "found", finding->found,
                     "why", kind->why, "remedy", doctor_remedy(d, key), "gate", text_or_null(kind->gate), "fixable",
                     (int)finding->fixable);
}

static json_t *make_core(const struct doctor_core *core)
{
    return json_pack("{s:i, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "core", core->core, "measured",
                     (int)(core->span_ns > 0), "span_ns", (json_int_t)core->span_ns, "gaps", (json_int_t)core->gaps,
                     "gap_max_ns", (json_int_t)core->gap_max_ns, "stolen_ns", (json_int_t)core->stolen_ns, "timers",
                     (json_int_t)core->timers, "timer_p50_ns", (json_int_t)core->timer_p50_ns, "timer_p99_ns",
                     (json_int_t)core->timer_p99_ns, "timer_max_ns", (json_int_t)core->timer_max_ns);
}

static json_t *make_measures(const struct doctor_measures *m)
{
    json_t *cores = json_array();
    json_t *pairs = json_array();
    if (!m->done) {
        json_decref(cores);
        json_decref(pairs);
        return json_null();
    }
    for (uint32_t i = 0; i < m->cores; i++) {
        json_array_append_new(cores, make_core(&m->core[i]));
    }
    for (uint32_t i = 0; i < m->pairs; i++) {
        const struct doctor_pair *pair = &m->pair[i];
        json_array_append_new(pairs, json_pack("{s:i, s:i, s:I, s:I, s:I}", "from", pair->from, "to", pair->to,
                                               "rounds", (json_int_t)pair->rounds, "p50_ns",
                                               (json_int_t)pair->p50_ns, "max_ns", (json_int_t)pair->max_ns));
    }
    return json_pack("{s:I, s:o, s:o, s:o}", "seconds", (json_int_t)m->seconds, "cores", cores,
                     "memcpy_bytes_per_s", number_or_null(m->memcpy_bytes_per_s), "pairs", pairs);
}

static json_t *make_changes(const struct doctor *d)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < d->changes; i++) {
        const struct doctor_change *change = &d->change[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "key", doctor_kinds[change->key].key, "path",
                                              change->path, "from", change->from, "to", change->to));
    }
    return list;
}

void doctor_print_json(const struct doctor *d, FILE *to)
{
    char when[32];
    char cores[96];
    json_t *findings = json_array();
    print_time(when, sizeof(when));
    doctor_print_cores(&d->need.cores, cores, sizeof(cores));
    for (uint32_t i = 0; i < DOCTOR_KEYS; i++) {
        json_array_append_new(findings, make_finding(d, (enum doctor_key)i));
    }
    json_t *report = json_pack(
        "{s:s, s:o, s:o, s:s, s:b, s:s, s:o, s:o, s:o, s:I, s:o}", "time", when, "root", text_or_null(d->root),
        "instance", text_or_null(d->need.name), "cores", cores, "pinned", (int)d->need.pinned, "verdict",
        doctor_severity_word(doctor_verdict(d)), "findings", findings, "measurements", make_measures(&d->measures),
        "fixes", make_changes(d), "failed", (json_int_t)d->failed, "certified", text_or_null(d->certified));
    if (report == NULL || json_dumpf(report, to, JSON_INDENT(2) | JSON_PRESERVE_ORDER) != 0) {
        fprintf(stderr, "sluice doctor: no memory for the report, or no place for it\n");
    }
    fprintf(to, "\n");
    json_decref(report);
}
