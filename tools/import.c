/* import: a foreign file becomes a recording. */
#include "tools/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/compile_replay.h"
#include "ring/clock.h"
#include "tools/session.h"

enum file_kind { FILE_CSV = 1, FILE_PCAP = 2, FILE_VDIF = 3 };

bool import_take_mapping(struct replay_csv_options *csv, char *text)
{
    char *equals = strrchr(text, '=');
    if (equals == NULL || equals == text || equals[1] == 0 || csv->mappings == CONTROL_CHANNELS_MAX) {
        return false;
    }
    *equals = 0;
    csv->mapping[csv->mappings].column = text;
    csv->mapping[csv->mappings++].channel = equals + 1;
    return true;
}

bool import_take_period(struct replay_csv_options *csv, const char *text)
{
    char *end;
    double ms = strtod(text, &end);
    if (end == text || *end != 0 || !(ms >= 0.001) || ms > 1e9) {
        return false;
    }
    csv->period_ns = (uint64_t)(ms * 1e6);
    return true;
}

bool import_take_delimiter(struct replay_csv_options *csv, const char *text)
{
    bool tab = strcmp(text, "\\t") == 0;
    csv->delimiter = text[0];
    if (tab) {
        csv->delimiter = '\t';
    }
    return tab || (text[0] != 0 && text[1] == 0 && text[0] != '\n');
}

bool import_take_utc_offset(const char *text, int32_t *seconds)
{
    char *end;
    long value = strtol(text, &end, 10);
    *seconds = (int32_t)value;
    return end != text && *end == 0 && value >= 0 && value <= 1000;
}

/* By the name's end; else by what it begins with. 0: nobody knows. */
static enum file_kind kind_of(const char *path, const uint8_t first[4])
{
    static const struct {
        const char *end;
        enum file_kind kind;
    } ends[] = {{".csv", FILE_CSV},  {".tsv", FILE_CSV},     {".txt", FILE_CSV},  {".pcap", FILE_PCAP},
                {".cap", FILE_PCAP}, {".pcapng", FILE_PCAP}, {".vdif", FILE_VDIF}};
    static const uint8_t magics[][4] = {{0xd4, 0xc3, 0xb2, 0xa1},
                                        {0xa1, 0xb2, 0xc3, 0xd4},
                                        {0x4d, 0x3c, 0xb2, 0xa1},
                                        {0xa1, 0xb2, 0x3c, 0x4d},
                                        {0x0a, 0x0d, 0x0d, 0x0a}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (strcmp(dot, ends[i].end) == 0) {
            return ends[i].kind;
        }
    }
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        if (memcmp(first, magics[i], sizeof(magics[i])) == 0) {
            return FILE_PCAP;
        }
    }
    return 0;
}

static int find_ring(const struct server_plan *plan, const char *name, uint32_t *ring, struct error *err)
{
    if (name == NULL && plan->rings == 1) {
        *ring = 0;
        return 0;
    }
    for (uint32_t i = 0; name != NULL && i < plan->rings; i++) {
        if (strcmp(plan->ring[i].name, name) == 0) {
            *ring = i;
            return 0;
        }
    }
    return error_set(err, -ENOENT, "expected --ring with one of the %u rings of the configuration, found %s",
                     plan->rings, name != NULL ? name : "none");
}

static int load(const char *path, struct server_plan *plan, char **text, size_t *bytes, struct error *err)
{
    static struct config_errors errors;
    struct config_file file;
    memset(&errors, 0, sizeof(errors));
    if (path == NULL) {
        return error_set(
            err, -EINVAL,
            "a foreign file needs --config FILE and --ring RING, which say what its frames are; a back-test "
            "of it needs --rules FILE");
    }
    int code = config_load(&file, path, &errors);
    if (code == 0) {
        code = compile_elsewhere(&file, NULL, plan, &errors);
    }
    *text = config_take_text(&file, bytes);
    config_unload(&file);
    if (code != 0) {
        fputs(errors.text, stderr);
        return error_set(err, -EINVAL, "%s: %u error%s, nothing imported", path, errors.count,
                         errors.count == 1 ? "" : "s");
    }
    return 0;
}

static FILE *open_file(const char *path, uint8_t first[4], struct error *err)
{
    struct stat st;
    FILE *file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode)) {
        error_set(err, -errno, "cannot read %s: %s", path, file == NULL ? strerror(errno) : "it is no file");
        if (file != NULL) {
            fclose(file);
        }
        return NULL;
    }
    memset(first, 0, 4);
    (void)!fread(first, 1, 4, file);
    rewind(file);
    return file;
}

