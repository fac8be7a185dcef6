/* The other way of a UDP source (`gro`): the kernel hands over datagrams of one sender that came together in one
 * piece of up to 64 KiB (UDP_GRO), and each is copied once into a slot of its own. Hot (HOT_SOURCES).
 *
 * What it costs: one copy, at 10 Gbit/s 7 to 9 % of a core. What it saves: the kernel's way through its own network
 * stack for each datagram but the first, which is several times as much (on the loopback with datagrams of 1472
 * bytes 7 to 9 million a second instead of 1.3 to 1.6). Datagrams that do not come together (other senders between
 * them, other lengths, a card that does not merge) save nothing: for those the way without the copy is the better
 * one.
 *
 * Judged and counted like any other: a slot for each datagram, a gap record for each that is refused. What finds no
 * slot waits where it lies, in the buffers that the kernel does not get back meanwhile, or is dropped (when_full).
 */
#ifndef NET_UDP_GRO_H
#define NET_UDP_GRO_H

#include <stdbool.h>
#include <stdint.h>

struct udp_source;
struct uring_event;

#define UDP_GRO_BUFFERS       32u /* a power of two; what the kernel may be ahead of us */
#define UDP_GRO_PAYLOAD_BYTES 65536u
#define UDP_GRO_TOLD_BYTES    48u /* the kernel's drops, and the length of the pieces */
#define UDP_GRO_AT_BYTES      32u /* of a buffer, where the kernel's head begins: puts the payload at 128 */
#define UDP_GRO_STRIDE_BYTES  (128u + UDP_GRO_PAYLOAD_BYTES)

/* A piece that has come and has not been taken in full. */
struct udp_gro_piece {
    int32_t result;
    uint16_t buffer;
};

struct udp_gro {
    uint8_t *buffers; /* UDP_GRO_BUFFERS x UDP_GRO_STRIDE_BYTES; NULL: the source takes datagrams one by one */
    struct udp_gro_piece waiting[UDP_GRO_BUFFERS]; /* a queue: first, first + 1 .. */
    uint32_t first;
    uint32_t count;
    uint32_t taken_bytes; /* of the first one */
    uint32_t largest;     /* datagrams of the largest piece so far */
    uint32_t publish_at;  /* frames committed before they are published, at most */
    uint64_t reported;    /* position up to which frames were reported by udp_flush */
};

/* As udp_arm, udp_complete and udp_flush, which call them. */
void udp_gro_arm(struct udp_source *source, uint64_t tai_ns);
void udp_gro_complete(struct udp_source *source, const struct uring_event *event, uint64_t tai_ns);
uint32_t udp_gro_flush(struct udp_source *source, uint64_t tai_ns);

/* Gives a buffer to the kernel. */
void udp_gro_hand(struct udp_source *source, uint16_t buffer);

#endif
