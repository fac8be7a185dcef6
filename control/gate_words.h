/* What each check of the arming gate wants of the person in front of it. Cold. */
#ifndef CONTROL_GATE_WORDS_H
#define CONTROL_GATE_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* For one bit of enum gate_check: a clause such as "give control.core .. ". Any thread. */
const char *gate_advice(uint32_t check);

/* "pinned: ..; config: .." for every bit of the mask; as many whole clauses as fit, then where the others are said.
 * bytes: 64 at least. */
void gate_explain(uint32_t missing, char *text, size_t bytes);

#endif
