/* Whether the rules together can do what they are there for: every output can be tripped by something, and every
 * rule with a process safety time is fast enough for it, counted pessimistically. */
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"
#include "ring/clock.h"

static double to_ms(uint64_t ns)
{
    return (double)ns / (double)CLOCK_NS_PER_MS;
}

/* Samples may come as rarely as stale_ms allows: rarer ones are a demand by themselves. */
static uint64_t sample_ns(const struct control_table *table, const struct control_rule *rule)
{
    uint64_t stale_ns = table->channel[rule->channel].stale_ns;
    if (rule->form == FORM_DEVIATION && table->channel[rule->other].stale_ns > stale_ns) {
        stale_ns = table->channel[rule->other].stale_ns;
    }
    return stale_ns;
}

/* Until the delays of a leaf are over: those of its demand, or (`ending`) those of the end of it. */
static uint64_t leaf_ns(const struct control_table *table, const struct control_rule *rule, bool ending)
{
    uint64_t every_ns = sample_ns(table, rule);
    uint64_t first_ns = every_ns + rule->window_ns;
    uint64_t delay_ns = ending ? rule->off_ns : rule->on_ns;
    uint64_t samples = ending ? rule->off_samples : rule->on_samples;
    if (rule->form == FORM_RATE) {
        /* What begins within a window may show at the end of the next one only. */
        every_ns += rule->window_ns;
        first_ns = 2 * every_ns;
    }
    uint64_t by_samples_ns = first_ns + every_ns * (samples > 1 ? samples - 1 : 0);
    /* A delay is over at the first sample behind it. */
    uint64_t by_time_ns = first_ns + (delay_ns > 0 ? delay_ns + every_ns : 0);
    return by_samples_ns > by_time_ns ? by_samples_ns : by_time_ns;
}

static uint64_t longer(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

/* Longest times from the danger in the process to a rule's demand, and to the end of one: what NOT turns over
 * demands when its member has ended. */
struct detection {
    uint64_t begins_ns;
    uint64_t ends_ns;
};

/* `all` has those of every rule in front of this one, and a group names no other. */
static struct detection detect(const struct control_table *table, uint32_t index, const struct detection *all)
{
    const struct control_rule *rule = &table->rule[index];
    struct detection d = {0};
    if (rule->form != FORM_VOTE && rule->form != FORM_NOT) {
        return (struct detection){.begins_ns = leaf_ns(table, rule, false), .ends_ns = leaf_ns(table, rule, true)};
    }
    for (uint32_t m = 0; m < rule->members; m++) {
        const struct detection *member = &all[rule->member[m]];
        bool turned = rule->form == FORM_NOT;
        d.begins_ns = longer(d.begins_ns, turned ? member->ends_ns : member->begins_ns);
        d.ends_ns = longer(d.ends_ns, turned ? member->begins_ns : member->ends_ns);
    }
    return d;
}

static uint64_t travel_ns(const struct control_table *table, uint32_t outputs)
{
    uint64_t longest_ns = 0;
    for (uint32_t i = 0; i < table->outputs; i++) {
        if ((outputs >> i & 1) != 0 && table->output[i].feedback.time_ns > longest_ns) {
            longest_ns = table->output[i].feedback.time_ns;
        }
    }
    return longest_ns;
}

/* A pre-alarm stands in the table behind its rule and nowhere in the file. */
static void place_of(const struct compile *c, uint32_t index, char *where, size_t bytes)
{
    for (uint32_t i = 0; i < c->config->rules_count; i++) {
        if (strcmp(c->config->rules[i].name, c->plan->table.rule[index].name) == 0) {
            snprintf(where, bytes, "rules[%u]", i);
            return;
        }
    }
    snprintf(where, bytes, "rules");
}

static void check_safety_time(struct compile *c, uint32_t index, uint64_t detect_ns)
{
    const struct control_table *table = &c->plan->table;
    const struct control_rule *rule = &table->rule[index];
    char where[64];
    if (rule->safety_time_ns == 0) {
        return;
    }
    uint64_t loop_ns = table->miss_trips != 0 ? table->cycle_budget_ns : table->stall_trip_ns;
    uint64_t move_ns = travel_ns(table, rule->outputs);
    if (detect_ns + loop_ns + move_ns > rule->safety_time_ns) {
        place_of(c, index, where, sizeof(where));
        compile_complain_key(
            c, where, "process_safety_time_ms",
            "%g ms are not enough: the rule may take %g ms to see it (stale_ms, delays, window), the "
            "loop %g ms (%s), the outputs %g ms (feedback.time_ms): %g ms",
            to_ms(rule->safety_time_ns), to_ms(detect_ns), to_ms(loop_ns),
            table->miss_trips != 0 ? "cycle_budget_us" : "stall_trip_ms, as on_miss is alarm", to_ms(move_ns),
            to_ms(detect_ns + loop_ns + move_ns));
    }
}

static void check_outputs(struct compile *c)
{
    const struct control_table *table = &c->plan->table;
    uint32_t tripped = 0;
    bool any = false;
    for (uint32_t i = 0; i < table->rules; i++) {
        bool acts = table->rule[i].role == ROLE_PROTECT && table->rule[i].shadow == 0;
        tripped |= acts ? table->rule[i].outputs : 0;
        any = any || acts;
    }
    if (table->outputs > 0 && !any) {
        config_complain(c->file, c->errors, "outputs",
                        "no rule can ever trip an output; add rules of role protect (not shadow ones) or remove "
                        "outputs");
        return;
    }
    for (uint32_t i = 0; i < table->outputs; i++) {
        if ((tripped >> i & 1) == 0) {
            char where[64];
            snprintf(where, sizeof(where), "outputs[%u].name", i);
            config_complain(c->file, c->errors, where,
                            "no rule of role protect can ever trip output '%s'; name it under a rule's outputs",
                            table->output[i].name);
        }
    }
}

void compile_budgets(struct compile *c)
{
    const struct control_table *table = &c->plan->table;
    check_outputs(c);
    if (table->rules > 0 && table->outputs == 0) {
        config_complain(c->file, c->errors, "rules", "a trip would act on nothing; add outputs or remove rules");
    }
    struct detection all[CONTROL_RULES_MAX];
    for (uint32_t i = 0; i < table->rules; i++) {
        all[i] = detect(table, i, all);
        check_safety_time(c, i, all[i].begins_ns);
    }
}
