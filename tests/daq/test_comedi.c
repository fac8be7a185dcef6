/* Cards of comedi that the bench's guest has none of: this file is the card. The ioctl is replaced when the test is
 * linked; the descriptor is /dev/null's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daq/comedi_card.h"
#include "daq/poller.h"
#include "daq/ways.h"

#define INPUTS 4

/* The card. */
static struct {
    struct comedi_subdinfo part;
    uint32_t maxdata[INPUTS]; /* with SDF_MAXDATA */
    uint32_t ranges[INPUTS];  /* with SDF_RANGETYPE: how many */
    bool gone;
    uint32_t scan_begin; /* TRIG_ that it has */
    uint32_t convert;
    uint32_t least_ns; /* of a scan */
    uint32_t step_ns;
    struct comedi_bufconfig buffer;
    uint32_t maximum_set; /* how often */
    int refuses;          /* errno of a command, or of a sample */
    uint32_t commands;
    struct comedi_cmd command;
    uint32_t list[PLAN_INPUTS_MAX];
    uint32_t sample[INPUTS];
} card;

static struct source_plan plan;
static struct opening opening;
static struct error err;

/* The name is the linker's. NOLINTNEXTLINE(*-reserved-identifier,cert-*,readability-identifier-naming) */
int __wrap_ioctl(int fd, unsigned long request, ...);

static int fail(int number)
{
    errno = number;
    return -1;
}

static int tell_inputs(const struct comedi_chaninfo *asked)
{
    bool has_maxdata = (card.part.subd_flags & SDF_MAXDATA) != 0;
    bool has_ranges = (card.part.subd_flags & SDF_RANGETYPE) != 0;
    if (asked->flaglist != NULL || (asked->maxdata_list != NULL && !has_maxdata) ||
        (asked->rangelist != NULL && !has_ranges)) {
        return fail(EINVAL); /* as comedi_fops.c */
    }
    for (uint32_t i = 0; i < INPUTS; i++) {
        if (asked->maxdata_list != NULL) {
            asked->maxdata_list[i] = card.maxdata[i];
        }
        if (asked->rangelist != NULL) {
            asked->rangelist[i] = i << 16 | card.ranges[i];
        }
    }
    return 0;
}

static int tell_ranges(const struct comedi_rangeinfo *asked)
{
    struct comedi_krange *to = asked->range_ptr;
    for (uint32_t i = 0; i < RANGE_LENGTH(asked->range_type); i++) {
        to[i] = (struct comedi_krange){.min = 4000000, .max = 20000000, .flags = UNIT_mA};
    }
    return 0;
}

/* As drivers do: what is not there goes first, then numbers are made possible, then rounded. */
static int test_command(struct comedi_cmd *cmd)
{
    uint32_t *period = cmd->scan_begin_src == TRIG_TIMER ? &cmd->scan_begin_arg : &cmd->convert_arg;
    uint32_t least_ns = cmd->scan_begin_src == TRIG_TIMER ? card.least_ns : card.least_ns / plan.comedi.inputs;
    struct comedi_cmd wanted = *cmd;
    cmd->scan_begin_src &= card.scan_begin;
    cmd->convert_src &= card.convert;
    cmd->start_src &= TRIG_NOW | TRIG_EXT;
    if (wanted.scan_begin_src != cmd->scan_begin_src || wanted.convert_src != cmd->convert_src ||
        wanted.start_src != cmd->start_src) {
        return 1;
    }
    if (*period < least_ns) {
        *period = least_ns;
        return 3;
    }
    if (*period % card.step_ns != 0) {
        *period -= *period % card.step_ns;
        return 4;
    }
    return 0;
}

static int answer(unsigned long request, void *argument)
{
    const struct comedi_cmd *cmd = argument;
    const struct comedi_insn *ask = argument;
    struct comedi_bufconfig *buffer = argument;
    if (card.gone) {
        return fail(ENODEV);
    }
    switch (request) {
    case COMEDI_DEVINFO:
        *(struct comedi_devinfo *)argument = (struct comedi_devinfo){.n_subdevs = 1, .board_name = "board"};
        return 0;
    case COMEDI_SUBDINFO:
        *(struct comedi_subdinfo *)argument = card.part;
        return 0;
    case COMEDI_CHANINFO:
        return tell_inputs(argument);
    case COMEDI_RANGEINFO:
        return tell_ranges(argument);
    case COMEDI_CMDTEST:
        return test_command(argument);
    case COMEDI_BUFCONFIG:
        card.maximum_set += buffer->maximum_size != 0;
        card.buffer.maximum_size = buffer->maximum_size != 0 ? buffer->maximum_size : card.buffer.maximum_size;
        card.buffer.size = buffer->size != 0 ? buffer->size : card.buffer.size;
        *buffer = card.buffer;
        return 0;
    case COMEDI_CMD:
        card.command = *cmd;
        memcpy(card.list, cmd->chanlist, cmd->chanlist_len * sizeof(card.list[0]));
        card.commands++;
        return card.refuses != 0 ? fail(card.refuses) : 0;
    case COMEDI_INSN:
        *ask->data = card.sample[CR_CHAN(ask->chanspec)];
        return card.refuses != 0 ? fail(card.refuses) : 1;
    default:
        cr_assert_eq(request, COMEDI_SETRSUBD, "request %lx", request);
        return 0;
    }
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    cr_assert_geq(fd, 0);
    return answer(request, argument);
}

