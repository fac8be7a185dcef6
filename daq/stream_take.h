/* From the bytes that a stream has read to the frames of its ring: where each ends, whether it is one, and its
 * place in a slot. Between daq/stream.c, which reads, and daq/stream_take.c alone. */
#ifndef DAQ_STREAM_TAKE_H
#define DAQ_STREAM_TAKE_H

#include "daq/stream.h"

/* `bytes` more have been read, to where stream_wants said. Returns frames published. */
uint32_t stream_take(struct stream_source *s, uint32_t bytes, uint64_t monotonic_ns, uint64_t tai_ns);

/* Bytes at a frame's begin that must be there before its length can be known. */
uint32_t stream_header_bytes(const struct framing_plan *framing);

/* What the number in a frame says of its length, at least its header's. 0: no frame can have that. */
uint32_t stream_said_length(const struct source_plan *plan, const uint8_t *frame);

/* stream.c: the device is open, or answers: again, if it was before. What it had has gone. */
void stream_is_there(struct stream_source *s, uint64_t tai_ns);
void stream_hang_up(struct stream_source *s, uint64_t tai_ns);

#endif
