/* The black box's parts, each alone, and all of them on a board and a journal that the test writes. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daq/blackbox.h"
#include "daq/blackbox_read.h"
#include "ring/clock.h"
#include "tests/support/temporary_ring.h"

#define SLOTS UINT64_C(64)
#define WORDS 4u
#define SEED  3u
#define S     UINT64_C(1000000000)

static struct error err;
static char root[64];

static void make_root(void)
{
    snprintf(root, sizeof(root), "/tmp/sluice-test-blackbox-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_root(void)
{
    cr_assert_eq(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Names in root that begin so, but not "." and "..". */
static unsigned count_names(const char *prefix)
{
    unsigned count = 0;
    DIR *dir = opendir(root);
    cr_assert_not_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        bool dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        count += !dots && strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    }
    closedir(dir);
    return count;
}

static bool exists(const char *name)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", root, name);
    return stat(path, &st) == 0;
}

/* ---- journal and checkpoints */

static struct control_journal journal;
static struct control_board control;
static struct blackbox_memory memory;

static void write_entries(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t n = journal.count;
        journal.entry[n % CONTROL_JOURNAL] = (struct journal_entry){.now_ns = 100 * S + n, .position = n};
        journal.count = n + 1;
    }
}

static void write_checkpoint(uint64_t tai_ns, uint64_t steps)
{
    uint64_t newest = control.checkpoint[0].number > control.checkpoint[1].number ? control.checkpoint[0].number
                                                                                  : control.checkpoint[1].number;
    struct control_checkpoint *to =
        &control.checkpoint[control.checkpoint[0].number <= control.checkpoint[1].number ? 0 : 1];
    to->journal = journal.count;
    to->tai_ns = tai_ns;
    to->state.steps = steps;
    to->number = newest + 2;
}

static void memory_begin(void)
{
    journal.magic = CONTROL_JOURNAL_MAGIC;
    cr_assert_eq(blackbox_memory_init(&memory, 4 * S, 64 << 20, &err), 0);
}

static void memory_end(void)
{
    blackbox_memory_fini(&memory);
}

TestSuite(memory, .init = memory_begin, .fini = memory_end);

static void drain(void)
{
    blackbox_memory_drain(&memory, &journal, &control);
}

Test(memory, takes_entries_in_order)
{
    for (uint64_t n = 0; n < 50; n++) {
        write_entries(1000);
        drain();
    }
    cr_assert_eq(memory.lost, 0);
    cr_assert_eq(memory.to, 50000);
    for (uint64_t n = memory.from; n < memory.to; n++) {
        cr_assert_eq(blackbox_memory_entry(&memory, n)->position, n);
    }
    cr_assert_null(blackbox_memory_entry(&memory, 50000));
}

Test(memory, is_bounded)
{
    blackbox_memory_fini(&memory);
    cr_assert_eq(blackbox_memory_init(&memory, 4 * S, 20000 * sizeof(struct journal_entry), &err), 0);
    for (uint64_t n = 0; n < 50; n++) {
        write_entries(1000);
        drain();
    }
    cr_assert_eq(memory.to - memory.from, 20000);
    cr_assert_null(blackbox_memory_entry(&memory, memory.from - 1));
}

Test(memory, counts_what_was_overwritten)
{
    write_entries(100);
    drain();
    write_entries(UINT64_C(3) * CONTROL_JOURNAL);
    drain();
    uint64_t kept = CONTROL_JOURNAL - 64;
    cr_assert_eq(memory.lost, UINT64_C(3) * CONTROL_JOURNAL - kept);
    cr_assert_eq(memory.to, 100 + UINT64_C(3) * CONTROL_JOURNAL);
    cr_assert_eq(memory.whole_from, memory.to - kept);
    cr_assert_eq(blackbox_memory_entry(&memory, 99)->position, 99);
    cr_assert_eq(blackbox_memory_entry(&memory, 100)->now_ns, 0, "not there, and it says so");
    cr_assert_eq(blackbox_memory_entry(&memory, memory.to - kept)->position, memory.to - kept);
}

