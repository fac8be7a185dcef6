#include <errno.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/ways.h"

static int set_up(int fd, const struct can_plan *plan, struct error *err)
{
    /* Never a frame that asks for data (RTR): it has none itself, and zeros would pass for a sample. */
    struct can_filter filter[PLAN_CAN_IDS_MAX] = {{.can_id = 0, .can_mask = CAN_RTR_FLAG}};
    uint32_t filters = plan->ids > 0 ? plan->ids : 1;
    int on = 1;
    for (uint32_t i = 0; i < plan->ids; i++) {
        bool extended = (plan->id[i] & CAN_EFF_FLAG) != 0;
        /* An 11-bit id does not take a 29-bit one of the same number. */
        filter[i] =
            (struct can_filter){.can_id = plan->id[i],
                                .can_mask = CAN_EFF_FLAG | CAN_RTR_FLAG | (extended ? CAN_EFF_MASK : CAN_SFF_MASK)};
    }
    if (setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FILTER, filter, (socklen_t)(filters * sizeof(filter[0]))) != 0) {
        return error_set(err, -errno, "CAN %s: the kernel takes no filter of %u ids: %s", plan->interface, filters,
                         strerror(errno));
    }
    if (plan->fd != 0 && setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &on, sizeof(on)) != 0) {
        return error_set(err, -errno, "CAN %s: no frames of CAN FD: %s", plan->interface, strerror(errno));
    }
    return 0;
}

/* One that is down could be bound to, and would end the first read: again and again. */
static int find_interface(int fd, const struct can_plan *plan, int *index, struct error *err)
{
    struct ifreq named = {.ifr_ifindex = 0};
    memcpy(named.ifr_name, plan->interface, sizeof(named.ifr_name));
    if (ioctl(fd, SIOCGIFINDEX, &named) != 0) {
        return error_set(err, -errno, "no interface %s: %s (ip link)", plan->interface, strerror(errno));
    }
    *index = named.ifr_ifindex;
    if (ioctl(fd, SIOCGIFFLAGS, &named) != 0) {
        return error_set(err, -errno, "interface %s: %s", plan->interface, strerror(errno));
    }
    return (named.ifr_flags & IFF_UP) != 0 ? 0
                                           : error_set(err, -ENETDOWN, "interface %s is down (ip link set %s up)",
                                                       plan->interface, plan->interface);
}

static int open_can(struct opening *opening, struct error *err)
{
    const struct can_plan *plan = &opening->plan->can;
    int fd = socket(AF_CAN, SOCK_RAW | SOCK_CLOEXEC, CAN_RAW);
    if (fd < 0) {
        return error_set(err, -errno, "no CAN in this kernel (module can-raw): %s", strerror(errno));
    }
    struct sockaddr_can at = {.can_family = AF_CAN};
    int code = find_interface(fd, plan, &at.can_ifindex, err);
    if (code == 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
        code = error_set(err, -errno, "cannot receive at %s: %s", plan->interface, strerror(errno));
    }
    code = code == 0 ? set_up(fd, plan, err) : code;
    if (code != 0) {
        close(fd);
        return code;
    }
    return fd;
}

const struct opener_way way_can = {.open = open_can};