static void set_up(void)
{
    memset(&card, 0, sizeof(card));
    memset(&plan, 0, sizeof(plan));
    card.part = (struct comedi_subdinfo){.type = COMEDI_SUBD_AI,
                                         .n_chan = INPUTS,
                                         .maxdata = 4095,
                                         .range_type = 2,
                                         .subd_flags = SDF_GROUND | SDF_DIFF | SDF_CMD_READ};
    card.scan_begin = TRIG_TIMER | TRIG_FOLLOW | TRIG_EXT;
    card.convert = TRIG_TIMER | TRIG_NOW;
    card.least_ns = 10000;
    card.step_ns = 100;
    card.buffer = (struct comedi_bufconfig){.size = 65536, .maximum_size = 65536};
    snprintf(plan.name, sizeof(plan.name), "card");
    plan.kind = SOURCE_COMEDI;
    plan.frame_bytes = 4;
    plan.comedi = (struct comedi_plan){.device = "/dev/null",
                                       .sample_bytes = 2,
                                       .inputs = 2,
                                       .input = {CR_PACK(3, 1, AREF_DIFF), CR_PACK(0, 0, AREF_GROUND)},
                                       .scan_hz = 1000};
    opening = (struct opening){.plan = &plan, .way = &way_comedi, .held_fd = -1, .in_use = -1};
}

static void tear_down(void)
{
    way_comedi.clear(&opening);
}

TestSuite(comedi, .init = set_up, .fini = tear_down);

static void opens(void)
{
    int fd = way_comedi.open(&opening, &err);
    cr_assert_geq(fd, 0, "%s", err.text);
    close(fd);
}

static void refuses(int code, const char *words)
{
    cr_assert_eq(way_comedi.open(&opening, &err), code, "%s", err.text);
    cr_assert_not_null(strstr(err.text, words), "%s", err.text);
    cr_assert_eq(opening.held_fd, -1);
    cr_assert_eq(card.commands, 0);
}

Test(comedi, a_scan_by_its_timer_with_even_spacing)
{
    opens();
    cr_assert_eq(card.commands, 1);
    cr_assert_eq(card.command.scan_begin_src, TRIG_TIMER);
    cr_assert_eq(card.command.scan_begin_arg, 1000000);
    cr_assert_eq(card.command.convert_src, TRIG_TIMER);
    cr_assert_eq(card.command.convert_arg, 500000);
    cr_assert_eq(card.command.scan_end_arg, 2);
    cr_assert_eq(card.command.stop_src, TRIG_NONE);
    cr_assert_eq(card.command.flags, CMDF_WAKE_EOS);
    cr_assert_eq(memcmp(card.list, plan.comedi.input, 2 * sizeof(card.list[0])), 0);
    cr_assert_eq(card.buffer.size, 65536, "as it was");
}

Test(comedi, all_inputs_of_a_scan_at_once)
{
    card.convert = TRIG_NOW;
    opens();
    cr_assert_eq(card.command.convert_src, TRIG_NOW);
    cr_assert_eq(card.command.convert_arg, 0);
}

Test(comedi, scans_that_follow_each_other)
{
    card.scan_begin = TRIG_FOLLOW;
    opens();
    cr_assert_eq(card.command.scan_begin_src, TRIG_FOLLOW);
    cr_assert_eq(card.command.scan_begin_arg, 0);
    cr_assert_eq(card.command.convert_arg, 500000);
}

Test(comedi, no_timer)
{
    card.scan_begin = TRIG_EXT;
    refuses(-EOPNOTSUPP, "it starts no scans by a timer of its own; poll it (kind comedi_polled)");
    card.scan_begin = TRIG_FOLLOW;
    card.convert = TRIG_NOW;
    refuses(-EOPNOTSUPP, "it starts no scans by a timer");
    card.part.subd_flags = SDF_GROUND | SDF_DIFF;
    refuses(-EOPNOTSUPP, "it has no buffer; poll it");
}

