/* Members of a result that was read: what is missing is a default, never a fault. */
#ifndef BENCH_DOCUMENT_GET_H
#define BENCH_DOCUMENT_GET_H

#include <jansson.h>
#include <math.h>

static inline const char *get_text(const json_t *o, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : otherwise;
}

/* NAN: there is none. */
static inline double get_number(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static inline long long get_whole(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static inline int get_true(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

#endif