/* One that was killed may have read them, and nobody before the server's first. */
Test(memory, what_went_before_it_is_not_lost)
{
    uint64_t kept = CONTROL_JOURNAL - 64;
    write_entries(1000);
    write_checkpoint(101 * S, 1);
    write_entries(UINT64_C(999000));
    drain();
    cr_assert_eq(memory.lost, 0);
    cr_assert_eq(memory.to, 1000000);
    cr_assert_eq(memory.from, 1000000 - kept);
    cr_assert_eq(memory.whole_from, memory.from);
    cr_assert_eq(blackbox_memory_entry(&memory, memory.from)->position, memory.from);
    cr_assert_null(blackbox_memory_entry(&memory, memory.from - 1));
    cr_assert_eq(blackbox_memory_start(&memory, 200 * S), -1, "its entries are not all there");
    write_entries(UINT64_C(2) * CONTROL_JOURNAL);
    drain();
    cr_assert_eq(memory.lost, UINT64_C(2) * CONTROL_JOURNAL - kept, "but from then on");
}

Test(memory, more_lost_than_it_has_room_for)
{
    blackbox_memory_fini(&memory);
    cr_assert_eq(blackbox_memory_init(&memory, S, 20000 * sizeof(struct journal_entry), &err), 0);
    write_entries(10);
    drain();
    write_entries(100000);
    drain();
    cr_assert_eq(memory.to, 100010);
    cr_assert_eq(memory.lost, 100000 - (CONTROL_JOURNAL - 64));
}

Test(memory, a_journal_not_begun_yet)
{
    journal.magic = 0;
    write_entries(10);
    drain();
    cr_assert_eq(memory.to, 0);
}

Test(memory, starts_at_the_newest_checkpoint_before)
{
    for (uint64_t t = 1; t <= 20; t++) {
        write_entries(10);
        write_checkpoint(100 * S + t * S, t);
        drain();
    }
    int start = blackbox_memory_start(&memory, 118 * S + S / 2);
    cr_assert_geq(start, 0);
    cr_assert_eq(memory.checkpoint[start].tai_ns, 118 * S);
    cr_assert_eq(memory.checkpoint[start].journal, 180);
    cr_assert_leq(memory.checkpoints, 7, "no older ones than are wanted");
    start = blackbox_memory_start(&memory, 1);
    cr_assert_eq(start, 0, "else the oldest that there is");
}

Test(memory, no_start_from_which_entries_are_missing)
{
    write_checkpoint(101 * S, 1);
    drain();
    write_entries(UINT64_C(2) * CONTROL_JOURNAL);
    drain();
    cr_assert_eq(blackbox_memory_start(&memory, 200 * S), -1);
    write_checkpoint(102 * S, 2);
    drain();
    cr_assert_eq(blackbox_memory_start(&memory, 200 * S), 1);
}

Test(memory, keeps_the_first_checkpoint_of_a_new_process)
{
    write_checkpoint(101 * S, 1000);
    drain();
    write_checkpoint(101 * S + 1000, 2000);
    drain();
    cr_assert_eq(memory.checkpoints, 1, "too near");
    write_checkpoint(101 * S + 2000, 0);
    drain();
    cr_assert_eq(memory.checkpoints, 2, "near, but begun anew");
}

Test(memory, a_checkpoint_under_way_is_left)
{
    write_checkpoint(101 * S, 1);
    control.checkpoint[0].number--;
    drain();
    cr_assert_eq(memory.checkpoints, 0);
}

/* ---- frames */

static struct temporary_ring ring;
static struct blackbox_frames frames;
static char *file_data;
static size_t file_bytes;
static FILE *file;

static void frames_begin(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 128, 64);
    temporary_ring_create(&ring, &spec);
    cr_assert_eq(ring_reader_attach(&frames.reader, ring.segment.base, ring.segment.bytes, SLUICE_NEWEST, &err), 0);
    file = open_memstream(&file_data, &file_bytes);
}

static void frames_end(void)
{
    free(file_data);
    temporary_ring_destroy(&ring);
}

TestSuite(frames, .init = frames_begin, .fini = frames_end);

/* The file as a reader sees it; its frames must be those of the ring. */
static struct blackbox_ring finish_file(void)
{
    struct blackbox_ring back;
    blackbox_frames_end(&frames);
    fclose(file);
    cr_assert_eq(file_bytes, frames.bytes);
    cr_assert_eq(blackbox_checksum(BLACKBOX_CHECKSUM_START, file_data, file_bytes), frames.checksum);
    struct blackbox_bytes bytes = {.data = file_data, .bytes = file_bytes};
    cr_assert_eq(blackbox_ring_open(&back, &bytes, &err), 0, "%s", err.text);
    cr_assert_eq(back.frames, frames.frames);
    for (uint64_t i = 0; i < back.frames; i++) {
        struct sluice_frame frame;
        blackbox_ring_at(&back, i, &frame);
        cr_assert(pattern_matches(frame.payload, SEED, frame.position, WORDS));
        cr_assert_eq(frame.tai_ns, frame.position + 1000);
    }
    return back;
}

