/* The seal: what is listed works, anything else ends the process. Each case is a child of its own. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/gpio.h>
#include <linux/if_xdp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/seal.h"

static int file = -1;
static int pair[2];

static void set_up(void)
{
    char path[] = "/tmp/sluice-seal-XXXXXX";
    file = mkstemp(path);
    unlink(path);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
}

TestSuite(seal, .init = set_up);

/* Runs what() in a sealed child. Returns its wait status; exit status 0 means what() returned true. */
static int sealed(enum seal_profile profile, bool (*what)(void))
{
    static struct board board;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        seal_process(profile, true, &board);
        if (board.sealed != 1) {
            _exit(9);
        }
        _exit(what() ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

static bool sleep_and_clock(void)
{
    struct timespec t = {.tv_nsec = 1000};
    return clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL) == 0 && clock_gettime(CLOCK_MONOTONIC, &t) == 0;
}

static bool put_outputs(void)
{
    return sendto(pair[0], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) == 1 && pwrite(file, "1\n", 2, 0) == 2 &&
           write(file, "x", 1) == 1;
}

static bool clear_away(void)
{
    return unlink("/tmp/sluice-no-such-file") != 0 && rmdir("/tmp/sluice-no-such-directory") != 0;
}

static bool open_a_device(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return fd >= 0 && fcntl(fd, F_GETFL) >= 0 && !isatty(fd) && close(fd) == 0;
}

static bool read_a_counter(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && !isatty(fd) && close(fd) == 0;
}

static bool set_gpio_lines(void)
{
    struct gpio_v2_line_values values = {.mask = 1};
    return ioctl(file, GPIO_V2_LINE_SET_VALUES_IOCTL, &values) != 0 && errno == ENOTTY;
}

static bool set_a_terminal(void)
{
    return ioctl(file, TIOCSTI, "x") != 0;
}

static bool speak_to_a_server(void)
{
    char byte;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
           recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && shutdown(fd, SHUT_RDWR) != 0 && close(fd) == 0;
}

static bool open_unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool accept_a_client(void)
{
    return accept(pair[0], NULL, NULL) >= 0;
}

static bool map_memory(void)
{
    return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool open_socket(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0) >= 0;
}

static bool large_allocation(void)
{
    volatile char *p = malloc((size_t)64 << 20);
    return p != NULL;
}

static bool start_a_process(void)
{
    return fork() >= 0;
}

static bool kill_another(void)
{
    return kill(getppid(), 0) == 0;
}

static void expect_works(enum seal_profile profile, bool (*what)(void), const char *name)
{
    int status = sealed(profile, what);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %#x", name, (unsigned)status);
}

static void expect_killed(enum seal_profile profile, bool (*what)(void), const char *name)
{
    int status = sealed(profile, what);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: status %#x", name, (unsigned)status);
}

Test(seal, control_may_do_what_is_listed)
{
    expect_works(SEAL_CONTROL, sleep_and_clock, "sleep and clock");
    expect_works(SEAL_CONTROL, put_outputs, "outputs");
    expect_works(SEAL_CONTROL, clear_away, "clearing the run directory away");
}

Test(seal, control_may_set_gpio_lines_only_if_it_has_some)
{
    expect_works(SEAL_CONTROL_GPIO, set_gpio_lines, "lines");
    expect_works(SEAL_CONTROL_GPIO, put_outputs, "the other outputs");
    expect_works(SEAL_CONTROL_GPIO, sleep_and_clock, "sleep and clock");
    expect_works(SEAL_CONTROL_GPIO, clear_away, "clearing the run directory away");
    expect_killed(SEAL_CONTROL_GPIO, set_a_terminal, "another ioctl");
    expect_killed(SEAL_CONTROL_GPIO, open_a_device, "open");
    expect_killed(SEAL_CONTROL, set_gpio_lines, "lines without GPIO");
}

Test(seal, an_actuator_may_speak_to_its_server_and_nothing_else)
{
    expect_works(SEAL_ACTUATOR, speak_to_a_server, "a server");
    expect_works(SEAL_ACTUATOR, sleep_and_clock, "sleep and clock");
    expect_killed(SEAL_ACTUATOR, open_unix_socket, "a Unix socket");
    expect_killed(SEAL_ACTUATOR, accept_a_client, "accept");
    expect_killed(SEAL_ACTUATOR, open_a_device, "open");
    expect_killed(SEAL_ACTUATOR, map_memory, "mmap");
    expect_killed(SEAL_ACTUATOR, start_a_process, "fork");
    expect_killed(SEAL_ACTUATOR, put_outputs, "another output");
}

Test(seal, a_worker_may_do_what_is_listed)
{
    expect_works(SEAL_WORKER, sleep_and_clock, "sleep and clock");
    expect_killed(SEAL_WORKER, open_a_device, "open");
}

Test(seal, control_is_killed_by_anything_else)
{
    expect_killed(SEAL_CONTROL, open_a_device, "open");
    expect_killed(SEAL_CONTROL, map_memory, "mmap");
    expect_killed(SEAL_CONTROL, open_socket, "socket");
    expect_killed(SEAL_CONTROL, large_allocation, "a large malloc");
    expect_killed(SEAL_CONTROL, start_a_process, "fork");
    expect_killed(SEAL_CONTROL, kill_another, "kill");
}

Test(seal, a_worker_is_killed_by_anything_else)
{
    expect_killed(SEAL_WORKER, map_memory, "mmap");
    expect_killed(SEAL_WORKER, open_socket, "socket");
    expect_killed(SEAL_WORKER, put_outputs, "an output");
    expect_killed(SEAL_WORKER, start_a_process, "fork");
}

/* ---- Leases: memory may be mapped only to be read, over what is mapped already. */

#define LEASE_FLAGS (MAP_SHARED | MAP_FIXED | MAP_POPULATE)

static void *place; /* reserved before the seal */
static int lease = -1;

static void reserve_a_place(void)
{
    place = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(place, MAP_FAILED);
    lease = memfd_create("lease", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(lease, 4096), 0);
    cr_assert_eq(pwrite(lease, "x", 1, 0), 1);
}

static bool map_as(int protection, int flags)
{
    return mmap(place, 4096, protection, flags, lease, 0) == place && *(const volatile char *)place == 'x';
}

static bool map_a_lease(void)
{
    return map_as(PROT_READ, LEASE_FLAGS);
}

static bool map_writable(void)
{
    return map_as(PROT_READ | PROT_WRITE, LEASE_FLAGS);
}

static bool map_executable(void)
{
    return map_as(PROT_READ | PROT_EXEC, LEASE_FLAGS);
}

static bool map_only_executable(void)
{
    return map_as(PROT_EXEC, LEASE_FLAGS);
}

static bool map_anywhere(void)
{
    return map_as(PROT_READ, MAP_SHARED | MAP_POPULATE);
}

static bool map_private(void)
{
    return map_as(PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_POPULATE);
}

static bool map_without_populate(void)
{
    return map_as(PROT_READ, MAP_SHARED | MAP_FIXED);
}

static bool map_anonymous(void)
{
    return map_as(PROT_READ, LEASE_FLAGS | MAP_ANONYMOUS);
}

static bool make_writable(void)
{
    return map_as(PROT_READ, LEASE_FLAGS) && mprotect(place, 4096, PROT_READ | PROT_WRITE) == 0;
}

static bool receive_a_message(void)
{
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    return recvmsg(pair[0], &message, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static bool ring_the_bell(void)
{
    uint64_t one = 1;
    return write(file, &one, sizeof(one)) == sizeof(one);
}

Test(seal, a_worker_may_map_leases_if_its_rings_take_gating_readers)
{
    reserve_a_place();
    expect_works(SEAL_WORKER_LEASES, map_a_lease, "a lease");
    expect_works(SEAL_WORKER_LEASES, receive_a_message, "recvmsg");
    expect_works(SEAL_WORKER_LEASES, ring_the_bell, "the bell");
    expect_works(SEAL_WORKER_LEASES, sleep_and_clock, "sleep and clock");
    expect_killed(SEAL_WORKER_LEASES, open_a_device, "open");
    expect_killed(SEAL_WORKER, map_a_lease, "a lease without gating readers");
    expect_killed(SEAL_WORKER, receive_a_message, "recvmsg without gating readers");
    expect_killed(SEAL_CONTROL, map_a_lease, "a lease in control");
}

Test(seal, a_worker_is_killed_by_any_other_map)
{
    reserve_a_place();
    expect_killed(SEAL_WORKER_LEASES, map_writable, "a writable map");
    expect_killed(SEAL_WORKER_LEASES, map_executable, "an executable map");
    expect_killed(SEAL_WORKER_LEASES, map_only_executable, "a map to execute only");
    expect_killed(SEAL_WORKER_LEASES, map_anywhere, "a map where nothing is");
    expect_killed(SEAL_WORKER_LEASES, map_private, "a private map");
    expect_killed(SEAL_WORKER_LEASES, map_without_populate, "a map that would fault later");
    expect_killed(SEAL_WORKER_LEASES, map_anonymous, "memory of its own");
    expect_killed(SEAL_WORKER_LEASES, map_memory, "memory of its own");
    expect_killed(SEAL_WORKER_LEASES, make_writable, "mprotect");
    expect_killed(SEAL_WORKER_LEASES, large_allocation, "a large malloc");
    expect_killed(SEAL_WORKER_LEASES, open_socket, "socket");
    expect_killed(SEAL_WORKER_LEASES, put_outputs, "an output");
    expect_killed(SEAL_WORKER_LEASES, start_a_process, "fork");
}

/* ---- AF_XDP: an interface that comes back is opened again. */

static bool open_an_xdp_socket(void)
{
    const uint32_t places = 64;
    struct xdp_mmap_offsets at;
    socklen_t bytes = sizeof(at);
    struct sockaddr_xdp address = {.sxdp_family = AF_XDP};
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno == EPERM || errno == EAFNOSUPPORT; /* the kernel's word, not the seal's */
    }
    bool opened = setsockopt(fd, SOL_XDP, XDP_RX_RING, &places, sizeof(places)) == 0 &&
                  getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &bytes) == 0;
    size_t ring_bytes = at.rx.desc + places * sizeof(struct xdp_desc);
    void *ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, XDP_PGOFF_RX_RING);
    return opened && ring != MAP_FAILED && munmap(ring, ring_bytes) == 0 &&
           bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
           recvfrom(fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) <= 0 && close(fd) == 0;
}