static int read_file(const struct import_request *request, FILE *file, enum file_kind kind,
                     struct import_sink *sink, struct error *err)
{
    uint64_t now_ns = clock_tai_ns(clock_measure_tai_offset_ns());
    int code;
    if (kind == FILE_PCAP) {
        return import_pcap(file, request->utc_offset_s, sink, err);
    }
    code = kind == FILE_CSV ? import_csv(file, request->csv, request->utc_offset_s, now_ns, sink, err)
                            : import_vdif(file, request->utc_offset_s, sink, err);
    fclose(file);
    return code;
}

/* Beside the recording, as a recorder does it. */
static int write_config(const char *directory, const char *text, size_t bytes, struct error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/" RECORD_CONFIG_FILE, directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    int code = fd < 0 || write(fd, text, bytes) != (ssize_t)bytes ? -errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    return code == 0 ? 0 : error_set(err, code, "cannot write %s: %s", path, strerror(-code));
}

static void tell(const struct import_sink *sink, struct import_result *result)
{
    const struct ring_ledger *ledger = &sink->writer.view.header->ledger;
    *result = (struct import_result){.frames = sink->frames,
                                     .skipped = sink->skipped,
                                     .lost = ring_ledger_lost(ledger),
                                     .first_tai_ns = sink->first_tai_ns,
                                     .last_tai_ns = sink->last_tai_ns};
    for (uint32_t i = 0; i < RING_REFUSALS; i++) {
        result->refused += ledger->refused[i];
    }
    memcpy(result->ring, sink->ring->name, sizeof(result->ring));
}

/* The file is closed. */
static int import_open(const struct import_request *request, FILE *file, enum file_kind kind,
                       const struct server_plan *plan, const char *config, size_t config_bytes,
                       struct import_result *result, struct error *err)
{
    struct import_sink sink = {.base = NULL};
    struct error why = {{0}};
    uint32_t ring = 0;
    json_t *about = json_pack("{s:s, s:s}", "imported_from", request->path, "notes", "made by sluice import");
    char *json = json_dumps(about, JSON_COMPACT);
    int code = find_ring(plan, request->ring, &ring, &why);
    if (code == 0) {
        code = import_sink_init(&sink, plan, ring, &why);
    }
    if (code == 0) {
        code = import_sink_record(&sink, plan, request->directory, json != NULL ? json : "{}", config, config_bytes,
                                  request->utc_offset_s, &why);
    }
    if (code == 0) {
        code = write_config(request->directory, config, config_bytes, &why);
    }
    if (code == 0) {
        code = read_file(request, file, kind, &sink, &why);
    } else {
        fclose(file);
    }
    if (code == 0) {
        tell(&sink, result);
        code = import_sink_close(&sink, &why);
    }
    import_sink_fini(&sink);
    free(json);
    json_decref(about);
    return code == 0 ? 0 : error_set(err, code, "%.150s: %.330s", request->path, why.text);
}

int import_file(const struct import_request *request, struct import_result *result, struct error *err)
{
    static struct server_plan plan;
    char *config = NULL;
    size_t config_bytes = 0;
    uint8_t first[4];
    int code = load(request->config, &plan, &config, &config_bytes, err);
    FILE *file = code == 0 ? open_file(request->path, first, err) : NULL;
    enum file_kind kind = file != NULL ? kind_of(request->path, first) : 0;
    if (code == 0 && file == NULL) {
        code = -ENOENT;
    } else if (code == 0 && kind == 0) {
        fclose(file);
        code = error_set(err, -EINVAL,
                         "%s: expected a name that ends with .csv, .tsv, .txt, .pcap, .cap, .pcapng or .vdif, or a "
                         "capture",
                         request->path);
    } else if (code == 0) {
        code = import_open(request, file, kind, &plan, config, config_bytes, result, err);
    }
    free(config);
    return code;
}

static int is_own(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');
    return (end != NULL && strcmp(end, RECORD_SUFFIX) == 0) || strcmp(entry->d_name, RECORD_CONFIG_FILE) == 0;
}

void import_remove(const char *directory)
{
    char path[PATH_MAX];
    struct dirent **names = NULL;
    int count = scandir(directory, &names, is_own, alphasort);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]->d_name);
        unlink(path);
        free(names[i]);
    }
    free(names);
    rmdir(directory);
}

