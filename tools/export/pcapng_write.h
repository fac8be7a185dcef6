/* pcapng's blocks (draft-ietf-opsawg-pcapng), and Ethernet, IPv4 and UDP headers for payloads that were recorded
 * without theirs. Built in memory; pure. */
#ifndef EXPORT_PCAPNG_WRITE_H
#define EXPORT_PCAPNG_WRITE_H

#include <stdint.h>

#include "tools/export/output.h"

#define PCAPNG_LINK_ETHERNET 1u
#define PCAPNG_LINK_USER0    147u

#define PCAPNG_COMMENT 1u /* option of every block */

/* A block under way: its options, one after the other. */
#define PCAPNG_BLOCK_BYTES 8192u
struct pcapng_block {
    uint32_t used;
    uint8_t bytes[PCAPNG_BLOCK_BYTES];
};

/* Option codes of the two headers, and of the statistics. */
enum pcapng_option {
    PCAPNG_END = 0,
    PCAPNG_SHB_HARDWARE = 2,
    PCAPNG_SHB_OS = 3,
    PCAPNG_SHB_APPLICATION = 4,
    PCAPNG_IF_NAME = 2,
    PCAPNG_IF_DESCRIPTION = 3,
    PCAPNG_IF_RESOLUTION = 9,
    PCAPNG_IF_OS = 12,
    PCAPNG_ISB_START = 2,
    PCAPNG_ISB_END = 3,
    PCAPNG_ISB_RECEIVED = 4
};

/* Begins a block of this type with its fixed part. */
void pcapng_begin(struct pcapng_block *block, uint32_t type, const void *fixed, uint32_t bytes);
/* Adds an option, and what pads it to 4 bytes; it is left out if there is no room. A text is cut to 4000 bytes. */
void pcapng_option(struct pcapng_block *block, uint16_t code, const void *value, uint16_t bytes);
void pcapng_text(struct pcapng_block *block, uint16_t code, const char *text);
/* Ends the options and the block, whose bytes are then ready. */
void pcapng_end(struct pcapng_block *block);

/* The whole of an Enhanced Packet Block: head and payload in two pieces, options from `comments` (a block begun
 * with no fixed part, not ended). */
int pcapng_packet(struct output *output, uint32_t interface, uint64_t utc_ns, const uint8_t *head,
                  uint32_t head_bytes, const uint8_t *payload, uint32_t payload_bytes,
                  const struct pcapng_block *comments, struct error *err);

#define PCAPNG_HEADERS_BYTES 42u
#define PCAPNG_UDP_MAX       65507u /* what a datagram of IPv4 carries */

struct pcapng_udp {
    uint32_t from; /* IPv4, network order */
    uint32_t to;
    uint16_t from_port;
    uint16_t to_port;
};

/* Ethernet (no frame check sequence), IPv4 and UDP with their checksums. payload_bytes: at most PCAPNG_UDP_MAX. */
void pcapng_headers(const struct pcapng_udp *udp, const uint8_t *payload, uint32_t payload_bytes,
                    uint8_t to[PCAPNG_HEADERS_BYTES]);

#endif
