/* `sluice gen ..`, `sluice export ..`: programs of their own, because they link what the command needs for nothing
 * else (DPDK, libhdf5). Cold. */
#ifndef TOOLS_BECOME_H
#define TOOLS_BECOME_H

/* Becomes sluice-COMMAND, which lies beside sluice, with these arguments; returns an exit code only if it is not
 * there, said. */
int become_command(const char *command, char **argv);

#endif
