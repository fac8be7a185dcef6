/* What the screens share. Cold. */
#ifndef TOOLS_SCREENS_H
#define TOOLS_SCREENS_H

#include <jansson.h>
#include <stdbool.h>

const char *text_of(const json_t *object, const char *key);
double number_of(const json_t *object, const char *key);
bool true_of(const json_t *object, const char *key);

/* tools/report_rate.c: what there is to say of a stream's rate. */
void draw_rate(const json_t *rate);

/* tools/screens_interlock.c. */
void draw_interlock(const json_t *status);
void draw_rules(json_t *report);

#endif
