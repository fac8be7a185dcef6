#include "bench/net_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/net_process.h"
#include "bench/peer.h"

#define MTU_MIN        1500u
#define WORDS_MAX      24u
#define ETHERNET_BYTES 14u
/* A frame in the kernel's ring that an AF_PACKET socket shares: what is in front of it there, and what the driver
 * of DPDK takes for that. */
#define PACKET_FRONT_BYTES 80u
#define PACKET_BLOCK_BYTES 65536u
#define PACKET_FRAME_BYTES 2048u

/* The socket and its folder go when the process that made them has ended: that is when nobody holds the other end
 * of the pipe any more. In a session of its own, for all that the bench leaves behind is killed by its group. */
_Noreturn static void keep(const struct net_rig *rig, int ended, int running)
{
    char nothing;
    setsid();
    close(running);
    while (read(ended, &nothing, 1) < 0 && errno == EINTR) {
    }
    unlink(rig->socket);
    rmdir(rig->folder);
    _exit(0);
}

static int make_folder(struct net_rig *rig, struct error *err)
{
    int ends[2];
    snprintf(rig->folder, sizeof(rig->folder), "/tmp/sluice-bench-XXXXXX");
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return error_set(err, -errno, "a pipe: %s", strerror(errno));
    }
    if (mkdtemp(rig->folder) == NULL) {
        int code = -errno;
        close(ends[0]);
        close(ends[1]);
        return error_set(err, code, "cannot make a folder like %s for a socket: %s", rig->folder, strerror(-code));
    }
    snprintf(rig->socket, sizeof(rig->socket), "%s/vhost.sock", rig->folder);
    rig->keeper = fork();
    if (rig->keeper == 0) {
        keep(rig, ends[0], ends[1]);
    }
    int code = -errno;
    close(ends[0]);
    rig->keeper_fd = ends[1];
    if (rig->keeper < 0) {
        rmdir(rig->folder);
        return error_set(err, code, "fork: %s", strerror(-code));
    }
    return 0;
}

/* ip with these words, in this network namespace (0: ours). */
static int run_ip(int namespace, const char *words, struct error *err)
{
    char text[256];
    const char *argv[WORDS_MAX + 2] = {"ip"};
    uint32_t count = 1;
    char *rest = text;
    snprintf(text, sizeof(text), "%s", words);
    for (char *word = strsep(&rest, " "); word != NULL && count <= WORDS_MAX; word = strsep(&rest, " ")) {
        argv[count++] = word;
    }
    struct net_process process = {
        .argv = argv, .core = -1, .in = -1, .out = -1, .shared = -1, .namespace = namespace, .search = true};
    int status = 0;
    pid_t pid = net_process_start(&process, err);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    bool missing = pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127;
    return error_set(err, -ENOTSUP, "not available: %s",
                     missing ? "no program ip (Debian package iproute2), which makes the veth pair"
                             : "no veth pair can be made here; the lines above say why");
}

/* Without IPv6, which says this and that when an interface comes up: nothing but the generator's frames is to be on
 * the wire. */
static int enter_namespace(void)
{
    if (unshare(CLONE_NEWNET) != 0) {
        return -errno;
    }
    int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? write(fd, "1", 1) : 1; /* no such file: the kernel has none */
    if (fd >= 0) {
        close(fd);
    }
    return n == 1 ? 0 : -EIO;
}

/* Two namespaces, else a datagram would take the way through the loopback: the generator's, and ours. */
static int enter_namespaces(struct net_rig *rig, struct error *err)
{
    int code = enter_namespace();
    if (code != 0) {
        return error_set(err, -ENOTSUP,
                         "not available: no network namespace can be made for a veth pair (%s); run it as root",
                         strerror(-code));
    }
    rig->namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    code = rig->namespace < 0 ? -errno : enter_namespace();
    return code == 0 ? 0 : error_set(err, code, "a second network namespace for a veth pair: %s", strerror(-code));
}

/* Nobody answers for the address that the generator sends to: the receivers take whole frames. gso_max_segs: what
 * leaves as one message is cut up before it is on the wire, as a network card would do it, and not behind it. */
