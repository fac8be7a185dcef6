#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "daq/state_dir.h"
#include "ring/clock.h"

static void compile_directory(struct compile *c, const char *given)
{
    struct blackbox_plan *to = &c->plan->black_box;
    struct error err = {{0}};
    if (given == NULL) {
        if (state_path(to->directory, sizeof(to->directory), c->plan->instance, "trips", &err) != 0) {
            config_complain(c->file, c->errors, "black_box.directory", "%s, or say where", err.text);
        } else if (to->directory[0] != '/') {
            config_complain(c->file, c->errors, "black_box.directory",
                            "the state directory is '%s': expected an absolute path in SLUICE_STATE_DIR",
                            to->directory);
        }
    } else if (given[0] != '/' || strlen(given) >= sizeof(to->directory)) {
        config_complain(c->file, c->errors, "black_box.directory",
                        "expected an absolute path of at most %zu letters, found '%s'", sizeof(to->directory) - 1,
                        given);
    } else {
        snprintf(to->directory, sizeof(to->directory), "%s", given);
    }
}

void compile_black_box(struct compile *c)
{
    const struct config_black_box *from = c->config->black_box;
    struct blackbox_plan *to = &c->plan->black_box;
    c->plan->has_black_box = from != NULL;
    if (from == NULL) {
        return;
    }
    *to = (struct blackbox_plan){.magic = BLACKBOX_PLAN_MAGIC, .version = BLACKBOX_PLAN_VERSION};
    compile_directory(c, from->directory);
    to->pre_ns = CLOCK_NS_PER_MS * compile_bounded(c, "black_box.pre_ms", from->pre_ms, 2000, 10, 60000, "ms");
    to->post_ns = CLOCK_NS_PER_MS * compile_bounded(c, "black_box.post_ms", from->post_ms, 1000, 0, 60000, "ms");
    to->keep = (uint32_t)compile_bounded(c, "black_box.keep", from->keep, 20, 1, 100000, "directories");
    to->room_bytes = compile_bounded(c, "black_box.room_mb", from->room_mb, 64, 8, 1000000, "MiB") << 20;
    if (c->plan->table.rings == 0) {
        config_complain(c->file, c->errors, "black_box",
                        "there is nothing to record: no ring carries channels that the interlock watches");
    }
}
