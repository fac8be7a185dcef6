#include "tools/tasks.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_tid(const void *a, const void *b)
{
    const struct task *one = a;
    const struct task *two = b;
    return (one->tid > two->tid) - (one->tid < two->tid);
}

/* The rest of a line behind "Key:\t". */
static void take_text(const char *line, const char *key, char *to, size_t bytes)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) == 0) {
        const char *from = line + n + strspn(line + n, " \t");
        snprintf(to, bytes, "%.*s", (int)strcspn(from, "\n"), from);
    }
}

static void read_one(struct task *task, pid_t pid)
{
    char path[64];
    char line[256];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, task->tid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        take_text(line, "Name:", task->name, sizeof(task->name));
        take_text(line, "Cpus_allowed_list:", task->cores, sizeof(task->cores));
    }
    if (f != NULL) {
        fclose(f);
    }
}

void tasks_read(struct tasks *tasks, pid_t pid)
{
    char path[64];
    *tasks = (struct tasks){.task = calloc(TASKS_MAX, sizeof(struct task))};
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *d = tasks->task != NULL ? opendir(path) : NULL;
    for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL && tasks->count < TASKS_MAX; e = readdir(d)) {
        if (isdigit((unsigned char)e->d_name[0]) != 0) {
            struct task *task = &tasks->task[tasks->count];
            task->tid = (pid_t)strtol(e->d_name, NULL, 10);
            read_one(task, pid);
            tasks->count += task->name[0] != 0; /* else it has ended meanwhile */
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    if (tasks->count > 1) {
        qsort(tasks->task, tasks->count, sizeof(struct task), by_tid);
    }
}

void tasks_fini(struct tasks *tasks)
{
    free(tasks->task);
    *tasks = (struct tasks){.task = NULL};
}
