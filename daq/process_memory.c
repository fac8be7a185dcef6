#include "daq/process_memory.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t process_pss_kb(pid_t pid)
{
    char path[64];
    char line[512];
    uint64_t sum_kb = 0;
    bool is_ring = false;
    snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "Pss:", 4) == 0) {
            sum_kb += is_ring ? 0 : strtoull(line + 4, NULL, 10);
        } else if (line[0] < 'A' || line[0] > 'Z') {
            is_ring = strstr(line, "/memfd:sluice-ring") != NULL;
        }
    }
    fclose(f);
    return sum_kb;
}
