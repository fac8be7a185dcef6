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

uint64_t process_number(pid_t pid, const char *file, const char *word)
{
    char path[64];
    char line[256];
    uint64_t number = 0;
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, word, strlen(word)) == 0) {
            number = strtoull(line + strlen(word), NULL, 10);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return number;
}
