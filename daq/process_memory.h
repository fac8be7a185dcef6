/* What a process takes. Cold. */
#ifndef DAQ_PROCESS_MEMORY_H
#define DAQ_PROCESS_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Resident memory in proportion to sharing, without the rings, in KiB; 0: not known. Any thread. */
uint64_t process_pss_kb(pid_t pid);

#endif
