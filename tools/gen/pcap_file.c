/* A capture as libpcap reads it; the only file that includes it. */
#include <pcap/pcap.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "tools/gen/recording.h"

#define ETHERNET_BYTES 14u
#define TAGS_MAX       2u
#define IP_BYTES       20u
#define UDP_BYTES      8u

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static bool is_tag(uint32_t ethertype)
{
    return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

/* Where the payload of an IPv4 UDP packet that is no fragment lies; NULL: it is none. */
static const uint8_t *udp_payload(const uint8_t *frame, uint32_t bytes, uint32_t *payload_bytes)
{
    uint32_t at = ETHERNET_BYTES;
    for (uint32_t tags = 0; tags < TAGS_MAX && bytes >= at + 4 && is_tag(get16(frame + at - 2)); tags++) {
        at += 4;
    }
    if (bytes < at + IP_BYTES + UDP_BYTES || get16(frame + at - 2) != 0x0800 || frame[at] >> 4 != 4) {
        return NULL;
    }
    uint32_t head = 4u * (frame[at] & 0xf);
    bool is_fragment = (get16(frame + at + 6) & 0x3fff) != 0;
    if (head < IP_BYTES || bytes < at + head + UDP_BYTES || frame[at + 9] != 17 || is_fragment) {
        return NULL;
    }
    at += head;
    uint32_t udp = get16(frame + at + 4);
    if (udp < UDP_BYTES || bytes < at + udp) {
        return NULL;
    }
    *payload_bytes = udp - UDP_BYTES;
    return frame + at + UDP_BYTES;
}

static int add(struct recording *r, const struct pcap_pkthdr *head, const uint8_t *bytes, enum recording_part part,
               uint32_t bytes_max, struct error *err)
{
    uint32_t count = head->caplen;
    if (part == RECORDING_UDP_PAYLOAD) {
        bytes = udp_payload(bytes, count, &count);
        if (bytes == NULL) {
            return 0;
        }
    } else if (head->caplen != head->len) {
        return error_set(err, -EINVAL,
                         "expected whole packets, found one of %u bytes cut to %u; capture with a longer snapshot",
                         head->len, head->caplen);
    }
    if (count > bytes_max || (part == RECORDING_WHOLE && count < ETHERNET_BYTES)) {
        return error_set(err, -EINVAL, "expected packets of %u to %u bytes, found one of %u",
                         part == RECORDING_WHOLE ? ETHERNET_BYTES : 0, bytes_max, count);
    }
    return recording_add(r, bytes, count, err);
}

static int read_all(struct recording *r, pcap_t *pcap, enum recording_part part, uint32_t bytes_max,
                    struct error *err)
{
    struct pcap_pkthdr *head;
    const u_char *bytes;
    int code;
    if (pcap_datalink(pcap) != DLT_EN10MB) {
        return error_set(err, -EINVAL,
                         "expected a capture of Ethernet, found link type %d; capture on an Ethernet "
                         "interface",
                         pcap_datalink(pcap));
    }
    while ((code = pcap_next_ex(pcap, &head, &bytes)) == 1) {
        int failed = add(r, head, bytes, part, bytes_max, err);
        if (failed != 0) {
            return failed;
        }
    }
    if (code != PCAP_ERROR_BREAK) {
        return error_set(err, -EIO, "expected a whole capture: %s", pcap_geterr(pcap));
    }
    if (r->frames == 0) {
        return error_set(err, -EINVAL, "expected %s, found none",
                         part == RECORDING_WHOLE ? "packets" : "IPv4 UDP packets, whole and no fragments");
    }
    return 0;
}

int recording_open_pcap(struct recording *recording, const char *path, enum recording_part part, uint32_t bytes_max,
                        struct error *err)
{
    char said[PCAP_ERRBUF_SIZE] = "";
    struct error why = {{0}};
    pcap_t *pcap = pcap_open_offline(path, said);
    if (pcap == NULL) {
        return error_set(err, -EINVAL, "expected a capture (pcap, pcapng): %.300s", said);
    }
    int failed = read_all(recording, pcap, part, bytes_max, &why);
    pcap_close(pcap);
    return failed == 0 ? 0 : error_set(err, failed, "%.200s: %.280s", path, why.text);
}
