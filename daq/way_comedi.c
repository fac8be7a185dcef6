/* Scans of a comedi card by its own clock: an asynchronous command, which the driver carries out into its buffer
 * for the descriptor to be read from. What the kernel calls a command is made out of the plan and tried first
 * (COMEDI_CMDTEST): the driver corrects what the card cannot do, and says so that way. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daq/comedi_card.h"
#include "daq/ways.h"
#include "ring/clock.h"

#define TRIES         6    /* each may correct one thing, and that another */
#define RATE_SLACK    0.01 /* a card's timer has steps */
#define SAID_AGAIN_NS (10 * CLOCK_NS_PER_S)

static void let_go(struct opening *opening)
{
    if (opening->held_fd >= 0) {
        close(opening->held_fd); /* the last one: the command ends with it */
        opening->held_fd = -1;
    }
}

static int pick_triggers(int fd, const struct comedi_plan *plan, struct comedi_cmd *cmd, struct error *err)
{
    struct comedi_cmd all = {.subdev = plan->subdevice,
                             .start_src = TRIG_ANY,
                             .scan_begin_src = TRIG_ANY,
                             .convert_src = TRIG_ANY,
                             .scan_end_src = TRIG_ANY,
                             .stop_src = TRIG_ANY};
    uint32_t period_ns = (uint32_t)(1e9 / plan->scan_hz + 0.5);
    if (ioctl(fd, COMEDI_CMDTEST, &all) < 0) {
        return error_set(err, -errno, "%s, subdevice %u: cannot ask what it does: %s", plan->device,
                         plan->subdevice, strerror(errno));
    }
    bool spaced = (all.convert_src & TRIG_TIMER) != 0;
    bool scans = (all.scan_begin_src & TRIG_TIMER) != 0;
    bool follows = (all.scan_begin_src & TRIG_FOLLOW) != 0 && spaced;
    if ((!scans && !follows) || (all.start_src & TRIG_NOW) == 0 || (!spaced && (all.convert_src & TRIG_NOW) == 0)) {
        return error_set(err, -EOPNOTSUPP,
                         "%s, subdevice %u: it starts no scans by a timer of its own; poll it (kind comedi_polled)",
                         plan->device, plan->subdevice);
    }
    /* Even spacing gives an amplifier behind a multiplexer the most time to settle. */
    *cmd = (struct comedi_cmd){.subdev = plan->subdevice,
                               .flags = CMDF_WAKE_EOS,
                               .start_src = TRIG_NOW,
                               .scan_begin_src = scans ? TRIG_TIMER : TRIG_FOLLOW,
                               .scan_begin_arg = scans ? period_ns : 0,
                               .convert_src = spaced ? TRIG_TIMER : TRIG_NOW,
                               .convert_arg = spaced ? period_ns / plan->inputs : 0,
                               .scan_end_src = TRIG_COUNT,
                               .scan_end_arg = plan->inputs,
                               .stop_src = TRIG_NONE,
                               .chanlist_len = plan->inputs};
    return 0;
}

static double rate_of(const struct comedi_cmd *cmd)
{
    double ns = cmd->scan_begin_src == TRIG_TIMER ? (double)cmd->scan_begin_arg
                                                  : (double)cmd->convert_arg * (double)cmd->scan_end_arg;
    return ns > 0 ? 1e9 / ns : 0;
}

/* What the card makes of it, and whether that is what was asked for. */
static int try_command(int fd, const struct comedi_plan *plan, struct comedi_cmd *cmd, struct error *err)
{
    int step = 1;
    for (int n = 0; n < TRIES && step != 0; n++) {
        step = ioctl(fd, COMEDI_CMDTEST, cmd);
        if (step < 0 || step == 1 || step == 2 || step == 5) { /* 3 and 4: a number was corrected */
            break;
        }
    }
    double hz = rate_of(cmd);
    if (step == 0 || step == 3 || step == 4) {
        return step == 0 && fabs(hz - plan->scan_hz) <= RATE_SLACK * plan->scan_hz
                   ? 0
                   : error_set(err, -ERANGE,
                               "%s, subdevice %u: expected %g scans/s of %u inputs, the card offers %g; correct "
                               "scan_hz",
                               plan->device, plan->subdevice, plan->scan_hz, plan->inputs, hz);
    }
    return error_set(err, step < 0 ? -errno : -EINVAL,
                     step == 5
                         ? "%s, subdevice %u: it cannot scan these %u inputs in this order, with these ranges "
                           "and references; correct inputs"
                         : "%s, subdevice %u: it refuses a scan of %u inputs by its timer",
                     plan->device, plan->subdevice, plan->inputs);
}

