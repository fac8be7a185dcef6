/* An event as a file says it, before it is one of ours. For scenario.c and event.c only. */
#ifndef SLUICE_PLANT_EVENT_FILE_H
#define SLUICE_PLANT_EVENT_FILE_H

#include <cyaml/cyaml.h>
#include <stdbool.h>

#include "tools/plant/scenario.h"

#define PLANT_DURATION_S_MAX 1e6

/* As libcyaml fills it: a pointer is NULL, an enumeration 0, where the file says nothing. */
struct file_event {
    double at_s;
    int action;
    int loop;
    int channel;
    int stream;
    int valve;
    double *sigma, *value, *for_s;
    uint32_t *samples, *frames, *bytes;
};

extern const cyaml_schema_value_t plant_event_schema;
extern const cyaml_config_t plant_cyaml_config;

/* Each writes a message to `why` and returns false if what it looks at cannot be. */
bool plant_event_fits(const struct file_event *event, double duration_s, char *why, size_t why_bytes);
bool plant_number_fits(const char *key, const double *value, double lowest, double highest, char *why,
                       size_t why_bytes);
/* Of one that fits. */
void plant_event_take(struct plant_event *to, const struct file_event *from);

#endif
