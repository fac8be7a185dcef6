#include "tools/gen/options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX    64
#define NAME_IS_PAST 1000 /* values of getopt_long that are a row */
#define SECONDS_MAX  1e7
#define CORES_MAX    4095
#define SIZE_DEFAULT 1472u
#define RATE_DEFAULT 1000u

enum kind { KIND_FLAG, KIND_COUNT, KIND_REAL, KIND_TEXT, KIND_OWN };

struct row {
    const char *name;
    const char *value; /* what stands behind it */
    const char *what;
    size_t offset;
    enum kind kind;
    bool of_run; /* a line of --control may have it */
    double lowest, highest, preset;
    int (*own)(struct options *options, const char *text, struct error *err);
};

static int own_rate(struct options *options, const char *text, struct error *err)
{
    options->max = false;
    return pace_rate_parse(&options->rate, text, err);
}

/* "64", "64:7": a size, and how often it comes beside the others. */
static const char *one_size(struct plan_size *size, const char *text)
{
    char *end;
    unsigned long bytes = strtoul(text, &end, 10);
    unsigned long weight = 1;
    bool good = *text >= '0' && *text <= '9' && bytes <= FRAME_PAYLOAD_MAX;
    if (good && *end == ':') {
        text = end + 1;
        weight = strtoul(text, &end, 10);
        good = *text >= '0' && *text <= '9' && weight >= 1 && weight <= 1000000;
    }
    *size = (struct plan_size){.bytes = (uint32_t)bytes, .weight = (uint32_t)weight};
    return good && (*end == 0 || *end == ',') ? end : NULL;
}

static int own_sizes(struct options *options, const char *text, struct error *err)
{
    const char *at = text;
    uint32_t n = 0;
    do {
        at = n < PLAN_SIZES_MAX ? one_size(&options->size[n++], at) : NULL;
    } while (at != NULL && *at++ == ',');
    if (at == NULL) {
        return error_set(
            err, -EINVAL,
            "expected up to %u sizes of payload, each 0 to %u bytes with a weight of 1 to 1000000, such as "
            "64:7,570:4,1472:1, found '%s'",
            PLAN_SIZES_MAX, FRAME_PAYLOAD_MAX, text);
    }
    options->sizes = n;
    return 0;
}

static int own_size(struct options *options, const char *text, struct error *err)
{
    struct plan_size size;
    const char *end = strchr(text, ':') == NULL ? one_size(&size, text) : NULL;
    if (end == NULL || *end != 0) {
        return error_set(err, -EINVAL,
                         "expected a size of payload, 0 to %u bytes, found '%s'; --sizes mixes several",
                         FRAME_PAYLOAD_MAX, text);
    }
    options->size[0] = size;
    options->sizes = 1;
    return 0;
}

static int one_of(uint32_t *value, const char *text, const char *const *words, struct error *err)
{
    char list[128] = "";
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i + 1;
            return 0;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    return error_set(err, -EINVAL, "expected one of %s, found '%s'", list, text);
}

static int own_format(struct options *options, const char *text, struct error *err)
{
    const char *const words[] = {"sluice", "field", "raw", "vdif", NULL}; /* enum writer_format */
    return one_of(&options->format, text, words, err);
}

static int own_content(struct options *options, const char *text, struct error *err)
{
    const char *const words[] = {"each", "same", NULL};
    return one_of(&options->content, text, words, err);
}

static int own_full(struct options *options, const char *text, struct error *err)
{
    const char *const words[] = {"wait", "drop", NULL};
    uint32_t word = 0;
    int failed = one_of(&word, text, words, err);
    options->drop_when_full = word == 2;
    return failed;
}

static int mac(uint8_t to[6], const char *text, struct error *err)
{
    const char *at = text;
    uint8_t bytes[6];
    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        char *end;
        unsigned long byte = strtoul(at, &end, 16);
        if (!isxdigit((unsigned char)at[0]) || end - at > 2 || *end != (i < 5 ? ':' : 0)) {
            return error_set(err, -EINVAL, "expected an address such as 02:00:00:00:00:01, found '%s'", text);
        }
        bytes[i] = (uint8_t)byte;
        at = end + 1;
    }
    memcpy(to, bytes, sizeof(bytes));
    return 0;
}

static int own_to_mac(struct options *options, const char *text, struct error *err)
{
    options->to_mac_given = true;
    return mac(options->head.to_mac, text, err);
}

