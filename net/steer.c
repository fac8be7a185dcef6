#include "net/steer.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The program's object file (STEER_OBJECT, by net/CMakeLists.txt), as it is. */
__asm__(".section .rodata\n"
        ".balign 16\n"
        ".local steer_object\n"
        "steer_object:\n"
        ".incbin \"" STEER_OBJECT "\"\n"
        "steer_object_end:\n"
        ".balign 8\n"
        ".local steer_object_bytes\n"
        "steer_object_bytes:\n"
        ".quad steer_object_end - steer_object\n"
        ".previous\n");
extern const uint8_t steer_object[];
extern const uint64_t steer_object_bytes;

#define QUEUES_BYTES 4096u
static_assert(STEER_QUEUES_MAX * sizeof(struct steer_queue) <= QUEUES_BYTES, "one page");

static char complaint[256]; /* the last that libbpf said */

__attribute__((format(printf, 2, 0))) static int hear(enum libbpf_print_level level, const char *format,
                                                      va_list args)
{
    if (level == LIBBPF_WARN) {
        vsnprintf(complaint, sizeof(complaint), format, args);
        complaint[strcspn(complaint, "\n")] = 0;
    }
    return 0;
}

static int load_object(struct steer *steer, struct error *err)
{
    struct bpf_object_open_opts options = {.sz = sizeof(options), .object_name = "sluice"};
    libbpf_set_print(hear);
    complaint[0] = 0;
    steer->object = bpf_object__open_mem(steer_object, steer_object_bytes, &options);
    int code = steer->object == NULL ? -errno : bpf_object__load(steer->object);
    if (code == -EPERM || code == -EACCES) { /* the second: without CAP_PERFMON the verifier is stricter */
        return error_set(err, -EPERM,
                         "interface %s: not allowed to load an XDP program: run as root, or with CAP_NET_RAW, "
                         "CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON",
                         steer->interface);
    }
    if (code != 0) {
        return error_set(err, code, "interface %s: the kernel does not take the XDP program: %s; %s",
                         steer->interface, strerror(-code), complaint);
    }
    return 0;
}

static int load(struct steer *steer, struct error *err)
{
    int code = load_object(steer, err);
    if (code != 0) {
        return code;
    }
    steer->program_fd = bpf_program__fd(bpf_object__find_program_by_name(steer->object, "steer"));
    steer->sockets_fd = bpf_object__find_map_fd_by_name(steer->object, "sockets");
    int queues_fd = bpf_object__find_map_fd_by_name(steer->object, "queues");
    void *queues = mmap(NULL, QUEUES_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, queues_fd, 0);
    if (queues == MAP_FAILED) {
        return error_set(err, -errno, "interface %s: cannot map the XDP program's table: %s", steer->interface,
                         strerror(errno));
    }
    steer->queue = queues;
    return 0;
}

struct steer *steer_for(struct steer *places, uint32_t count, const char *interface, struct error *err)
{
    struct steer *steer = NULL;
    for (uint32_t i = 0; i < count && steer == NULL; i++) {
        if (places[i].queue == NULL || strcmp(places[i].interface, interface) == 0) {
            steer = &places[i];
        }
    }
    if (steer == NULL) {
        error_set(err, -ENOSPC, "expected at most %u interfaces, found one more: %s", count, interface);
        return NULL;
    }
    if (steer->queue != NULL) {
        return steer;
    }
    *steer = (struct steer){.program_fd = -1, .sockets_fd = -1, .link_fd = -1};
    snprintf(steer->interface, sizeof(steer->interface), "%s", interface);
    if (load(steer, err) != 0) {
        steer_unload(steer);
        return NULL;
    }
    return steer;
}

static void detach(struct steer *steer)
{
    if (steer->link_fd >= 0) {
        close(steer->link_fd);
    }
    steer->link_fd = -1;
    steer->ifindex = 0;
}

void steer_unload(struct steer *steer)
{
    detach(steer);
    if (steer->queue != NULL) {
        munmap(steer->queue, QUEUES_BYTES);
    }
    bpf_object__close(steer->object);
    *steer = (struct steer){.link_fd = -1};
}

void steer_set_flow(struct steer *steer, uint32_t queue, const struct packet_filter *filter,
                    uint32_t frame_bytes_max)
{
    struct steer_queue *to = &steer->queue[queue];
    to->match = filter->match;
    to->to_address = filter->to_address;
    to->from_address = filter->from_address;
    to->to_port = filter->to_port;
    to->from_port = filter->from_port;
    to->vlan = filter->vlan;
    to->ethertype = filter->ethertype;
    memcpy(to->mac, filter->mac, sizeof(to->mac));
    to->frame_bytes_max = frame_bytes_max;
    __atomic_store_n(&to->form, filter->form, __ATOMIC_RELEASE);
}

static int link_as(const struct steer *steer, unsigned ifindex, uint32_t mode)
{
    struct bpf_link_create_opts options = {.sz = sizeof(options), .flags = mode};
    return bpf_link_create(steer->program_fd, (int)ifindex, BPF_XDP, &options);
}

int steer_attach(struct steer *steer, unsigned ifindex)
{
    if (steer->link_fd >= 0 && steer->ifindex == ifindex) {
        return 0;
    }
    detach(steer);
    bool generic = false;
    int fd = link_as(steer, ifindex, XDP_FLAGS_DRV_MODE);
    if (fd == -EOPNOTSUPP || fd == -EINVAL) { /* no XDP in this driver, or not with this MTU */
        generic = true;
        fd = link_as(steer, ifindex, XDP_FLAGS_SKB_MODE);
    }
    if (fd < 0) {
        return fd;
    }
    steer->link_fd = fd;
    steer->ifindex = ifindex;
    steer->generic = generic;
    return 0;
}

void steer_detach(struct steer *steer, unsigned ifindex)
{
    if (steer->ifindex == ifindex) {
        detach(steer);
    }
}

int steer_to_socket(const struct steer *steer, uint32_t queue, int socket_fd)
{
    return bpf_map_update_elem(steer->sockets_fd, &queue, &socket_fd, BPF_ANY);
}
