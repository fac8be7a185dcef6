/* Any bytes as a configuration: refused with a message, or compiled to a plan within its bounds. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daq/compile.h"
#include "ring/channel_check.h"
#include "ring/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

static struct server_plan plan;
static struct config_errors errors;

static void check_plan(void)
{
    const struct control_table *t = &plan.table;
    assert(plan.rings >= 1 && plan.rings <= CONTROL_RINGS_MAX && plan.workers <= SERVER_WORKERS_MAX);
    assert(t->rings <= CONTROL_RINGS_MAX && t->channels <= CONTROL_CHANNELS_MAX && t->rules <= CONTROL_RULES_MAX);
    assert(t->outputs <= CONTROL_OUTPUTS_MAX && t->devices <= CONTROL_DEVICES_MAX);
    for (uint32_t i = 0; i < t->rules; i++) {
        const struct control_rule *rule = &t->rule[i];
        bool group = rule->form == FORM_VOTE || rule->form == FORM_NOT;
        assert(group || (rule->channel < t->channels && rule->on_samples > 0 && rule->off_samples > 0));
        assert(!group || (rule->members > 0 && rule->members <= CONTROL_MEMBERS_MAX));
        for (uint32_t m = 0; group && m < rule->members; m++) {
            assert(rule->member[m] < i && t->rule[rule->member[m]].role == ROLE_CONDITION);
        }
    }
    for (uint32_t i = 0; i < t->outputs; i++) {
        assert(t->output[i].device < t->devices && t->output[i].line < 32);
    }
    for (uint32_t i = 0; i < plan.rings; i++) {
        struct ring_spec spec = {.streams = &plan.ring[i].stream,
                                 .stream_count = 1,
                                 .slots = plan.ring[i].slots,
                                 .slot_bytes = plan.ring[i].slot_bytes,
                                 .payload_offset = plan.ring[i].payload_offset,
                                 .channel_count = plan.ring[i].channel_count,
                                 .number_count = plan.ring[i].number_count};
        assert(ring_segment_bytes(&spec) != 0);
        assert(plan.ring[i].first_number <= t->numbers &&
               plan.ring[i].number_count <= t->numbers - plan.ring[i].first_number);
        for (uint32_t c = 0; c < plan.ring[i].channel_count; c++) {
            const struct ring_channel *channel = plan.ring[i].channel;
            assert(ring_channel_check(channel, plan.ring[i].channel_count, sizeof(*channel), c,
                                      &t->number[plan.ring[i].first_number], plan.ring[i].number_count, NULL) == 0);
        }
        assert(plan.ring[i].gates <= RING_GATES_MAX && plan.ring[i].gate_deadline_ns > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct config_file file;
    char path[64];
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size) {
        return 0;
    }
    memset(&errors, 0, sizeof(errors));
    int code = config_load(&file, path, &errors);
    if (code == 0) {
        code = compile_config(&file, &plan, &errors);
    }
    config_unload(&file);
    if (code == 0) {
        check_plan();
    } else {
        assert(errors.count > 0 && errors.text[0] != 0);
    }
    return 0;
}