static int own_from_mac(struct options *options, const char *text, struct error *err)
{
    options->from_mac_given = true;
    return mac(options->head.from_mac, text, err);
}

static int ip(uint32_t *to, const char *text, struct error *err)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1) {
        return error_set(err, -EINVAL, "expected an IPv4 address such as 192.0.2.1, found '%s'", text);
    }
    *to = address.s_addr;
    return 0;
}

static int own_to_ip(struct options *options, const char *text, struct error *err)
{
    return ip(&options->head.to_ip, text, err);
}

static int own_from_ip(struct options *options, const char *text, struct error *err)
{
    options->from_ip_given = true;
    return ip(&options->head.from_ip, text, err);
}

static int own_ethertype(struct options *options, const char *text, struct error *err)
{
    char *end;
    unsigned long type = strtoul(text, &end, 16);
    if (end == text || *end != 0 || type < 0x600 || type > 0xffff) {
        return error_set(err, -EINVAL, "expected an EtherType, 0600 to ffff hexadecimal, such as 88b5, found '%s'",
                         text);
    }
    options->head.ethertype = (uint32_t)type;
    return 0;
}

#define AT(member) offsetof(struct options, member)
#define RUN        true
#define PORT       false

static const struct row rows[] = {
    {"rate", "N[k|M|G]pps|bit/s", "of frames, or of payload bits; default 1000pps", 0, KIND_OWN, RUN, 0, 0, 0,
     own_rate},
    {"max", NULL, "as fast as it goes", AT(max), KIND_FLAG, RUN},
    {"size", "BYTES", "of each payload, the format's header in it; default 1472", 0, KIND_OWN, RUN, 0, 0, 0,
     own_size},
    {"sizes", "BYTES:WEIGHT,..", "a mix", 0, KIND_OWN, RUN, 0, 0, 0, own_sizes},
    {"count", "N", "numbers, lost ones among them; 0: no bound", AT(count), KIND_COUNT, RUN, 0, 0x1p62, 0},
    {"seconds", "S", "ends after so long; 0: no bound", AT(seconds), KIND_REAL, RUN, 0, SECONDS_MAX, 0},
    {"burst", "N", "frames back to back; 0: about 20 us of them, at most 64", AT(burst), KIND_COUNT, RUN, 0,
     PLAN_BURST_MAX, 0},
    {"seed", "N", "of content, sizes and everything injected", AT(seed), KIND_COUNT, RUN, 0, 0x1p53, 1},
    {"lose", "P", "numbers used but not sent, 0 to 1 of all", AT(lose), KIND_REAL, RUN, 0, 1, 0},
    {"duplicate", "P", "sent twice", AT(duplicate), KIND_REAL, RUN, 0, 1, 0},
    {"reorder", "P", "changed places with the next", AT(reorder), KIND_REAL, RUN, 0, 1, 0},
    {"late", "P", "sent behind a number --late-by higher", AT(late), KIND_REAL, RUN, 0, 1, 0},
    {"late-by", "N", "more than a receiver's window", AT(late_by), KIND_COUNT, RUN, 1, PLAN_LATE_MAX - 1, 100},
    {"corrupt", "P", "one bit of content wrong, behind the checksum's back", AT(corrupt), KIND_REAL, RUN, 0, 1, 0},
    {"lose-tail", "N", "the last numbers are not sent", AT(lose_tail), KIND_COUNT, RUN, 0, 0x1p53, 0},
    {"first", "N", "number of the first frame", AT(first), KIND_COUNT, RUN, 0, 0x1p62, 0},
    {"heartbeat-ms", "MS", "a heartbeat so often (format sluice); 0: none", AT(heartbeat_ms), KIND_COUNT, RUN, 0,
     1e9, 0},
    {"no-end", NULL, "no frame at the end that says so (format sluice)", AT(no_end), KIND_FLAG, RUN},
    {"catch-up-us", "US", "a delay longer than this is not made up for", AT(catch_up_us), KIND_COUNT, RUN, 0, 1e9,
     1000},
    {"spin-us", "US", "before a burst it is looked for, not slept; 0: the core is others'", AT(spin_us), KIND_COUNT,
     RUN, 0, 1e6, 200},
    {"start-at-ns", "NS", "of CLOCK_MONOTONIC; 0: at once", AT(start_at_ns), KIND_COUNT, RUN, 0, 0x1p63, 0},
    {"format", "sluice|field|raw|vdif", "what a payload begins with; default sluice", 0, KIND_OWN, PORT, 0, 0, 0,
     own_format},
    {"content", "each|same", "of each number its own, or the same in all; default each", 0, KIND_OWN, PORT, 0, 0, 0,
     own_content},
    {"file", "FILE", "frames of a recording: NAME.vdif, or a capture", AT(file), KIND_TEXT, PORT},
    {"repeat", "N", "times that the recording is sent", AT(repeat), KIND_COUNT, PORT, 1, 1e9, 1},
    {"stream", "N", "stream id (format sluice)", AT(stream), KIND_COUNT, PORT, 0, UINT32_MAX, 1},
    {"frames-per-second", "N", "of each thread (format vdif without a file)", AT(frames_per_second), KIND_COUNT,
     PORT, 0, 16777216, 0},
    {"threads", "N", "that take turns (format vdif without a file)", AT(threads), KIND_COUNT, PORT, 1, 32, 1},
    {"to-mac", "MAC", "default ff:ff:ff:ff:ff:ff", 0, KIND_OWN, PORT, 0, 0, 0, own_to_mac},
    {"from-mac", "MAC", "default: the interface's, or 02:00:00:00:00:01", 0, KIND_OWN, PORT, 0, 0, 0, own_from_mac},
    {"to-ip", "IP", "default 192.0.2.2", 0, KIND_OWN, PORT, 0, 0, 0, own_to_ip},
    {"from-ip", "IP", "default 192.0.2.1; udp: as the route says", 0, KIND_OWN, PORT, 0, 0, 0, own_from_ip},
    {"to-port", "PORT", "of UDP", AT(to_port), KIND_COUNT, PORT, 1, 65535, 4000},
    {"from-port", "PORT", "of UDP; 0: 40000, udp: any that is free", AT(from_port), KIND_COUNT, PORT, 0, 65535, 0},
    {"vlan", "ID", "a tag with this id; 4095: none", AT(vlan), KIND_COUNT, PORT, 0, 4095, 4095},
    {"ethertype", "HEX", "the payload follows Ethernet's header; no IP, no UDP", 0, KIND_OWN, PORT, 0, 0, 0,
     own_ethertype},
    {"no-checksum", NULL, "UDP checksum 0, none", AT(no_checksum), KIND_FLAG, PORT},
    {"no-gso", NULL, "udp: one message a frame", AT(no_gso), KIND_FLAG, PORT},
    {"full", "wait|drop", "dpdk: what if the port takes no more; default wait", 0, KIND_OWN, PORT, 0, 0, 0,
     own_full},
    {"descriptors", "N", "dpdk: of the port's queue", AT(descriptors), KIND_COUNT, PORT, 32, 32768, 1024},
    {"wait", "S", "dpdk: for the other end", AT(wait_s), KIND_COUNT, PORT, 0, 86400, 10},
    {"linger-ms", "MS", "dpdk: stays so long after the last frame, until it is fetched", AT(linger_ms), KIND_COUNT,
     PORT, 0, 1e6, 200},
    {"core", "N", "runs there only; -1: anywhere", AT(core), KIND_REAL, PORT, -1, CORES_MAX, -1},
    {"control", NULL, "a run for each line of standard input, which holds options", AT(control), KIND_FLAG, PORT},
    {"json", NULL, "what was done, as one line of JSON", AT(json), KIND_FLAG, PORT},
    {"version", NULL, "prints the version", AT(version), KIND_FLAG, PORT},
    {"help", NULL, "prints this", AT(help), KIND_FLAG, PORT},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void set_defaults(struct options *options)
{
    memset(options, 0, sizeof(*options));
    for (size_t i = 0; i < ROWS; i++) {
        char *to = (char *)options + rows[i].offset;
        if (rows[i].kind == KIND_COUNT) {
            *(uint64_t *)(void *)to = (uint64_t)rows[i].preset;
        } else if (rows[i].kind == KIND_REAL) {
            *(double *)(void *)to = rows[i].preset;
        }
    }
    options->rate.per_1000_s = RATE_DEFAULT * UINT64_C(1000);
    options->size[0] = (struct plan_size){.bytes = SIZE_DEFAULT, .weight = 1};
    options->sizes = 1;
    options->format = WRITER_SLUICE;
    options->content = WRITER_EACH;
    memset(options->head.to_mac, 0xff, sizeof(options->head.to_mac));
    memcpy(options->head.from_mac, (const uint8_t[]){2, 0, 0, 0, 0, 1}, sizeof(options->head.from_mac));
    options->head.from_ip = inet_addr("192.0.2.1");
    options->head.to_ip = inet_addr("192.0.2.2");
}

static int set_count(uint64_t *to, const struct row *row, const char *text, struct error *err)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || errno != 0 || (double)value < row->lowest ||
        (double)value > row->highest) {
        return error_set(err, -EINVAL, "expected a whole number from %.0f to %.0f, found '%s'", row->lowest,
                         row->highest, text);
    }
    *to = value;
    return 0;
}