static int usage(FILE *to, int code)
{
    fprintf(to, "usage: sluice import --config FILE [--ring RING] [--column COLUMN=CHANNEL ..] [--delimiter C]\n"
                "                     [--time COLUMN | --period-ms N] [--utc-offset S] [--json] FILE -o DIRECTORY\n"
                "FILE: .csv, .pcap, .pcapng or .vdif. DIRECTORY is made; it must not be there.\n"
                "Exit: 0 done, 2 bad usage, configuration or file: then nothing is left.\n");
    return code;
}

static int fail(const char *text)
{
    fprintf(stderr, "sluice import: %s\n", text);
    return EXIT_USAGE;
}

static void print_result(const struct import_request *request, const struct import_result *r, bool as_json)
{
    double seconds = (double)(r->last_tai_ns - r->first_tai_ns) / 1e9;
    if (!as_json) {
        printf("%s: ring %s, %" PRIu64 " frames in %.3f s, %" PRIu64 " lost, %" PRIu64 " refused, %" PRIu64
               " of others left out\n",
               request->directory, r->ring, r->frames, seconds, r->lost, r->refused, r->skipped);
        return;
    }
    json_t *all = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "recording", request->directory, "ring",
                            r->ring, "frames", (json_int_t)r->frames, "lost", (json_int_t)r->lost, "refused",
                            (json_int_t)r->refused, "skipped", (json_int_t)r->skipped, "first_tai_ns",
                            (json_int_t)r->first_tai_ns, "last_tai_ns", (json_int_t)r->last_tai_ns);
    json_dumpf(all, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(all);
}

struct import_command {
    struct import_request request;
    struct replay_csv_options csv;
    bool json;
};

/* False: it does not make sense; says so. */
static bool take_option(struct import_command *command, int option)
{
    bool ok = true;
    switch (option) {
    case 'C':
        command->request.config = optarg;
        break;
    case 'R':
        command->request.ring = optarg;
        break;
    case 'o':
        command->request.directory = optarg;
        break;
    case 'j':
        command->json = true;
        break;
    case 't':
        command->csv.time = optarg;
        break;
    case 'c':
        ok = import_take_mapping(&command->csv, optarg);
        break;
    case 'd':
        ok = import_take_delimiter(&command->csv, optarg);
        break;
    case 'p':
        ok = import_take_period(&command->csv, optarg);
        break;
    default:
        ok = import_take_utc_offset(optarg, &command->request.utc_offset_s);
    }
    if (!ok) {
        fprintf(
            stderr,
            "sluice import: expected --column COLUMN=CHANNEL, --delimiter with one character or \\t, --period-ms "
            "with 0.001 to 1e9, --utc-offset with 0 to 1000 s; found '%s'\n",
            optarg);
    }
    return ok;
}

static int run(struct import_command *command)
{
    struct import_result result;
    struct error err = {{0}};
    const char *directory = command->request.directory;
    if (mkdir(directory, 0750) != 0) {
        error_set(&err, -errno, "cannot make %s: %s%s", directory, strerror(errno),
                  errno == EEXIST ? "; expected a directory that is not there yet" : "");
        return fail(err.text);
    }
    import_catch_signals();
    if (import_file(&command->request, &result, &err) != 0) {
        import_remove(directory);
        return fail(err.text);
    }
    print_result(&command->request, &result, command->json);
    return EXIT_DONE;
}

int command_import(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'C'},
                                            {"ring", required_argument, NULL, 'R'},
                                            {"column", required_argument, NULL, 'c'},
                                            {"delimiter", required_argument, NULL, 'd'},
                                            {"time", required_argument, NULL, 't'},
                                            {"period-ms", required_argument, NULL, 'p'},
                                            {"utc-offset", required_argument, NULL, 'u'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    static struct import_command command = {.csv = {.delimiter = ','},
                                            .request = {.utc_offset_s = IMPORT_TAI_MINUS_UTC_S}};
    int option;
    command.request.csv = &command.csv;
    while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
        if (option == 'h') {
            return usage(stdout, EXIT_DONE);
        }
        if (option == '?') {
            return usage(stderr, EXIT_USAGE);
        }
        if (!take_option(&command, option)) {
            return EXIT_USAGE;
        }
    }
    if (optind + 1 != argc || command.request.directory == NULL) {
        return usage(stderr, EXIT_USAGE);
    }
    command.request.path = argv[optind];
    return run(&command);
}
