/* EAL's command line, as every program of ours that starts DPDK gives it, and how a port is named. No rte_*. Cold.
 */
#ifndef NET_DPDK_ARGUMENTS_H
#define NET_DPDK_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/plan.h"

#define DPDK_ARGUMENTS_MAX  (24 + PLAN_SOURCES_MAX + PLAN_EAL_MAX)
#define DPDK_ARGUMENT_BYTES 512u

struct dpdk_arguments {
    char *argv[DPDK_ARGUMENTS_MAX + 1];
    int argc;
    bool any_pci;
    char text[DPDK_ARGUMENTS_MAX][DPDK_ARGUMENT_BYTES];
};

/* What stands first: the program's name, no telemetry, warnings, and EAL's one thread on these cores: "3", "(1,2)";
 * or NULL: where the kernel puts it. */
void dpdk_arguments_begin(struct dpdk_arguments *arguments, const char *program, const char *cores);

__attribute__((format(printf, 2, 3))) void dpdk_arguments_add(struct dpdk_arguments *arguments, const char *format,
                                                              ...);

/* DPDK's own memory: on huge pages if there are so many, else (false) on small ones. */
bool dpdk_arguments_memory(struct dpdk_arguments *arguments, const char *program, uint32_t memory_mb);

/* A device at its place on the PCI bus, or a virtual one with its arguments. When all are added, _end: without any
 * on the PCI bus EAL looks at none, else it would take this machine's own network card. `physical`: devices go by
 * physical addresses (net/dpdk_bind.h). */
void dpdk_arguments_port(struct dpdk_arguments *arguments, const char *port);
void dpdk_arguments_end(struct dpdk_arguments *arguments, bool physical);

/* "0000:03:00.0", "03:00.0" as lspci has it, both maybe with arguments behind a comma; everything else is a virtual
 * device. Pure. */
bool dpdk_port_is_pci(const char *port);

/* The name that DPDK gives the port: what stands in front of its arguments, a PCI address in full. Pure. */
#define DPDK_PORT_NAME_BYTES 64u /* RTE_DEV_NAME_MAX_LEN */
const char *dpdk_port_name(const char *port, char name[DPDK_PORT_NAME_BYTES]);

/* What to say when DPDK has no such port. Pure. */
#define DPDK_PORT_TEXT_BYTES 256u
const char *dpdk_port_missing(const char *port, char text[DPDK_PORT_TEXT_BYTES]);

#endif