static int set_real(double *to, const struct row *row, const char *text, struct error *err)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || !(value >= row->lowest && value <= row->highest)) {
        return error_set(err, -EINVAL, "expected a number from %g to %g, found '%s'", row->lowest, row->highest,
                         text);
    }
    *to = value;
    return 0;
}

static int set(struct options *options, const struct row *row, const char *text, struct error *err)
{
    char *to = (char *)options + row->offset;
    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)to = true;
        return 0;
    case KIND_COUNT:
        return set_count((uint64_t *)(void *)to, row, text, err);
    case KIND_REAL:
        return set_real((double *)(void *)to, row, text, err);
    case KIND_TEXT:
        *(const char **)(void *)to = text;
        return 0;
    default:
        return row->own(options, text, err);
    }
}

/* of_run_only: a line of --control. What is no option is left from optind on. */
static int parse(struct options *options, int count, char **arguments, bool of_run_only, struct error *err)
{
    struct option longs[ROWS + 1] = {0};
    int at;
    for (size_t i = 0; i < ROWS; i++) {
        longs[i] = (struct option){rows[i].name, rows[i].value == NULL ? no_argument : required_argument, NULL,
                                   NAME_IS_PAST + (int)i};
    }
    opterr = 0;
    optind = 0; /* glibc: begins anew */
    while ((at = getopt_long(count, arguments, ":", longs, NULL)) != -1) {
        struct error why = {{0}};
        if (at < NAME_IS_PAST) {
            return error_set(err, -EINVAL, "%.100s: expected %s; see --help", arguments[optind - 1],
                             at == ':' ? "a value behind it, found none"
                                       : "an option of sluice-gen, found another");
        }
        const struct row *row = &rows[at - NAME_IS_PAST];
        if (of_run_only && !row->of_run) {
            return error_set(err, -EINVAL, "--%s: expected on the command line, found in a run's line", row->name);
        }
        int failed = set(options, row, optarg, &why);
        if (failed != 0) {
            return error_set(err, failed, "--%s: %.400s", row->name, why.text);
        }
    }
    return 0;
}

