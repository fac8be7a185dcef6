/* A cause in one sentence, for logs and answers. Cold. */
#ifndef CONTROL_EXPLAIN_H
#define CONTROL_EXPLAIN_H

#include "control/engine.h"

/* "chamber_pressure 152.301 kPa above 150 (rule overpressure), sample 3021". Pure; any thread. */
void control_explain(const struct control_table *table, const struct engine_cause *cause, char *text, size_t bytes);

#endif
