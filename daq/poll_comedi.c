/* A comedi card that is asked for a sample of each input in turn. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daq/comedi_card.h"
#include "daq/poller.h"

struct card {
    int fd;
};

static int open_card(void *state, const struct source_plan *plan, struct error *err)
{
    struct card *card = state;
    struct comedi_subdinfo info;
    card->fd = comedi_card_open(plan, &info, err);
    return card->fd < 0 ? card->fd : 0;
}

static int poll_card(void *state, const struct source_plan *plan, uint8_t *frame, struct error *err)
{
    const struct card *card = state;
    const struct comedi_plan *comedi = &plan->comedi;
    for (uint32_t n = 0; n < comedi->inputs; n++) {
        unsigned int sample = 0;
        struct comedi_insn ask = {
            .insn = INSN_READ, .n = 1, .data = &sample, .subdev = comedi->subdevice, .chanspec = comedi->input[n]};
        if (ioctl(card->fd, COMEDI_INSN, &ask) < 0) {
            return error_set(err, -errno, "%s, subdevice %u, input %u: %s", comedi->device, comedi->subdevice,
                             CR_CHAN(comedi->input[n]),
                             errno == EBUSY    ? "another process reads the subdevice"
                             : errno == ENODEV ? "no card is behind it any more"
                                               : strerror(errno));
        }
        uint16_t narrow = (uint16_t)sample; /* its counts fit: checked when it was opened */
        memcpy(frame, comedi->sample_bytes == 2 ? (const void *)&narrow : &sample, comedi->sample_bytes);
        frame += comedi->sample_bytes;
    }
    return 0;
}

static void close_card(void *state, const struct source_plan *plan)
{
    const struct card *card = state;
    (void)plan;
    close(card->fd);
}

const struct poller_way poll_comedi = {
    .state_bytes = sizeof(struct card), .open = open_card, .poll = poll_card, .close = close_card};
