#include "tools/replay_summary.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define RECORDING_BYTES 256u

struct nearest {
    char rule[RING_NAME_BYTES];
    char unit[RING_UNIT_BYTES + 4];
    char recording[RECORDING_BYTES];
    struct replay_margin margin;
};

static struct nearest nearest[CONTROL_RULES_MAX];
static uint32_t rules;

static struct nearest *find(const char *rule)
{
    for (uint32_t i = 0; i < rules; i++) {
        if (strcmp(nearest[i].rule, rule) == 0) {
            return &nearest[i];
        }
    }
    if (rules == CONTROL_RULES_MAX) {
        return NULL;
    }
    struct nearest *more = &nearest[rules++];
    *more = (struct nearest){.margin = {.known = false}};
    snprintf(more->rule, sizeof(more->rule), "%s", rule);
    return more;
}

void replay_summary_add(const struct replay_result *result)
{
    const struct control_table *table = result->run.table;
    for (uint32_t i = 0; i < table->rules && i < CONTROL_RULES_MAX; i++) {
        const struct replay_margin *margin = &result->run.margin[i];
        struct nearest *found = margin->known ? find(table->rule[i].name) : NULL;
        if (found == NULL || (found->margin.known && found->margin.margin <= margin->margin)) {
            continue;
        }
        found->margin = *margin;
        replay_rule_unit(table, i, found->unit);
        snprintf(found->recording, sizeof(found->recording), "%s", result->path);
    }
}

void replay_summary_print(void)
{
    char when[REPLAY_CLOCK_BYTES];
    printf("\n%-24s %12s %-8s  %-26s %s\n", "nearest over all: rule", "margin", "unit", "at", "in");
    for (uint32_t i = 0; i < rules; i++) {
        const struct nearest *n = &nearest[i];
        replay_clock_text(n->margin.tai_ns, when);
        printf("%-24s %12.6g %-8s  %-26s %s\n", n->rule, n->margin.margin, n->unit, when, n->recording);
    }
}

void *replay_summary_json(void)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < rules; i++) {
        const struct nearest *n = &nearest[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:f, s:f, s:I, s:s}", "rule", n->rule, "unit",
                                              n->unit, "margin", n->margin.margin, "measure",
                                              isfinite(n->margin.measure) ? n->margin.measure : 0.0, "limit",
                                              n->margin.limit, "tai_ns", (json_int_t)n->margin.tai_ns, "recording",
                                              n->recording));
    }
    return list;
}
