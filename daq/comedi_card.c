#include "daq/comedi_card.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SUBDEVICES_MAX 256u
#define RANGES_MAX     256u /* an input's spec has 8 bits for it */

/* What one input of a subdevice has, where they differ. */
struct input_info {
    uint32_t maxdata;
    uint32_t range_type;
};

bool comedi_card_is_there(int fd)
{
    struct comedi_devinfo card;
    return ioctl(fd, COMEDI_DEVINFO, &card) == 0;
}

/* The source had its say already. Its cards may come and go; their scales are said once in a process. */
static bool is_told(const struct source_plan *plan)
{
    static const struct source_plan *told[PLAN_SOURCES_MAX]; /* by pollers' threads and the opener's */
    for (uint32_t i = 0; i < PLAN_SOURCES_MAX; i++) {
        const struct source_plan *there = NULL;
        if (__atomic_compare_exchange_n(&told[i], &there, plan, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            return false;
        }
        if (there == plan) {
            return true;
        }
    }
    return true;
}

static int find_subdevice(int fd, const struct comedi_plan *plan, struct comedi_subdinfo *info, struct error *err)
{
    struct comedi_devinfo card;
    if (ioctl(fd, COMEDI_DEVINFO, &card) != 0) {
        return error_set(err, -errno, "%s: expected a comedi card such as /dev/comedi0: %s", plan->device,
                         errno == ENODEV ? "no card is behind it" : strerror(errno));
    }
    if (plan->subdevice >= card.n_subdevs || card.n_subdevs > SUBDEVICES_MAX) {
        return error_set(err, -ENODEV, "%s (%.20s): expected subdevice %u, found %u, counted from 0", plan->device,
                         card.board_name, plan->subdevice, card.n_subdevs);
    }
    struct comedi_subdinfo *all = calloc(SUBDEVICES_MAX, sizeof(*all)); /* the kernel fills as many as there are */
    if (all == NULL) {
        return error_set(err, -ENOMEM, "no memory for what %s has", plan->device);
    }
    int code = ioctl(fd, COMEDI_SUBDINFO, all) == 0 ? 0 : -errno;
    *info = all[plan->subdevice];
    free(all);
    if (code != 0) {
        return error_set(err, code, "%s: cannot read its subdevices: %s", plan->device, strerror(-code));
    }
    return info->type == COMEDI_SUBD_AI
               ? 0
               : error_set(err, -EINVAL,
                           "%s (%.20s): subdevice %u has no analog inputs (`comedi_board_info` of Debian's "
                           "libcomedi lists which has)",
                           plan->device, card.board_name, plan->subdevice);
}

/* The kernel refuses to list what a subdevice has no list of. */
static int find_input(int fd, const struct comedi_plan *plan, const struct comedi_subdinfo *info, uint32_t input,
                      struct input_info *found)
{
    uint32_t *lists = calloc(2, info->n_chan * sizeof(*lists));
    struct comedi_chaninfo each = {.subdev = plan->subdevice};
    *found = (struct input_info){.maxdata = info->maxdata, .range_type = info->range_type};
    if (lists == NULL) {
        return -ENOMEM;
    }
    each.maxdata_list = (info->subd_flags & SDF_MAXDATA) != 0 ? lists : NULL;
    each.rangelist = (info->subd_flags & SDF_RANGETYPE) != 0 ? lists + info->n_chan : NULL;
    bool differ = each.maxdata_list != NULL || each.rangelist != NULL;
    int code = !differ || ioctl(fd, COMEDI_CHANINFO, &each) == 0 ? 0 : -errno;
    found->maxdata = each.maxdata_list != NULL ? each.maxdata_list[input] : found->maxdata;
    found->range_type = each.rangelist != NULL ? each.rangelist[input] : found->range_type;
    free(lists);
    return code;
}

static const char *unit_of(uint32_t flags)
{
    switch (RF_UNIT(flags)) {
    case UNIT_volt:
        return "V";
    case UNIT_mA:
        return "mA";
    default:
        return "(no unit)";
    }
}

/* What would turn its counts into what is at the terminal: for whoever writes the channel. */
static void tell(const struct source_plan *plan, uint32_t n, uint32_t maxdata, const struct comedi_krange *range)
{
    const struct comedi_plan *comedi = &plan->comedi;
    double low = range->min * 1e-6;
    double high = range->max * 1e-6;
    fprintf(stderr,
            "source %s: %s, subdevice %u, input %u, range %u: counts 0 to %u are %g to %g %s, that is scale: %.9g, "
            "offset: %.9g%s\n",
            plan->name, comedi->device, comedi->subdevice, CR_CHAN(comedi->input[n]), CR_RANGE(comedi->input[n]),
            maxdata, low, high, unit_of(range->flags), (high - low) / maxdata, low,
            (range->flags & RF_EXTERNAL) != 0 ? ", times an external reference" : "");
}

static int check_input(int fd, const struct source_plan *plan, const struct comedi_subdinfo *info, uint32_t n,
                       bool say, struct error *err)
{
    static const char *const references[] = {"ground", "common", "diff", "other"};
    const struct comedi_plan *comedi = &plan->comedi;
    uint32_t input = CR_CHAN(comedi->input[n]);
    uint32_t reference = CR_AREF(comedi->input[n]);
    struct comedi_krange ranges[RANGES_MAX] = {{0}};
    struct input_info found;
    if (input >= info->n_chan) {
        return error_set(err, -EINVAL, "%s, subdevice %u: expected input %u, found %u, counted from 0",
                         comedi->device, comedi->subdevice, input, info->n_chan);
    }
    int code = find_input(fd, comedi, info, input, &found);
    uint32_t count = RANGE_LENGTH(found.range_type);
    struct comedi_rangeinfo list = {.range_type = found.range_type, .range_ptr = ranges};
    if (code == 0 && (count > RANGES_MAX || ioctl(fd, COMEDI_RANGEINFO, &list) != 0)) {
        code = count > RANGES_MAX ? -E2BIG : -errno;
    }
    if (code != 0) {
        return error_set(err, code, "%s, input %u: cannot read what it is: %s", comedi->device, input,
                         strerror(-code));
    }
    if (CR_RANGE(comedi->input[n]) >= count) {
        return error_set(err, -EINVAL, "%s, input %u: expected range_index %u, found %u ranges, counted from 0",
                         comedi->device, input, CR_RANGE(comedi->input[n]), count);
    }
    if ((info->subd_flags & ((uint32_t)SDF_GROUND << reference)) == 0) {
        return error_set(err, -EINVAL, "%s, input %u: it has no reference: %s", comedi->device, input,
                         references[reference]);
    }
    if (comedi->sample_bytes < 4 && found.maxdata >> (8 * comedi->sample_bytes) != 0) {
        return error_set(err, -EINVAL,
                         "%s, input %u: expected samples of %u bits, found counts to %u; correct sample_bits",
                         comedi->device, input, 8 * comedi->sample_bytes, found.maxdata);
    }
    if (say) {
        tell(plan, n, found.maxdata, &ranges[CR_RANGE(comedi->input[n])]);
    }
    return 0;
}

int comedi_card_open(const struct source_plan *plan, struct comedi_subdinfo *info, struct error *err)
{
    const struct comedi_plan *comedi = &plan->comedi;
    int fd = open(comedi->device, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return error_set(err, -errno, "cannot open %s: %s", comedi->device, strerror(errno));
    }
    int code = find_subdevice(fd, comedi, info, err);
    for (uint32_t n = 0; n < comedi->inputs && code == 0; n++) {
        code = check_input(fd, plan, info, n, false, err);
    }
    bool say = code == 0 && !is_told(plan);
    for (uint32_t n = 0; n < comedi->inputs && say; n++) {
        (void)check_input(fd, plan, info, n, true, err);
    }
    if (code != 0) {
        close(fd);
        return code;
    }
    return fd;
}
