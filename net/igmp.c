#include "net/igmp.h"

#include <string.h>

#define FRAME_BYTES_MIN    60u /* without the checksum that the device appends */
#define IP_BYTES           24u /* with the option that makes routers look */
#define GROUP_EVERYBODY    UINT32_C(0xe0000001)
#define GROUP_ROUTERS      UINT32_C(0xe0000002)
#define GROUP_V3_LISTENERS UINT32_C(0xe0000016)

enum { V2_REPORT = 0x16, V2_LEAVE = 0x17, V3_REPORT = 0x22 };
/* A group record of version 3. */
enum { MODE_IS_INCLUDE = 1, MODE_IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE, ALLOW_NEW, BLOCK_OLD };

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static uint32_t checksum(const uint8_t *bytes, uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i += 2) {
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    }
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum & 0xffff;
}

void igmp_group_mac(uint32_t address, uint8_t mac[6])
{
    const uint8_t *a = (const uint8_t *)&address;
    const uint8_t made[6] = {0x01, 0x00, 0x5e, a[1] & 0x7f, a[2], a[3]};
    memcpy(mac, made, sizeof(made));
}

static uint32_t record_kind(const struct igmp_group *group, enum igmp_word word)
{
    static const uint8_t any[] = {TO_EXCLUDE, MODE_IS_EXCLUDE, TO_INCLUDE};
    static const uint8_t one[] = {ALLOW_NEW, MODE_IS_INCLUDE, BLOCK_OLD};
    return group->from != 0 ? one[word] : any[word];
}

/* The message of version 3, which names one group; its bytes. */
static uint32_t write_v3(uint8_t *to, const struct igmp_group *group, enum igmp_word word)
{
    uint32_t bytes = group->from != 0 ? 20 : 16;
    memset(to, 0, bytes);
    to[0] = V3_REPORT;
    put16(to + 6, 1); /* records */
    to[8] = (uint8_t)record_kind(group, word);
    put16(to + 10, group->from != 0); /* senders */
    memcpy(to + 12, &group->address, 4);
    memcpy(to + 16, &group->from, bytes - 16);
    put16(to + 2, checksum(to, bytes));
    return bytes;
}

static uint32_t write_v2(uint8_t *to, const struct igmp_group *group, enum igmp_word word)
{
    memset(to, 0, 8);
    to[0] = word == IGMP_LEAVE ? V2_LEAVE : V2_REPORT;
    memcpy(to + 4, &group->address, 4);
    put16(to + 2, checksum(to, 8));
    return 8;
}

/* To whom it is said. */
static uint32_t destination(const struct igmp_host *host, const struct igmp_group *group, enum igmp_word word)
{
    if (host->version == IGMP_V3) {
        return __builtin_bswap32(GROUP_V3_LISTENERS);
    }
    return word == IGMP_LEAVE ? __builtin_bswap32(GROUP_ROUTERS) : group->address;
}

static void write_ip(uint8_t *ip, uint32_t from, uint32_t to, uint32_t message_bytes)
{
    static const uint8_t router_alert[4] = {0x94, 0x04, 0, 0};
    memset(ip, 0, IP_BYTES);
    ip[0] = 0x40 | IP_BYTES / 4;
    ip[1] = 0xc0; /* network control */
    put16(ip + 2, IP_BYTES + message_bytes);
    ip[6] = 0x40; /* not to be fragmented */
    ip[8] = 1;    /* this network only */
    ip[9] = 2;    /* IGMP */
    memcpy(ip + 12, &from, 4);
    memcpy(ip + 16, &to, 4);
    memcpy(ip + 20, router_alert, sizeof(router_alert));
    put16(ip + 10, checksum(ip, IP_BYTES));
}

uint32_t igmp_frame(uint8_t frame[IGMP_FRAME_BYTES_MAX], const struct igmp_host *host,
                    const struct igmp_group *group, enum igmp_word word)
{
    if (host->version == IGMP_NONE || group->address == __builtin_bswap32(GROUP_EVERYBODY)) {
        return 0;
    }
    uint32_t to = destination(host, group, word);
    uint32_t at = 12;
    igmp_group_mac(to, frame);
    memcpy(frame + 6, host->mac, 6);
    if (group->is_tagged) {
        put16(frame + at, 0x8100);
        put16(frame + at + 2, group->vlan);
        at += 4;
    }
    put16(frame + at, 0x0800);
    uint8_t *ip = frame + at + 2;
    uint32_t bytes =
        host->version == IGMP_V3 ? write_v3(ip + IP_BYTES, group, word) : write_v2(ip + IP_BYTES, group, word);
    write_ip(ip, host->address, to, bytes);
    bytes += at + 2 + IP_BYTES;
    if (bytes < FRAME_BYTES_MIN) {
        memset(frame + bytes, 0, FRAME_BYTES_MIN - bytes);
        bytes = FRAME_BYTES_MIN;
    }
    return bytes;
}
