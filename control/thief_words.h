/* What took a core, in words and as stable keys. Pure. */
#ifndef CONTROL_THIEF_WORDS_H
#define CONTROL_THIEF_WORDS_H

#include <stddef.h>

#include "control/culprits.h"

#define THIEF_WORDS_BYTES 160u

/* "task", "idle", "wake", "irq", "softirq", "timer", "ipi", "nmi", "stopped", "sleep", "host"; else "unknown". */
const char *thief_key(uint32_t kind);

/* Text that anybody may have chosen becomes one that may be printed: it ends within its bytes, and what is not a
 * printing character of ASCII is a '?'. */
void thief_make_plain(char *text, size_t bytes);

/* Who or what it was, in a few words: "stress (pid 71) ran", "softirq NET_RX". */
void thief_who(const struct culprit *culprit, char text[THIEF_WORDS_BYTES]);

/* What to do about it: a sentence, "" if there is nothing to be done. */
const char *thief_remedy(const struct culprit *culprit);

#endif