/* Whole scans; the kernel rounds up to its pages. */
static int set_buffer(int fd, const struct source_plan *source, struct error *err)
{
    const struct comedi_plan *plan = &source->comedi;
    struct comedi_bufconfig buffer = {.subdevice = plan->subdevice};
    uint32_t bytes = plan->length * source->frame_bytes;
    if (plan->length == 0 || ioctl(fd, COMEDI_BUFCONFIG, &buffer) != 0) {
        return 0; /* as it is */
    }
    buffer.maximum_size = buffer.maximum_size < bytes ? bytes : 0; /* 0: as it is; to set it takes CAP_SYS_ADMIN */
    buffer.size = bytes;
    if (ioctl(fd, COMEDI_BUFCONFIG, &buffer) != 0) {
        return error_set(err, -errno,
                         "%s, subdevice %u: no buffer of %u scans (%u bytes): %s; take a smaller buffer_length, or "
                         "let the administrator raise max_read_buffer_kb of its folder in /sys/class/comedi",
                         plan->device, plan->subdevice, plan->length, bytes, strerror(errno));
    }
    return 0;
}

static int start(int fd, const struct source_plan *source, const struct comedi_subdinfo *info, struct error *err)
{
    const struct comedi_plan *plan = &source->comedi;
    uint32_t inputs[PLAN_INPUTS_MAX];
    struct comedi_cmd cmd;
    uint32_t bytes = (info->subd_flags & SDF_LSAMPL) != 0 ? 4 : 2;
    memcpy(inputs, plan->input, sizeof(inputs));
    if ((info->subd_flags & SDF_CMD_READ) == 0) {
        return error_set(err, -EOPNOTSUPP, "%s, subdevice %u: it has no buffer; poll it (kind comedi_polled)",
                         plan->device, plan->subdevice);
    }
    if (bytes != plan->sample_bytes) {
        return error_set(err, -EINVAL,
                         "%s, subdevice %u: expected samples of %u bits, found %u; correct sample_bits",
                         plan->device, plan->subdevice, 8 * plan->sample_bytes, 8 * bytes);
    }
    if (ioctl(fd, COMEDI_SETRSUBD, (unsigned long)plan->subdevice) != 0) {
        return error_set(err, -errno, "%s, subdevice %u: cannot read from it: %s", plan->device, plan->subdevice,
                         errno == EBUSY ? "another process does" : strerror(errno));
    }
    int code = set_buffer(fd, source, err);
    code = code == 0 ? pick_triggers(fd, plan, &cmd, err) : code;
    if (code == 0) {
        cmd.chanlist = inputs;
        code = try_command(fd, plan, &cmd, err);
    }
    if (code == 0 && ioctl(fd, COMEDI_CMD, &cmd) != 0) {
        code = error_set(err, -errno, "%s, subdevice %u: cannot start its scans: %s", plan->device, plan->subdevice,
                         errno == EBUSY ? "another process reads it" : strerror(errno));
    }
    return code;
}

/* The card is there, and yet its scans have ended: nobody took them in time, or it reported a fault. The kernel has
 * one word for both (EPIPE), and one end of the stream for them. */
static void say_stopped(struct opening *opening)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (opening->held_fd < 0 || !comedi_card_is_there(opening->held_fd) ||
        (opening->began_ns != 0 && now_ns - opening->began_ns < SAID_AGAIN_NS)) {
        return;
    }
    opening->began_ns = now_ns;
    fprintf(stderr, "source %s: %s stopped its scans: its buffer was full, or it reports a fault; started again\n",
            opening->plan->name, opening->plan->comedi.device);
}

static int open_comedi(struct opening *opening, struct error *err)
{
    struct comedi_subdinfo info;
    say_stopped(opening);
    let_go(opening);
    int fd = comedi_card_open(opening->plan, &info, err);
    if (fd < 0) {
        return fd;
    }
    int code = start(fd, opening->plan, &info, err);
    opening->held_fd = code == 0 ? dup(fd) : -1;
    if (code == 0 && opening->held_fd < 0) {
        code = error_set(err, -errno, "no descriptor to watch %s by: %s", opening->plan->comedi.device,
                         strerror(errno));
    }
    if (code != 0) {
        close(fd);
        return code;
    }
    return fd;
}

/* poll(2) on a card that has gone says nothing (Linux 6.1): who waits for a scan would wait for ever. */
static bool check_comedi(struct opening *opening)
{
    return opening->held_fd >= 0 && comedi_card_is_there(opening->held_fd);
}

const struct opener_way way_comedi = {.open = open_comedi, .check = check_comedi, .clear = let_go};
