/* The rules over all recordings of a back-test: where each came nearest to its limit. One set of rules. */
#ifndef TOOLS_REPLAY_SUMMARY_H
#define TOOLS_REPLAY_SUMMARY_H

#include "tools/replay.h"

void replay_summary_add(const struct replay_result *result);
void replay_summary_print(void);
/* A new reference to a JSON array (json_t, kept out of this header). */
void *replay_summary_json(void);

#endif
