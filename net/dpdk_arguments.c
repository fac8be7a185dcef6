#include "net/dpdk_arguments.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/dpdk_memory.h"

void dpdk_arguments_add(struct dpdk_arguments *arguments, const char *format, ...)
{
    struct dpdk_arguments *a = arguments;
    va_list args;
    if (a->argc >= (int)DPDK_ARGUMENTS_MAX) {
        return; /* there is room for all that a plan can have */
    }
    va_start(args, format);
    vsnprintf(a->text[a->argc], sizeof(a->text[0]), format, args);
    va_end(args);
    a->argv[a->argc] = a->text[a->argc];
    a->argc++;
    a->argv[a->argc] = NULL;
}

void dpdk_arguments_begin(struct dpdk_arguments *arguments, const char *program, const char *cores)
{
    arguments->argc = 0;
    arguments->any_pci = false;
    dpdk_arguments_add(arguments, "%s", program);
    dpdk_arguments_add(arguments, "--no-telemetry");
    dpdk_arguments_add(arguments, "--log-level=*:4"); /* warnings */
    if (cores != NULL) {
        dpdk_arguments_add(arguments, "--lcores=0@%s", cores);
    } else {
        dpdk_arguments_add(arguments, "--lcores=0@(0-%ld)", sysconf(_SC_NPROCESSORS_ONLN) - 1);
    }
}

bool dpdk_arguments_memory(struct dpdk_arguments *arguments, const char *program, uint32_t memory_mb)
{
    bool huge = dpdk_huge_pages_for(memory_mb);
    dpdk_arguments_add(arguments, "-m");
    dpdk_arguments_add(arguments, "%u", memory_mb);
    dpdk_arguments_add(arguments, "--single-file-segments"); /* memif's zero copy wants it */
    if (huge) {
        dpdk_arguments_add(arguments, "--in-memory");
    } else {
        dpdk_arguments_add(arguments, "--no-huge"); /* with --in-memory it is refused: this comes nearest */
        dpdk_arguments_add(arguments, "--no-shconf");
        dpdk_arguments_add(arguments, "--file-prefix=%s-%d", program, (int)getpid());
    }
    return huge;
}

void dpdk_arguments_port(struct dpdk_arguments *arguments, const char *port)
{
    bool pci = dpdk_port_is_pci(port);
    arguments->any_pci = arguments->any_pci || pci;
    dpdk_arguments_add(arguments, pci ? "--allow=%s" : "--vdev=%s", port);
}

void dpdk_arguments_end(struct dpdk_arguments *arguments, bool physical)
{
    dpdk_arguments_add(arguments, physical ? "--iova-mode=pa" : "--iova-mode=va");
    if (!arguments->any_pci) {
        dpdk_arguments_add(arguments, "--no-pci");
    }
}

static bool is_like(const char *text, const char *pattern)
{
    for (; *pattern != 0; pattern++, text++) {
        if (*pattern == 'h' ? isxdigit((unsigned char)*text) == 0 : *text != *pattern) {
            return false;
        }
    }
    return *text == 0 || *text == ',';
}

static bool is_short_pci(const char *port)
{
    return is_like(port, "hh:hh.h");
}

bool dpdk_port_is_pci(const char *port)
{
    return is_short_pci(port) || is_like(port, "hhhh:hh:hh.h");
}

const char *dpdk_port_name(const char *port, char name[DPDK_PORT_NAME_BYTES])
{
    snprintf(name, DPDK_PORT_NAME_BYTES, "%s%.*s", is_short_pci(port) ? "0000:" : "", (int)strcspn(port, ","),
             port);
    for (char *letter = name; dpdk_port_is_pci(port) && *letter != 0; letter++) {
        *letter = (char)tolower((unsigned char)*letter);
    }
    return name;
}

const char *dpdk_port_missing(const char *port, char text[DPDK_PORT_TEXT_BYTES])
{
    char name[DPDK_PORT_NAME_BYTES];
    dpdk_port_name(port, name);
    if (dpdk_port_is_pci(port)) {
        snprintf(text, DPDK_PORT_TEXT_BYTES,
                 "no DPDK port at PCI %s: is it there (lspci), bound to vfio-pci or uio_pci_generic "
                 "(dpdk-devbind.py -s), and no other process's?",
                 name);
    } else {
        snprintf(text, DPDK_PORT_TEXT_BYTES,
                 "DPDK made no port '%s': expected a virtual device such as net_memif0,socket=/run/x.sock; the "
                 "lines above say what it did not like",
                 name);
    }
    return text;
}