static bool is_vdif(const char *path)
{
    size_t n = strlen(path);
    return n >= 5 && strcmp(path + n - 5, ".vdif") == 0;
}

bool options_whole_frames(const struct options *o)
{
    return o->is_capture && o->transport != TRANSPORT_UDP;
}

uint32_t options_bytes_max(const struct options *o)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < o->sizes && o->file == NULL; i++) {
        most = o->size[i].bytes > most ? o->size[i].bytes : most;
    }
    return most;
}

/* What shows only when several options of a run are seen together. */
static int check_run(const struct options *o, struct error *err)
{
    uint32_t least = writer_bytes_min((enum writer_format)o->format);
    double shares = o->lose + o->duplicate + o->reorder + o->late + o->corrupt;
    for (uint32_t i = 0; i < o->sizes && o->file == NULL; i++) {
        if (o->size[i].bytes < least + (o->corrupt > 0)) {
            return error_set(
                err, -EINVAL,
                "--size: expected at least %u bytes, which is the format's header%s, found %u; or choose "
                "--format field (8 bytes) or raw (0)",
                least + (o->corrupt > 0), o->corrupt > 0 ? " and what --corrupt changes" : "", o->size[i].bytes);
        }
    }
    for (uint32_t i = 0; i < o->sizes && o->format == WRITER_VDIF; i++) {
        if (o->size[i].bytes % 8 != 0) {
            return error_set(err, -EINVAL, "--size: expected a multiple of 8 bytes, as a VDIF frame is, found %u",
                             o->size[i].bytes);
        }
    }
    if (shares > 1) {
        return error_set(err, -EINVAL,
                         "--lose, --duplicate, --reorder, --late, --corrupt: expected at most 1 together, found %g",
                         shares);
    }
    if (o->lose_tail > 0 && (o->count == 0 || o->lose_tail >= o->count)) {
        return error_set(err, -EINVAL, "--lose-tail: expected fewer than --count, found %llu of %llu",
                         (unsigned long long)o->lose_tail, (unsigned long long)o->count);
    }
    if (o->heartbeat_ms > 0 && o->format != WRITER_SLUICE) {
        return error_set(err, -EINVAL, "--heartbeat-ms: expected --format sluice, which alone has heartbeats");
    }
    return 0;
}

