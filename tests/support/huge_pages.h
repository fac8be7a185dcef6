/* Reserves huge pages for a test and gives them back. For tests; needs root. */
#ifndef TESTS_SUPPORT_HUGE_PAGES_H
#define TESTS_SUPPORT_HUGE_PAGES_H

#include <stdio.h>

static inline long huge_pages_value(size_t page_bytes, const char *name, long set)
{
    char path[128];
    long value = -1;
    snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%zukB/%s", page_bytes / 1024, name);
    FILE *f = fopen(path, set >= 0 ? "we" : "re");
    if (f == NULL) {
        return -1;
    }
    if (set >= 0) {
        value = fprintf(f, "%ld\n", set);
    } else if (fscanf(f, "%ld", &value) != 1) { // NOLINT(cert-err34-c): the kernel writes a number
        value = -1;
    }
    return fclose(f) == 0 ? value : -1;
}

/* So many more than there are. How many were added: less than `pages` if the system has no more. */
static inline long huge_pages_add(size_t page_bytes, long pages)
{
    long before = huge_pages_value(page_bytes, "nr_hugepages", -1);
    if (before < 0 || huge_pages_value(page_bytes, "nr_hugepages", before + pages) < 0) {
        return 0;
    }
    return huge_pages_value(page_bytes, "nr_hugepages", -1) - before;
}

static inline void huge_pages_take_back(size_t page_bytes, long pages)
{
    long now = huge_pages_value(page_bytes, "nr_hugepages", -1);
    if (pages > 0 && now >= pages) {
        (void)huge_pages_value(page_bytes, "nr_hugepages", now - pages);
    }
}

#endif
