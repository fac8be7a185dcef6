/* engine-steps RULES STEPS PATHS: steps of the engine's first so many paths, for callgrind to count
 * (bench/instructions.c). Run by hand it only says which paths there are. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <valgrind/callgrind.h>

#include "bench/engine_paths.h"

static struct engine_bed bed;

static bool parse(const char *text, uint32_t most, uint32_t *number)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    *number = (uint32_t)n;
    return *end == 0 && end != text && n >= 1 && n <= most;
}

int main(int argc, char **argv)
{
    uint32_t rules;
    uint32_t steps;
    uint32_t count;
    if (argc != 4 || !parse(argv[1], CONTROL_RULES_MAX, &rules) || !parse(argv[2], 1000000, &steps) ||
        !parse(argv[3], engine_path_count(), &count)) {
        fprintf(
            stderr,
            "usage: engine-steps RULES STEPS PATHS\nRULES 1 to %u, STEPS 1 to 1000000, PATHS 1 to %u. Run it under "
            "valgrind --tool=callgrind --toggle-collect=engine_step\n",
            CONTROL_RULES_MAX, engine_path_count());
        return 2;
    }
    for (uint32_t i = 0; i < count; i++) {
        engine_bed_make(&bed, engine_path_at(i), rules);
        CALLGRIND_ZERO_STATS;
        for (uint32_t s = 0; s < steps; s++) {
            engine_bed_next(&bed);
            engine_bed_step(&bed);
        }
        CALLGRIND_DUMP_STATS_AT(engine_path_at(i)->name);
        printf("%s %" PRIu64 "\n", engine_path_at(i)->name, bed.state.steps);
    }
    return 0;
}