static int check_port(struct options *o, struct error *err)
{
    if (o->format == WRITER_VDIF && o->file == NULL && o->frames_per_second == 0) {
        return error_set(
            err, -EINVAL,
            "--format vdif: expected --file FILE, or --frames-per-second N to make frames, found neither");
    }
    if (o->file != NULL) {
        o->is_capture = o->format != WRITER_VDIF && !is_vdif(o->file);
        o->format = WRITER_FILE;
    }
    if (o->transport == TRANSPORT_UDP &&
        (o->vlan != 4095 || o->head.ethertype != 0 || o->to_mac_given || o->from_mac_given || o->no_checksum)) {
        return error_set(
            err, -EINVAL,
            "--vlan, --ethertype, --to-mac, --from-mac, --no-checksum: expected with packet or dpdk; over "
            "udp the kernel writes the headers");
    }
    if (o->core != floor(o->core)) {
        return error_set(err, -EINVAL, "--core: expected a whole number, found %g", o->core);
    }
    o->head.vlan = o->vlan == 4095 ? FRAME_VLAN_NONE : (uint32_t)o->vlan;
    o->head.to_port = (uint16_t)o->to_port;
    o->head.from_port = (uint16_t)(o->from_port != 0 ? o->from_port : 40000);
    o->head.checksum = !o->no_checksum;
    return 0;
}

static int take_operands(struct options *o, int count, char **operands, struct error *err)
{
    const char *const words[] = {"udp", "packet", "dpdk", NULL}; /* enum options_transport */
    if (count != 2) {
        return error_set(
            err, -EINVAL,
            "expected udp ADDRESS:PORT, packet INTERFACE or dpdk VDEV-ARGUMENTS, found %d words; see --help",
            count);
    }
    o->target = operands[1];
    return one_of(&o->transport, operands[0], words, err);
}

int options_parse(struct options *options, int count, char **arguments, struct error *err)
{
    set_defaults(options);
    int failed = parse(options, count, arguments, false, err);
    if (failed != 0 || options->help || options->version) {
        return failed;
    }
    failed = take_operands(options, count - optind, arguments + optind, err);
    if (failed == 0) {
        failed = check_port(options, err);
    }
    return failed != 0 ? failed : check_run(options, err);
}

int options_parse_line(struct options *options, char *line, struct error *err)
{
    char self[] = "sluice-gen";
    char *words[WORDS_MAX + 1] = {self};
    char *rest = NULL;
    int n = 1;
    for (char *word = strtok_r(line, " \t\r\n", &rest); word != NULL; word = strtok_r(NULL, " \t\r\n", &rest)) {
        if (n == WORDS_MAX) {
            return error_set(err, -EINVAL, "expected a line of at most %d words, found more", WORDS_MAX - 1);
        }
        words[n++] = word;
    }
    int failed = parse(options, n, words, true, err);
    if (failed == 0 && optind < n) {
        failed = error_set(err, -EINVAL, "expected only options in a run's line, found '%.100s'", words[optind]);
    }
    return failed != 0 ? failed : check_run(options, err);
}

void options_help(FILE *to)
{
    fprintf(
        to,
        "usage: sluice-gen udp ADDRESS:PORT | packet INTERFACE | dpdk VDEV-ARGUMENTS [option ..]\n"
        "Sends frames at a chosen pace and says exactly what was sent, lost, doubled, reordered, corrupted.\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        int used = fprintf(to, "  --%s %s", row->name, row->value != NULL ? row->value : "");
        fprintf(to, "%*s%s", used < 32 ? 34 - used : 2, "", row->what);
        if (row->kind == KIND_COUNT || row->kind == KIND_REAL) {
            fprintf(to, "; default %g", row->preset);
        }
        fprintf(to, "\n");
    }
    fprintf(to, "\nExit: 0 done, 1 it could not be sent, 2 wrong usage. The manual page is sluice-gen(1).\n");
}