Test(frames, from_a_time_on)
{
    temporary_publish(&ring.writer, SEED, WORDS, 40);
    blackbox_frames_begin(&frames, file, 1010, UINT64_MAX, 1 << 20);
    while (blackbox_frames_copy(&frames)) {
    }
    temporary_publish(&ring.writer, SEED, WORDS, 5);
    while (blackbox_frames_copy(&frames)) {
    }
    struct blackbox_ring back = finish_file();
    struct sluice_frame frame;
    cr_assert_eq(back.frames, 35);
    cr_assert_eq(frames.missing, 0);
    blackbox_ring_at(&back, 0, &frame);
    cr_assert_eq(frame.position, 10);
    cr_assert(blackbox_ring_find(&back, 44, &frame));
    cr_assert_not(blackbox_ring_find(&back, 9, &frame));
    cr_assert_not(blackbox_ring_find(&back, 45, &frame));
    cr_assert_str_eq(back.header.name, "ring");
    cr_assert_str_eq(back.stream[0].name, "stream");
    blackbox_ring_close(&back);
}

Test(frames, from_a_position_that_the_journal_speaks_of)
{
    temporary_publish(&ring.writer, SEED, WORDS, 40);
    blackbox_frames_begin(&frames, file, 1030, 5, 1 << 20);
    while (blackbox_frames_copy(&frames)) {
    }
    struct blackbox_ring back = finish_file();
    cr_assert_eq(back.frames, 35);
    blackbox_ring_close(&back);
}

Test(frames, what_was_overwritten_is_counted)
{
    temporary_publish(&ring.writer, SEED, WORDS, 40);
    blackbox_frames_begin(&frames, file, 1000, 0, 1 << 20);
    while (blackbox_frames_copy(&frames)) {
    }
    temporary_publish(&ring.writer, SEED, WORDS, 3 * SLOTS);
    while (blackbox_frames_copy(&frames)) {
    }
    struct blackbox_ring back = finish_file();
    cr_assert_gt(frames.missing, SLOTS);
    cr_assert_eq(frames.missing + frames.frames, 40 + 3 * SLOTS);
    blackbox_ring_close(&back);
}

Test(frames, no_more_bytes_than_allowed)
{
    temporary_publish(&ring.writer, SEED, WORDS, 60);
    blackbox_frames_begin(&frames, file, 0, 0, 2000);
    while (blackbox_frames_copy(&frames)) {
    }
    temporary_publish(&ring.writer, SEED, WORDS, 60);
    while (blackbox_frames_copy(&frames)) {
    }
    struct blackbox_ring back = finish_file();
    cr_assert(frames.cut);
    cr_assert_leq(file_bytes, 2000 + sizeof(struct blackbox_record));
    struct sluice_frame frame;
    cr_assert(blackbox_ring_find(&back, 59, &frame),
              "what led to the trip is worth more than what was long before");
    blackbox_ring_close(&back);
}

/* ---- the directory */

static struct blackbox_store store;

TestSuite(store, .init = make_root, .fini = remove_root);

static void write_trip(const char *name)
{
    cr_assert_eq(blackbox_store_begin(&store, root, name, &err), 0, "%s", err.text);
    cr_assert_eq(blackbox_store_put(&store, "a", "hello", 5, &err), 0, "%s", err.text);
    cr_assert_not(exists(name), "not before it is whole");
    cr_assert_eq(blackbox_store_commit(&store, &err), 0, "%s", err.text);
}

Test(store, appears_whole)
{
    char name[BLACKBOX_NAME_BYTES];
    blackbox_trip_name(name, UINT64_C(1795622103159594405), 7);
    cr_assert_str_eq(name, "20261125T155503.159Z-trip7");
    write_trip(name);
    cr_assert(exists("20261125T155503.159Z-trip7/a"));
    cr_assert_eq(store.file[0].bytes, 5);
    cr_assert_eq(count_names("."), 0);
}

Test(store, an_abandoned_one_leaves_nothing)
{
    cr_assert_eq(blackbox_store_begin(&store, root, "20261125T155503.159Z-trip7", &err), 0);
    cr_assert_eq(blackbox_store_put(&store, "a", "hello", 5, &err), 0);
    blackbox_store_abandon(&store);
    blackbox_store_abandon(&store);
    cr_assert_eq(count_names(""), 0);
}