static long call_bpf(enum bpf_cmd command)
{
    union bpf_attr attributes = {0};
    return syscall(SYS_bpf, command, &attributes, sizeof(attributes));
}

static bool attach_a_program(void)
{
    return call_bpf(BPF_LINK_CREATE) < 0 && call_bpf(BPF_MAP_UPDATE_ELEM) < 0;
}

static bool load_a_program(void)
{
    return call_bpf(BPF_PROG_LOAD) < 0;
}

static bool read_a_map(void)
{
    return call_bpf(BPF_MAP_LOOKUP_ELEM) < 0;
}

static bool set_any_option(void)
{
    const int on = 1;
    return setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0;
}

static bool map_shared_memory_to_write(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) != MAP_FAILED;
}

Test(seal, a_worker_of_an_interface_may_open_it_again)
{
    reserve_a_place();
    expect_works(SEAL_WORKER_XDP, open_an_xdp_socket, "an AF_XDP socket");
    expect_works(SEAL_WORKER_XDP, attach_a_program, "a program that there is");
    expect_works(SEAL_WORKER_XDP, map_a_lease, "a lease");
    expect_works(SEAL_WORKER_XDP, receive_a_message, "recvmsg");
    expect_works(SEAL_WORKER_XDP, sleep_and_clock, "sleep and clock");
    expect_works(SEAL_WORKER_XDP, read_a_counter, "opening what counts in a card");
    expect_killed(SEAL_WORKER_XDP, load_a_program, "another program");
    expect_killed(SEAL_WORKER_XDP, read_a_map, "a map's content");
    expect_killed(SEAL_WORKER_XDP, open_socket, "another socket");
    expect_killed(SEAL_WORKER_XDP, set_any_option, "another option");
    expect_killed(SEAL_WORKER_XDP, map_memory, "memory of its own");
    expect_killed(SEAL_WORKER_XDP, map_shared_memory_to_write, "memory to share");
    expect_killed(SEAL_WORKER_XDP, map_executable, "an executable map");
    expect_killed(SEAL_WORKER_XDP, large_allocation, "a large malloc");
    expect_killed(SEAL_WORKER_XDP, start_a_process, "fork");
    expect_killed(SEAL_WORKER, open_an_xdp_socket, "an AF_XDP socket without such a source");
    expect_killed(SEAL_WORKER_LEASES, attach_a_program, "a program without such a source");
}

Test(seal, not_wanted_is_not_sealed)
{
    static struct board board;
    seal_process(SEAL_CONTROL, false, &board);
    cr_assert_eq(board.sealed, 0);
    cr_assert(open_a_device());
}

Test(seal, the_lists_name_no_way_out)
{
    static const char *const never[] = {"execve",  "mmap",   "mprotect", "socket",
                                        "connect", "ptrace", "clone",    "kill"};
    for (int profile = SEAL_CONTROL; profile <= SEAL_WORKER_LEASES; profile++) {
        for (const char *const *name = seal_names((enum seal_profile)profile); *name != NULL; name++) {
            for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
                bool bounded = profile == SEAL_WORKER_LEASES && strcmp(never[i], "mmap") == 0; /* see above */
                cr_assert(bounded || strcmp(*name, never[i]) != 0, "%s", *name);
            }
        }
    }
}
