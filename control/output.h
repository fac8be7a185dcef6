/* Output devices. A shadow goes nowhere: it has no descriptor, and what is sent to it is forgotten (a replay has no
 * others). A datagram device gets one packet for all its lines; a file device one short write; GPIO lines
 * one ioctl (control/gpio.h); a register one store (control/register.h); Modbus coils are left in an outbox for
 * sluice-actuator (control/outbox.h).
 *
 * The datagram, 48 bytes, big-endian:
 *    0 u32 magic 0x534c4f31 "SLO1"     4 u32 number of this datagram from this origin
 *    8 u64 TAI ns of the decision     16 u32 lines: which bits are set by it
 *   20 u32 energised bits (1 = permit) 24 u64 frames of the acknowledged ring evaluated so far
 *   32 u64 source sequence of the newest of those  40 u32 origin (1 control, 2 supervisor)  44 u32 zero
 * A receiver must treat silence as de-energised: the datagrams come at least every refresh period. One that shares
 * the clock should also refuse a permit decided longer ago than that silence: a sender stopped between its last
 * look at the clock and the kernel sends one such, and de-energises in its next cycle.
 *
 * The file: "1\n" or "0\n" if the device has one line, else "NAME=1 " or "NAME=0 " for each, then a newline; always
 * the same length, written at offset 0.
 */
#ifndef CONTROL_OUTPUT_H
#define CONTROL_OUTPUT_H

#include <stdbool.h>

#include "control/table.h"
#include "ring/error.h"

#define OUTPUT_MAGIC          UINT32_C(0x534c4f31)
#define OUTPUT_DATAGRAM_BYTES 48u
#define OUTPUT_FILE_BYTES     1200u

enum output_origin { OUTPUT_CONTROL = 1, OUTPUT_SUPERVISOR = 2 };

struct output_message {
    uint64_t decided_tai_ns;
    uint64_t evaluated;
    uint64_t source_sequence;
    uint32_t energised; /* bit per line */
    uint32_t number;
    uint32_t origin; /* enum output_origin */
};

struct sockaddr_in;

/* True if the target can be right for this kind (ADDRESS:PORT for udp and modbus, a path otherwise). Opens nothing.
 * Cold. */
bool output_target_ok(uint32_t kind, const char *target);

/* ADDRESS:PORT, IPv4. Cold. */
bool output_parse_address(const char *target, struct sockaddr_in *address);

/* Opens the device for writing, non-blocking, and leaves it alone; but GPIO lines are taken, and are low from then
 * on.
 * >= 0 or -errno. Not for Modbus, whose descriptor is that of its outbox. Cold, by sluiced. */
int output_open(const struct control_table *table, uint32_t device, struct error *err);

/* Maps what this process needs to speak to an opened device by memory: a register, an outbox; nothing for the
 * others. Kept here, for there is one such map of a device in a process. 0 or -errno. Cold, before the first
 * output_send. */
int output_attach(const struct control_table *table, uint32_t device, int fd, struct error *err);

/* Sends the lines' state. 0 or -errno; never blocks on a socket. One thread. -ECONNREFUSED: nobody listened to an
 * earlier datagram; this one has been sent all the same. Modbus: what the actuator has said of the commands before,
 * -ETIMEDOUT if nothing for too long. */
int output_send(const struct control_table *table, uint32_t device, int fd, const struct output_message *message);

/* Energised bits per output index -> bits per line of one device; GPIO, Modbus: bit i is its i-th output. Pure. */
uint32_t output_lines(const struct control_table *table, uint32_t device, uint32_t energised_outputs);

/* Lays out the datagram. Pure. */
void output_encode(const struct output_message *message, uint32_t lines, uint8_t bytes[OUTPUT_DATAGRAM_BYTES]);

/* "udp" .. "modbus". */
const char *output_kind_name(uint32_t kind);

#endif
