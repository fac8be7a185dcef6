/* The list of what is wrong with a recording. */
#include <stdarg.h>
#include <stdlib.h>

#include "daq/record_set.h"

void record_trouble(struct record_set *set, const struct record_trouble *what, const char *format, ...)
{
    if (set->troubles >= RECORD_PROBLEMS_MAX) {
        *(what->of_order ? &set->untold_of_order : &set->untold) += 1;
        return;
    }
    struct record_trouble *to = &set->trouble[set->troubles++];
    *to = *what;
    va_list args;
    va_start(args, format);
    vsnprintf(to->problem.text, sizeof(to->problem.text), format, args);
    va_end(args);
}

void record_trouble_forget_order(struct record_set *set)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < set->troubles; i++) {
        if (!set->trouble[i].of_order) {
            set->trouble[kept++] = set->trouble[i];
        }
    }
    set->troubles = kept;
    set->untold_of_order = 0;
}

static int compare(const void *a, const void *b)
{
    const struct record_problem *x = &((const struct record_trouble *)a)->problem;
    const struct record_problem *y = &((const struct record_trouble *)b)->problem;
    if (x->ring != y->ring) {
        return x->ring < y->ring ? -1 : 1;
    }
    if (x->from_position != y->from_position) {
        return x->from_position < y->from_position ? -1 : 1;
    }
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    return x->offset == y->offset ? 0 : x->offset < y->offset ? -1 : 1;
}

void record_trouble_sort(struct record_set *set)
{
    qsort(set->trouble, set->troubles, sizeof(set->trouble[0]), compare);
}

uint64_t record_problems(const struct record_set *set)
{
    return set->troubles + set->untold + set->untold_of_order;
}

const struct record_problem *record_problem(const struct record_set *set, uint64_t index)
{
    return index < set->troubles ? &set->trouble[index].problem : NULL;
}