Test(store, what_a_killed_one_left_is_removed)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (blackbox_store_begin(&store, root, "20261125T155503.159Z-trip7", &err) == 0) {
            blackbox_store_put(&store, "a", "hello", 5, &err);
        }
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    cr_assert_eq(count_names(BLACKBOX_TEMPORARY_PREFIX), 1);
    blackbox_store_clean(root);
    cr_assert_eq(count_names(""), 0);
}

Test(store, keeps_the_newest)
{
    char name[BLACKBOX_NAME_BYTES];
    char other[128];
    for (uint64_t i = 0; i < 6; i++) {
        blackbox_trip_name(name, (1700000000 + i) * S, i + 1);
        write_trip(name);
    }
    snprintf(other, sizeof(other), "%s/notes", root);
    cr_assert_eq(mkdir(other, 0755), 0);
    blackbox_store_prune(root, 2, name);
    cr_assert_eq(count_names("2023"), 2);
    cr_assert(exists(name));
    cr_assert(exists("notes"), "what is no trip is none of its business");
    /* A clock that was set back: the newest has the oldest name. */
    blackbox_trip_name(name, S, 9);
    write_trip(name);
    blackbox_store_prune(root, 1, name);
    cr_assert(exists(name));
    cr_assert_eq(count_names("2023"), 0);
}

Test(store, room)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/a/b/c", root);
    cr_assert_eq(blackbox_store_probe(path, 1, &err), 0, "%s", err.text);
    cr_assert(exists("a/b/c"));
    cr_assert_eq(blackbox_store_probe(path, UINT64_C(1) << 60, &err), -ENOSPC);
    cr_assert(strstr(err.text, "room_mb") != NULL);
    snprintf(path, sizeof(path), "%s/file", root);
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    close(fd);
    cr_assert_neq(blackbox_store_probe(path, 1, &err), 0);
}

Test(store, names_of_trips)
{
    cr_assert(blackbox_is_trip_name("20261125T155503.159Z-trip7"));
    cr_assert_not(blackbox_is_trip_name("20261125T155503.159Z-trip"));
    cr_assert_not(blackbox_is_trip_name("20261125T155503.159Z-trip7x"));
    cr_assert_not(blackbox_is_trip_name("2026"));
    cr_assert_not(blackbox_is_trip_name(".writing-1-trip"));
    cr_assert_not(blackbox_is_trip_name(""));
}

/* ---- all of it */

static struct control_table table;
static struct blackbox_plan plan;
static struct blackbox_board board;
static struct blackbox box;

static void box_begin(void)
{
    struct ring_spec spec = temporary_spec(SLOTS, 128, 64);
    make_root();
    temporary_ring_create(&ring, &spec);
    table = (struct control_table){.rings = 1, .tai_minus_monotonic_ns = 0};
    snprintf(table.instance, sizeof(table.instance), "test");
    snprintf(table.ring[0].name, sizeof(table.ring[0].name), "ring");
    plan = (struct blackbox_plan){.pre_ns = S, .post_ns = 0, .room_bytes = 8 << 20, .keep = 3, .config_bytes = 4};
    snprintf(plan.directory, sizeof(plan.directory), "%s", root);
    board_init(&board.common, BOARD_BLACK_BOX, "test", "blackbox");
    journal.magic = CONTROL_JOURNAL_MAGIC;
    box = (struct blackbox){.plan = &plan,
                            .table = &table,
                            .control = &control,
                            .journal = &journal,
                            .config = "a: b",
                            .board = &board};
    cr_assert_eq(ring_reader_attach(&box.reader[0], ring.segment.base, ring.segment.bytes, SLUICE_NEWEST, &err), 0);
    cr_assert_eq(blackbox_init(&box, &err), 0, "%s", err.text);
}

static void box_end(void)
{
    blackbox_fini(&box);
    temporary_ring_destroy(&ring);
    remove_root();
}

TestSuite(box, .init = box_begin, .fini = box_end);

static void trip(void)
{
    uint64_t now_ns = clock_monotonic_ns();
    control.trips++;
    control.trip_history[control.trips % CONTROL_TRIP_HISTORY] = (struct engine_cause){
        .kind = CAUSE_MANUAL, .rule = ENGINE_NONE, .channel = ENGINE_NONE, .output = ENGINE_NONE, .tai_ns = now_ns};
}

