#include "bench/calls.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/calls_count.h"

/* The program's object file (CALLS_OBJECT, by bench/CMakeLists.txt), as it is. */
__asm__(".section .rodata\n"
        ".balign 16\n"
        ".local calls_object\n"
        "calls_object:\n"
        ".incbin \"" CALLS_OBJECT "\"\n"
        "calls_object_end:\n"
        ".balign 8\n"
        ".local calls_object_bytes\n"
        "calls_object_bytes:\n"
        ".quad calls_object_end - calls_object\n"
        ".previous\n");
extern const uint8_t calls_object[];
extern const uint64_t calls_object_bytes;

#define MAP_BYTES 4096u

static int hear_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level;
    (void)format;
    (void)args;
    return 0;
}

static int load(struct calls *calls)
{
    struct bpf_object_open_opts options = {.sz = sizeof(options), .object_name = "sluice_calls"};
    libbpf_set_print(hear_nothing);
    calls->object = bpf_object__open_mem(calls_object, calls_object_bytes, &options);
    int code = calls->object == NULL ? -errno : bpf_object__load(calls->object);
    struct bpf_program *program = code == 0 ? bpf_object__find_program_by_name(calls->object, "on_call") : NULL;
    int map = code == 0 ? bpf_object__find_map_fd_by_name(calls->object, "counts") : -1;
    if (code != 0 || program == NULL || map < 0) {
        return code != 0 ? code : -ENOENT;
    }
    void *mapped = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
    if (mapped == MAP_FAILED) {
        return -errno;
    }
    calls->count = mapped;
    calls->link = bpf_program__attach(program);
    return calls->link == NULL ? -errno : 0;
}

int calls_begin(struct calls *calls, pid_t pid, struct error *err)
{
    struct stat names;
    *calls = (struct calls){.object = NULL};
    int code = stat("/proc/self/ns/pid", &names) == 0 ? load(calls) : -errno;
    if (code != 0) {
        (void)calls_end(calls);
        return error_set(err, -ENOTSUP, "system calls are not counted: %s; it takes root and a kernel with BPF",
                         strerror(-code));
    }
    calls->count->device = names.st_dev;
    calls->count->inode = names.st_ino;
    __atomic_store_n(&calls->count->calls, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&calls->count->pid, (uint64_t)pid, __ATOMIC_RELEASE);
    return 0;
}

uint64_t calls_end(struct calls *calls)
{
    uint64_t found = calls->count != NULL ? __atomic_load_n(&calls->count->calls, __ATOMIC_RELAXED) : 0;
    if (calls->link != NULL) {
        bpf_link__destroy(calls->link);
    }
    if (calls->count != NULL) {
        munmap(calls->count, MAP_BYTES);
    }
    if (calls->object != NULL) {
        bpf_object__close(calls->object);
    }
    *calls = (struct calls){.object = NULL};
    return found;
}
