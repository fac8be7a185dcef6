/* The threads of a process, as the kernel knows them: /proc/PID/task. Cold. */
#ifndef TOOLS_TASKS_H
#define TOOLS_TASKS_H

#include <stdint.h>
#include <sys/types.h>

#define TASKS_MAX        64u /* of one process; one with more shows the first */
#define TASK_NAME_BYTES  16u
#define TASK_CORES_BYTES 64u

struct task {
    pid_t tid;
    char name[TASK_NAME_BYTES];
    char cores[TASK_CORES_BYTES]; /* that it may run on, such as "2" or "0-1,3"; empty: not told */
};

struct tasks {
    struct task *task; /* NULL: none */
    uint32_t count;
};

/* Reads all, in the order of their ids; what cannot be read is not there. tasks_fini after it. */
void tasks_read(struct tasks *tasks, pid_t pid);
void tasks_fini(struct tasks *tasks);

#endif
