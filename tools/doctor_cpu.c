/* Whose the cores are, and how fast they are awake. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/doctor.h"

#define CPU              "/sys/devices/system/cpu"
#define STATES_MAX       32
#define STATE_SLOW_US    20
#define CORES_TEXT_BYTES 96

/* A list of cores; 0 or -errno. A file of one line end is a list of none. */
static int read_cores(const struct doctor *d, const char *path, cpu_set_t *set)
{
    char text[4096];
    int n = doctor_read(d, path, text, sizeof(text));
    if (n < 0) {
        return n;
    }
    if (strcmp(text, "(null)") == 0) { /* of nohz_full, if it was not given */
        text[0] = 0;
    }
    return doctor_parse_cores(text, set) ? 0 : -EBADMSG;
}

/* Those of `cores` that are not in `have`. */
static void missing(const cpu_set_t *cores, const cpu_set_t *have, cpu_set_t *lacking)
{
    cpu_set_t both;
    CPU_AND(&both, cores, have);
    CPU_XOR(lacking, cores, &both);
}

static void look_cores(struct doctor *d)
{
    static const char path[] = CPU "/online";
    char text[CORES_TEXT_BYTES];
    cpu_set_t online;
    cpu_set_t lacking;
    int code = read_cores(d, path, &online);
    if (code == 0 && CPU_COUNT(&online) == 0) {
        code = -EBADMSG;
    }
    if (code != 0) {
        doctor_unreadable(d, DOCTOR_CORES, path, code);
        return;
    }
    missing(&d->need.cores, &online, &lacking);
    if (d->need.pinned && CPU_COUNT(&lacking) > 0) {
        doctor_print_cores(&lacking, text, sizeof(text));
        doctor_find(d, DOCTOR_CORES, DOCTOR_DANGER, "core %s is not online", text);
        return;
    }
    doctor_print_cores(&online, text, sizeof(text));
    if (d->need.name[0] == 0) {
        doctor_find(d, DOCTOR_CORES, DOCTOR_NOTE, "cores %s are online; no configuration says which are used",
                    text);
        doctor_advise(d, DOCTOR_CORES, "say --config FILE, to have its cores looked at");
    } else if (!d->need.control_pinned) {
        doctor_find(d, DOCTOR_CORES, DOCTOR_WARNING, "%s does not pin the control thread (online: %s)",
                    d->need.name, text);
    } else {
        doctor_print_cores(&d->need.cores, text, sizeof(text));
        doctor_find(d, DOCTOR_CORES, DOCTOR_OK, "%s pins to %s, which are online", d->need.name, text);
    }
}

/* Whether the cores lie in a set that the kernel was booted with. Without a configuration: whether it has any. */
static void judge_set(struct doctor *d, enum doctor_key key, const cpu_set_t *have, enum doctor_severity severity)
{
    char have_text[CORES_TEXT_BYTES];
    char text[CORES_TEXT_BYTES];
    cpu_set_t lacking;
    doctor_print_cores(have, have_text, sizeof(have_text));
    missing(&d->need.cores, have, &lacking);
    if (CPU_COUNT(have) == 0) {
        doctor_find(d, key, severity, "no core is");
    } else if (d->need.pinned && CPU_COUNT(&lacking) > 0) {
        doctor_print_cores(&lacking, text, sizeof(text));
        doctor_find(d, key, severity, "cores %s are not (only %s)", text, have_text);
    } else {
        doctor_find(d, key, DOCTOR_OK, "cores %s are", have_text);
    }
}

static void look_set(struct doctor *d, enum doctor_key key, const char *path, enum doctor_severity severity)
{
    cpu_set_t have;
    int code = read_cores(d, path, &have);
    if (code != 0) {
        doctor_unreadable(d, key, path, code);
        return;
    }
    judge_set(d, key, &have, severity);
}

/* The kernel shows it nowhere but in its command line; nohz_full implies it. */
static void look_rcu(struct doctor *d)
{
    static const char path[] = "/proc/cmdline";
    char line[4096];
    char value[1024];
    cpu_set_t have;
    cpu_set_t nohz;
    CPU_ZERO(&have);
    int n = doctor_read(d, path, line, sizeof(line));
    if (n < 0) {
        doctor_unreadable(d, DOCTOR_RCU_NOCBS, path, n);
        return;
    }
    if (doctor_parse_option(line, "rcu_nocbs", value, sizeof(value))) {
        if (strcmp(value, "all") == 0) {
            have = d->need.cores;
        } else if (!doctor_parse_cores(value, &have)) {
            doctor_find(d, DOCTOR_RCU_NOCBS, DOCTOR_UNKNOWN, "cannot read rcu_nocbs=%.80s of %s", value, path);
            return;
        }
    }
    if (read_cores(d, CPU "/nohz_full", &nohz) == 0) {
        CPU_OR(&have, &have, &nohz);
    }
    judge_set(d, DOCTOR_RCU_NOCBS, &have, DOCTOR_NOTE);
}

/* What was seen of the cores one by one: the worst is told, with the first core that has it. */
struct survey {
    uint32_t good;
    uint32_t bad;
    uint32_t unknown;
    int code; /* -errno of the first unknown */
    char path[DOCTOR_PATH_BYTES];
    char example[128];
};

static void note_unknown(struct survey *survey, const char *path, int code)
{
    if (survey->unknown++ == 0) {
        survey->code = code;
        snprintf(survey->path, sizeof(survey->path), "%s", path);
    }
}