Test(box, a_directory_for_a_trip)
{
    temporary_publish(&ring.writer, SEED, WORDS, 10);
    blackbox_look(&box);
    cr_assert_eq(board.room, 1);
    cr_assert_eq(count_names(""), 0);
    trip();
    blackbox_look(&box);
    cr_assert_eq(board.reports, 1);
    cr_assert_eq(board.last_trip, 1);
    cr_assert_eq(count_names(""), 1);
    cr_assert(exists(board.last));
    blackbox_look(&box);
    cr_assert_eq(count_names(""), 1, "once");
}

Test(box, trips_within_post_join)
{
    plan.post_ns = 60 * S;
    trip();
    blackbox_look(&box);
    trip();
    trip();
    blackbox_look(&box);
    cr_assert(box.writing);
    cr_assert_eq(box.report.trips, 3);
    blackbox_finish(&box);
    cr_assert_eq(board.reports, 1);
    cr_assert_eq(board.last_trip, 3);
    cr_assert(box.report.early);
}

Test(box, more_trips_than_a_report_tells)
{
    plan.post_ns = 60 * S;
    for (unsigned i = 0; i < 40; i++) {
        trip();
        blackbox_look(&box);
    }
    blackbox_finish(&box);
    cr_assert_eq(box.report.trips, BLACKBOX_TRIPS_MAX);
    cr_assert_eq(box.report.trips_more, 40 - BLACKBOX_TRIPS_MAX);
}

/* A successor after a kill: the board says which trip was the last that was reported. */
Test(box, what_a_killed_one_missed_is_made_up_for)
{
    blackbox_look(&box);
    trip();
    blackbox_fini(&box);
    cr_assert_eq(blackbox_init(&box, &err), 0);
    blackbox_look(&box);
    cr_assert_eq(board.reports, 1);
}

/* Its journal is not lost, but its beginning is not there: that is said. */
Test(box, what_a_successor_has_not_seen)
{
    static char text[65536];
    char path[512];
    for (uint64_t n = 0; n < 1000000; n++) {
        journal.entry[n % CONTROL_JOURNAL] = (struct journal_entry){.now_ns = clock_monotonic_ns()};
        journal.count = n + 1;
    }
    blackbox_fini(&box);
    cr_assert_eq(blackbox_init(&box, &err), 0);
    plan.pre_ns = 60 * S;
    trip();
    blackbox_look(&box);
    cr_assert_eq(board.reports, 1);
    cr_assert_eq(board.journal_lost, 0);
    snprintf(path, sizeof(path), "%s/%s/" BLACKBOX_TRIP_FILE, root, board.last);
    FILE *told = fopen(path, "re");
    cr_assert_not_null(told);
    text[fread(text, 1, sizeof(text) - 1, told)] = 0;
    fclose(told);
    cr_assert_not_null(strstr(text, "\"lost\": 0}"));
    cr_assert_not_null(strstr(text, "the journal reaches back less than pre_ms"));
    cr_assert_null(strstr(text, "entries of the journal were overwritten"));
}

Test(box, a_directory_that_is_gone)
{
    blackbox_look(&box);
    cr_assert_eq(board.room, 1);
    snprintf(plan.directory, sizeof(plan.directory), "/proc/nowhere");
    trip();
    blackbox_look(&box);
    cr_assert_eq(board.reports, 0);
    cr_assert_eq(board.lost, 1);
    cr_assert_eq(board.room, 0);
    cr_assert_not(box.writing);
    cr_assert_geq(board.common.refusals, 1);
    snprintf(plan.directory, sizeof(plan.directory), "%s", root);
    trip();
    blackbox_look(&box);
    cr_assert_eq(board.reports, 1);
}

/* A board that a control process scribbled on: bounded, and no crash. */
Test(box, nonsense_on_the_board)
{
    control.trips = UINT64_MAX;
    control.first_out_count = UINT32_MAX;
    control.cause_count = UINT32_MAX;
    control.loop_periods = UINT64_MAX;
    memset(control.trip_history, 0xff, sizeof(control.trip_history));
    blackbox_look(&box); /* its stamp is no time: it begins now .. */
    blackbox_look(&box); /* .. and has ended by now */
    cr_assert_geq(board.reports + board.lost, 1);
    control.trips = 3;
    blackbox_look(&box);
    control.version = 1; /* a snapshot that never ends */
    control.trips = 4;
    blackbox_look(&box);
}