Test(comedi, a_rate_that_it_rounds)
{
    plan.comedi.scan_hz = 3000; /* 333333 ns, of which it makes 333300 */
    opens();
    cr_assert_eq(card.command.scan_begin_arg, 333300);
}

Test(comedi, rates_that_it_has_not)
{
    plan.comedi.scan_hz = 200000;
    refuses(-ERANGE, "expected 200000 scans/s of 2 inputs, the card offers 100000; correct scan_hz");
    card.step_ns = 300000;
    plan.comedi.scan_hz = 2000;
    refuses(-ERANGE, "the card offers 3333.33");
    card.scan_begin = TRIG_FOLLOW;
    card.step_ns = 100;
    plan.comedi.scan_hz = 200000;
    refuses(-ERANGE, "the card offers 100000");
}

Test(comedi, samples_of_32_bits)
{
    card.part.subd_flags |= SDF_LSAMPL;
    card.part.maxdata = 0xffffff;
    refuses(-EINVAL, "expected samples of 16 bits, found counts to 16777215; correct sample_bits");
    plan.comedi.sample_bytes = 4;
    plan.frame_bytes = 8;
    opens();
    card.part.subd_flags &= ~(uint32_t)SDF_LSAMPL;
    card.part.maxdata = 4095;
    card.commands = 0;
    cr_assert_eq(way_comedi.open(&opening, &err), -EINVAL);
    cr_assert_not_null(strstr(err.text, "expected samples of 32 bits, found 16"), "%s", err.text);
}

Test(comedi, inputs_that_differ)
{
    card.part.subd_flags |= SDF_MAXDATA | SDF_RANGETYPE | SDF_FLAGS;
    card.part.maxdata = 0;
    card.part.range_type = 0;
    for (uint32_t i = 0; i < INPUTS; i++) {
        card.maxdata[i] = 4095;
        card.ranges[i] = 2;
    }
    opens();
    card.ranges[3] = 1;
    card.commands = 0;
    refuses(-EINVAL, "input 3: expected range_index 1, found 1 ranges, counted from 0");
    card.ranges[3] = 2;
    card.maxdata[0] = 0x1ffff;
    refuses(-EINVAL, "input 0: expected samples of 16 bits, found counts to 131071");
}

Test(comedi, a_buffer_within_its_bound_takes_no_privilege)
{
    plan.comedi.length = 4096;
    opens();
    cr_assert_eq(card.buffer.size, 16384);
    cr_assert_eq(card.maximum_set, 0);
    plan.comedi.length = 100000;
    opens();
    cr_assert_eq(card.buffer.size, 400000);
    cr_assert_eq(card.buffer.maximum_size, 400000);
    cr_assert_eq(card.maximum_set, 1);
}

Test(comedi, another_has_it)
{
    card.refuses = EBUSY;
    cr_assert_eq(way_comedi.open(&opening, &err), -EBUSY);
    cr_assert_not_null(strstr(err.text, "another process reads it"), "%s", err.text);
    cr_assert_eq(opening.held_fd, -1);
}

/* Which poll(2) does not tell. */
Test(comedi, a_card_that_is_pulled_out)
{
    opens();
    cr_assert(way_comedi.check(&opening));
    card.gone = true;
    cr_assert_not(way_comedi.check(&opening));
    cr_assert_eq(way_comedi.open(&opening, &err), -ENODEV);
    cr_assert_not_null(strstr(err.text, "no card is behind it"), "%s", err.text);
    card.gone = false;
    opens();
    cr_assert(way_comedi.check(&opening));
}

Test(comedi, a_sample_of_each_input)
{
    uint8_t state[64];
    uint8_t frame[8];
    uint16_t narrow[2];
    uint32_t wide[2];
    cr_assert_leq(poll_comedi.state_bytes, sizeof(state));
    card.sample[3] = 4095;
    card.sample[0] = 7;
    cr_assert_eq(poll_comedi.open(state, &plan, &err), 0, "%s", err.text);
    cr_assert_eq(poll_comedi.poll(state, &plan, frame, &err), 0);
    memcpy(narrow, frame, sizeof(narrow));
    cr_assert_eq(narrow[0], 4095);
    cr_assert_eq(narrow[1], 7);
    plan.comedi.sample_bytes = 4;
    cr_assert_eq(poll_comedi.poll(state, &plan, frame, &err), 0);
    memcpy(wide, frame, sizeof(wide));
    cr_assert_eq(wide[0], 4095);
    cr_assert_eq(wide[1], 7);
    card.refuses = EBUSY;
    cr_assert_eq(poll_comedi.poll(state, &plan, frame, &err), -EBUSY);
    cr_assert_not_null(strstr(err.text, "input 3: another process reads the subdevice"), "%s", err.text);
    poll_comedi.close(state, &plan);
}