static void conclude(struct doctor *d, enum doctor_key key, const struct survey *survey, const char *good)
{
    if (survey->bad > 0) {
        doctor_find(d, key, DOCTOR_WARNING, "%u core%s: %s%s", survey->bad, survey->bad == 1 ? "" : "s",
                    survey->example, survey->unknown > 0 ? "; of others it is not known" : "");
    } else if (survey->unknown > 0) {
        doctor_unreadable(d, key, survey->path, survey->code);
    } else if (survey->good > 0) {
        doctor_find(d, key, DOCTOR_OK, "%s", good);
    }
}

static void look_governor(struct doctor *d)
{
    struct survey survey = {0};
    char path[DOCTOR_PATH_BYTES];
    char word[64];
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET((size_t)core, &d->need.cores)) {
            continue;
        }
        doctor_path(path, CPU "/cpu%d/cpufreq/scaling_governor", core);
        int n = doctor_read(d, path, word, sizeof(word));
        if (n <= 0) {
            note_unknown(&survey, path, n < 0 ? n : -ENODATA);
        } else if (strcmp(word, "performance") == 0) {
            survey.good++;
        } else {
            snprintf(survey.example, sizeof(survey.example), "core %d has %s", core, word);
            survey.bad++;
            doctor_propose(d, DOCTOR_GOVERNOR, path, word, "performance");
        }
    }
    conclude(d, DOCTOR_GOVERNOR, &survey, "performance everywhere");
}

/* One core's states. 1: a slow one may be entered, 0: none; or -errno with the path. */
static int slow_state(const struct doctor *d, int core, char path[DOCTOR_PATH_BYTES], char *example, size_t bytes)
{
    for (int state = 0; state < STATES_MAX; state++) {
        int64_t latency_us;
        int64_t disabled;
        doctor_path(path, CPU "/cpu%d/cpuidle/state%d/latency", core, state);
        int code = doctor_read_number(d, path, &latency_us);
        if (code == -ENOENT && state > 0) {
            return 0;
        }
        if (code == 0) {
            doctor_path(path, CPU "/cpu%d/cpuidle/state%d/disable", core, state);
            code = doctor_read_number(d, path, &disabled);
        }
        if (code != 0) {
            return code;
        }
        if (latency_us > STATE_SLOW_US && disabled == 0) {
            snprintf(example, bytes, "core %d may enter state %d, which takes %lld us to leave", core, state,
                     (long long)latency_us);
            return 1;
        }
    }
    return 0;
}

static void look_idle(struct doctor *d)
{
    struct survey survey = {0};
    char path[DOCTOR_PATH_BYTES];
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET((size_t)core, &d->need.cores)) {
            int found = slow_state(d, core, path, survey.example, sizeof(survey.example));
            survey.bad += found > 0;
            survey.good += found == 0;
            if (found < 0) {
                note_unknown(&survey, path, found);
            }
        }
    }
    conclude(d, DOCTOR_IDLE_STATES, &survey, "no slow one is enabled");
}

static void look_smt(struct doctor *d)
{
    struct survey survey = {0};
    char path[DOCTOR_PATH_BYTES];
    cpu_set_t siblings;
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET((size_t)core, &d->need.cores)) {
            continue;
        }
        doctor_path(path, CPU "/cpu%d/topology/thread_siblings_list", core);
        int code = read_cores(d, path, &siblings);
        if (code != 0 || !CPU_ISSET((size_t)core, &siblings)) {
            note_unknown(&survey, path, code != 0 ? code : -EBADMSG);
        } else if (CPU_COUNT(&siblings) > 1) {
            char text[64];
            doctor_print_cores(&siblings, text, sizeof(text));
            snprintf(survey.example, sizeof(survey.example), "core %d shares one with others (%s)", core, text);
            survey.bad++;
        } else {
            survey.good++;
        }
    }
    conclude(d, DOCTOR_SMT_SIBLINGS, &survey, "no core has one that is online");
}

/* "hypervisor" among the flags of the first processor. */
static void look_hypervisor(struct doctor *d)
{
    static const char path[] = "/proc/cpuinfo";
    char text[16384];
    int n = doctor_read_head(d, path, text, sizeof(text));
    const char *flags = n > 0 ? strstr(text, "\nflags") : NULL;
    if (flags == NULL) {
        doctor_unreadable(d, DOCTOR_HYPERVISOR, path, n < 0 ? n : -EBADMSG);
        return;
    }
    size_t line = strcspn(flags + 1, "\n");
    const char *word = strstr(flags, " hypervisor");
    if (word != NULL && word < flags + 1 + line) {
        doctor_find(d, DOCTOR_HYPERVISOR, DOCTOR_WARNING, "this is a virtual machine");
    } else {
        doctor_find(d, DOCTOR_HYPERVISOR, DOCTOR_OK, "the processor tells of none");
    }
}

void doctor_look_cpu(struct doctor *d)
{
    look_cores(d);
    look_set(d, DOCTOR_ISOLATION, CPU "/isolated", DOCTOR_WARNING);
    look_set(d, DOCTOR_NOHZ_FULL, CPU "/nohz_full", DOCTOR_NOTE);
    look_rcu(d);
    look_governor(d);
    look_idle(d);
    look_smt(d);
    look_hypervisor(d);
}
