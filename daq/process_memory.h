/* What a process takes. Cold. */
#ifndef DAQ_PROCESS_MEMORY_H
#define DAQ_PROCESS_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Resident memory in proportion to sharing, without the rings, in KiB; 0: not known. Any thread. */
uint64_t process_pss_kb(pid_t pid);

/* The number behind a word at the start of a line of /proc/PID/FILE; 0: there is no such line, or not known. Any
 * thread. */
uint64_t process_number(pid_t pid, const char *file, const char *word);

#endif
