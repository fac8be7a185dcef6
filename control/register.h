/* Bits of a register in mapped memory: a UIO device (its map 0), or a file.
 *
 * Nothing releases a register when its writer dies: the permit would stand. That is why the compiler wants a
 * heartbeat output on it (daq/compile_outputs.c), and why sluiced must be able to write it too, whatever happened
 * to control.
 *
 * control maps it once, before its seal. A store: the register is read, our lines are put into it, it is stored
 * once with its own width, and read again; what was not taken is an error. The other bits are kept as they are read
 * at that moment: whoever else writes them at the same time may lose a change.
 *
 * A file that is truncated under a running control process makes its next store a SIGBUS, which ends it; sluiced
 * then writes the safe state with pwrite(2), which needs no mapping and makes the file long enough again. Where
 * there is only a mapping (UIO), sluiced catches that signal.
 */
#ifndef CONTROL_REGISTER_H
#define CONTROL_REGISTER_H

#include <stdbool.h>

#include "control/table.h"
#include "ring/error.h"

#define REGISTER_AT_MAX ((UINT64_C(1) << 20) - 8)

/* volatile: each of them is one access of exactly this width, 1, 2, 4 or 8 bytes; in the machine's byte order. */
uint64_t register_load(uint32_t width, const volatile void *at);
void register_put(uint32_t width, volatile void *at, uint64_t value);
/* In the other byte order. */
uint64_t register_swap(uint32_t width, uint64_t value);

/* Opens the device and checks that the register lies in it. Descriptor or -errno. Cold, by sluiced. */
int register_open(const struct control_device *device, struct error *err);

/* Maps the register; *at is its first byte. 0 or -errno. Cold, before the seal. */
int register_map(const struct control_device *device, int fd, void **at, struct error *err);

/* Stores our lines through the map. 0, or -EIO: the register does not hold what was stored. SIGBUS if it is gone.
 */
int register_store(const struct control_device *device, void *at, uint32_t energised);

/* The same for a process that must not end by it: -EFAULT instead of SIGBUS. One thread at a time. */
int register_store_guarded(const struct control_device *device, void *at, uint32_t energised);

/* True if it is a file, which register_write can write without a map. */
bool register_is_file(int fd);

/* Puts our lines into the file with pread(2) and pwrite(2). 0 or -errno. */
int register_write(const struct control_device *device, int fd, uint32_t energised);

/* The register's next content. Pure; `content` as the machine reads it. */
uint64_t register_merge(const struct control_device *device, uint64_t content, uint32_t energised);

#endif
