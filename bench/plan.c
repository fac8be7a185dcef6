#include "bench/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_S 30.0 /* over what was asked for: a measurement that takes longer hangs */

static volatile sig_atomic_t stopped;

void plan_stop(void)
{
    stopped = 1;
}

bool plan_stopped(void)
{
    return stopped != 0;
}

bool plan_wants(const char *only, const char *name, const char *variant)
{
    const char *end;
    if (only == NULL) {
        return true;
    }
    for (const char *word = only; word != NULL; word = end != NULL ? end + 1 : NULL) {
        end = strchr(word, ',');
        size_t n = end != NULL ? (size_t)(end - word) : strlen(word);
        bool is_name = strncmp(word, name, n) == 0 && name[n] == 0;
        bool is_variant = strncmp(variant, word, n) == 0 && (variant[n] == 0 || variant[n] == '-');
        if (n > 0 && (is_name || is_variant)) {
            return true;
        }
    }
    return false;
}

static void drop(struct plan *plan, struct plan_case *c, const struct outcome *outcome)
{
    static char reasons[PLAN_CASES_MAX][ERROR_TEXT_BYTES];
    char *reason = reasons[c - plan->cases];
    snprintf(reason, ERROR_TEXT_BYTES, "%s",
             outcome->err.text[0] != 0 ? outcome->err.text : strerror(-outcome->code));
    c->dropped = true;
    for (uint32_t i = 0; i < c->row_count; i++) {
        plan->rows[c->first_row + i].note = reason;
    }
}

static void take(struct plan *plan, const struct plan_case *c, uint32_t round, const struct outcome *outcome)
{
    for (uint32_t i = 0; i < c->row_count; i++) {
        struct row *row = &plan->rows[c->first_row + i];
        row->samples[round] = outcome->values[i] * c->scale[i];
        row->stall_us = outcome->stall_us > row->stall_us ? outcome->stall_us : row->stall_us;
        row->frames += outcome->frames;
        row->lost += outcome->lost;
        row->wrong += outcome->wrong;
        row->capped = row->capped || outcome->capped;
    }
}

/* 1 if it failed, and that is said. */
static uint32_t ask(struct plan *plan, struct plan_case *c, uint32_t round)
{
    struct outcome outcome;
    const struct row *row = &plan->rows[c->first_row];
    measure_in_child(&c->question, c->question.seconds + c->question.cap_s + LIMIT_S, &outcome);
    if (outcome.code != 0) {
        drop(plan, c, &outcome);
        if (outcome.code != -ENOTSUP) {
            fprintf(stderr, "sluice-bench: %s %s of %u bytes failed: %s\n", row->name, row->variant,
                    row->size_bytes, row->note);
        }
        return outcome.code != -ENOTSUP;
    }
    take(plan, c, round, &outcome);
    if (outcome.wrong > 0) {
        fprintf(stderr, "sluice-bench: %s %s of %u bytes: %" PRIu64 " of %" PRIu64 " frames came out wrong\n",
                row->name, row->variant, row->size_bytes, outcome.wrong, outcome.wrong + outcome.frames);
    }
    c->dropped = outcome.capped; /* the cap takes long, and would be the same again */
    return outcome.wrong > 0;
}

uint32_t plan_round(struct plan *plan, uint32_t round)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < plan->row_count; i++) {
        plan->rows[i].samples[round] = NAN;
        plan->rows[i].rounds = round + 1;
    }
    for (uint32_t i = 0; i < plan->case_count && !plan_stopped(); i++) {
        if (!plan->cases[i].dropped) {
            failed += ask(plan, &plan->cases[i], round);
        }
    }
    return failed;
}
