/* Frames from a file, all of them in memory before the first is sent: as they are, one behind the other. Cold. */
#ifndef TOOLS_GEN_RECORDING_H
#define TOOLS_GEN_RECORDING_H

#include <stdint.h>

#include "ring/error.h"

#define RECORDING_BYTES_MAX  (UINT64_C(4) << 30)
#define RECORDING_FRAMES_MAX (1u << 26)

struct recording {
    uint8_t *bytes;
    uint64_t *at;    /* of each frame, in bytes[] */
    uint32_t *count; /* of bytes, of each frame */
    uint64_t frames;
    uint64_t used; /* of bytes[] */
    uint64_t room, places;
    uint32_t longest;
};

/* What of a captured packet is to be sent. */
enum recording_part {
    RECORDING_WHOLE = 1,      /* the Ethernet frame */
    RECORDING_UDP_PAYLOAD = 2 /* of IPv4 UDP packets that are no fragments; others are left out */
};

/* 0 or -errno with a message; recording_close undoes a half-read one too. A frame must not have more than
 * bytes_max. */
int recording_open_vdif(struct recording *recording, const char *path, uint32_t bytes_max, struct error *err);
int recording_open_pcap(struct recording *recording, const char *path, enum recording_part part, uint32_t bytes_max,
                        struct error *err);
void recording_close(struct recording *recording);

/* One more frame. 0 or -errno with a message. */
int recording_add(struct recording *recording, const uint8_t *bytes, uint32_t count, struct error *err);

#endif
