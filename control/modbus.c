#include "control/modbus.h"

#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <string.h>

#include "control/output.h"
#include "ring/clock.h"

static_assert(CONTROL_OUTPUTS_MAX <= MODBUS_MAX_WRITE_BITS, "a run fits into one request");

/* Insertion by coil number, so that neighbours stand together whatever the order of the configuration. */
static uint32_t sort_coils(const struct control_table *table, uint32_t device, uint32_t coil[CONTROL_OUTPUTS_MAX],
                           uint8_t bit[CONTROL_OUTPUTS_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < table->outputs && i < CONTROL_OUTPUTS_MAX; i++) {
        if (table->output[i].device != device) {
            continue;
        }
        uint32_t at = n++;
        for (; at > 0 && coil[at - 1] > table->output[i].line; at--) {
            coil[at] = coil[at - 1];
            bit[at] = bit[at - 1];
        }
        coil[at] = table->output[i].line;
        bit[at] = (uint8_t)(n - 1);
    }
    return n;
}

static void make_runs(struct modbus_link *link, const struct control_table *table, uint32_t device)
{
    uint32_t coil[CONTROL_OUTPUTS_MAX];
    uint8_t bit[CONTROL_OUTPUTS_MAX];
    uint32_t n = sort_coils(table, device, coil, bit);
    for (uint32_t i = 0; i < n; i++) {
        struct modbus_run *run = link->runs > 0 ? &link->run[link->runs - 1] : NULL;
        if (run == NULL || run->first + run->coils != coil[i]) {
            run = &link->run[link->runs++];
            run->first = coil[i];
            run->coils = 0;
        }
        run->bit[run->coils++] = bit[i];
    }
}

int modbus_init(struct modbus_link *link, const struct control_table *table, uint32_t device, uint64_t response_ns,
                struct error *err)
{
    const struct control_device *d = &table->device[device];
    struct sockaddr_in address;
    char host[INET_ADDRSTRLEN];
    memset(link, 0, sizeof(*link));
    if (!output_parse_address(d->target, &address)) {
        return error_set(err, -EINVAL, "output modbus: expected ADDRESS:PORT such as 192.168.7.2:502, found '%s'",
                         d->target);
    }
    make_runs(link, table, device);
    inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
    link->context = modbus_new_tcp(host, ntohs(address.sin_port));
    if (link->context == NULL || modbus_set_slave(link->context, (int)d->unit) != 0 ||
        modbus_set_response_timeout(link->context, (uint32_t)(response_ns / CLOCK_NS_PER_S),
                                    (uint32_t)(response_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_US)) != 0 ||
        modbus_set_byte_timeout(link->context, 0, 0) != 0) { /* for the whole answer, not from byte to byte */
        return error_set(err, -errno, "output modbus %s, unit %u: %s", d->target, d->unit, modbus_strerror(errno));
    }
    return 0;
}

void modbus_fini(struct modbus_link *link)
{
    if (link->context != NULL) {
        modbus_close(link->context);
        modbus_free(link->context);
    }
    link->context = NULL;
    link->connected = false;
}

/* After anything but an orderly answer the stream may be out of step: a new connection is the way back into it. */
static int fail(struct modbus_link *link, int code)
{
    if (code >= EMBXILFUN && code <= EMBXGTAR) {
        return -EREMOTEIO;
    }
    modbus_close(link->context);
    link->connected = false;
    return code == 0 ? -EIO : code >= MODBUS_ENOBASE ? -EBADMSG : -code;
}

int modbus_link_connect(struct modbus_link *link)
{
    if (!link->connected) {
        if (modbus_connect(link->context) != 0) {
            return fail(link, errno);
        }
        link->connected = true;
    }
    return 0;
}

static int write_run(struct modbus_link *link, const struct modbus_run *run, uint32_t lines)
{
    uint8_t wanted[CONTROL_OUTPUTS_MAX];
    uint8_t found[CONTROL_OUTPUTS_MAX];
    for (uint32_t i = 0; i < run->coils; i++) {
        wanted[i] = lines >> run->bit[i] & 1;
    }
    if (modbus_write_bits(link->context, (int)run->first, (int)run->coils, wanted) != (int)run->coils ||
        modbus_read_bits(link->context, (int)run->first, (int)run->coils, found) != (int)run->coils) {
        return fail(link, errno);
    }
    for (uint32_t i = 0; i < run->coils; i++) {
        if (found[i] != wanted[i]) {
            return -EIO;
        }
    }
    return 0;
}

int modbus_link_write(struct modbus_link *link, uint32_t lines)
{
    int code = link->connected ? 0 : -ENOTCONN;
    for (uint32_t i = 0; i < link->runs && link->connected; i++) {
        int run_code = write_run(link, &link->run[i], lines);
        code = code != 0 ? code : run_code; /* a run that fails keeps no other from being made safe */
    }
    return link->connected || code != 0 ? code : -ENOTCONN;
}