static int make_veth(struct net_rig *rig, struct error *err)
{
    char pair[256];
    uint32_t needed = rig->size_bytes > ETHERNET_BYTES + MTU_MIN ? rig->size_bytes - ETHERNET_BYTES : MTU_MIN;
    int code = enter_namespaces(rig, err);
    if (code != 0) {
        return code;
    }
    snprintf(pair, sizeof(pair),
             "link add " NET_VETH_RECEIVING " mtu %u type veth peer name " NET_VETH_SENDING
             " mtu %u netns /proc/%d/fd/%d",
             needed, needed, getpid(), rig->namespace);
    const struct {
        int namespace;
        const char *words;
    } steps[] = {
        {0, pair},
        {0, "link set " NET_VETH_RECEIVING " up"},
        {rig->namespace, "link set " NET_VETH_SENDING " gso_max_segs 1 up"},
        {rig->namespace, "addr add 192.0.2.1/24 dev " NET_VETH_SENDING},
        {rig->namespace, "neigh add " NET_VETH_ADDRESS " lladdr 02:00:00:00:00:02 dev " NET_VETH_SENDING},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && code == 0; i++) {
        code = run_ip(steps[i].namespace, steps[i].words, err);
    }
    return code;
}

int net_wire_open(struct net_rig *rig, struct error *err)
{
    switch (rig->path->wire) {
    case NET_VHOST:
        return make_folder(rig, err);
    case NET_VETH:
        return make_veth(rig, err);
    case NET_MEMIF:
    case NET_MEMIF_ZERO:
    case NET_UDP:
        break;
    }
    snprintf(rig->socket, sizeof(rig->socket), "sluice-bench-%d", getpid()); /* abstract: no file */
    return 0;
}

void net_wire_close(struct net_rig *rig)
{
    if (rig->namespace > 0) {
        close(rig->namespace);
    }
    if (rig->keeper > 0) {
        close(rig->keeper_fd);
        while (waitpid(rig->keeper, NULL, 0) < 0 && errno == EINTR) {
        }
        rig->keeper = 0;
    }
}

/* A power of two: the driver takes the kernel's blocks to be full of frames. */
static uint32_t packet_frame_bytes(const struct net_rig *rig)
{
    uint32_t bytes = PACKET_FRAME_BYTES;
    while (bytes < rig->size_bytes + PACKET_FRONT_BYTES) {
        bytes *= 2;
    }
    return bytes;
}

uint32_t net_wire_room(const struct net_rig *rig)
{
    return bench_lines(rig->path->wire == NET_VETH ? packet_frame_bytes(rig) : rig->size_bytes);
}

void net_wire_receiving_port(const struct net_rig *rig, char *text, size_t bytes)
{
    uint32_t per_block = PACKET_BLOCK_BYTES / packet_frame_bytes(rig);
    switch (rig->path->wire) {
    case NET_MEMIF:
    case NET_MEMIF_ZERO:
        snprintf(text, bytes, "net_memif0,role=server,socket=%s,rsize=%d,bsize=%u", rig->socket,
                 __builtin_ctz(rig->descriptors), bench_lines(rig->size_bytes));
        break;
    case NET_VHOST:
        snprintf(text, bytes, "net_vhost0,iface=%s,queues=1", rig->socket);
        break;
    case NET_VETH:
        snprintf(text, bytes, "net_af_packet0,iface=%s,blocksz=%u,framesz=%u,framecnt=%u", NET_VETH_RECEIVING,
                 PACKET_BLOCK_BYTES, packet_frame_bytes(rig), rig->descriptors / per_block * per_block);
        break;
    case NET_UDP:
        text[0] = 0;
        break;
    }
}

void net_wire_sending_port(const struct net_rig *rig, char *text, size_t bytes)
{
    if (rig->path->wire == NET_VHOST) {
        snprintf(text, bytes, "net_virtio_user0,path=%s,queues=1,queue_size=%u", rig->socket, rig->descriptors);
        return;
    }
    snprintf(text, bytes, "net_memif0,role=client,socket=%s,rsize=%d,bsize=%u%s", rig->socket,
             __builtin_ctz(rig->descriptors), bench_lines(rig->size_bytes),
             rig->path->wire == NET_MEMIF_ZERO ? ",zero-copy=yes" : "");
}
