/* Where a stream's frames came from, by the configuration that lies in the recording. Cold. */
#ifndef EXPORT_ORIGIN_H
#define EXPORT_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "daq/record_read.h"

struct origin_config;

/* The configuration; NULL: there is none, or it is not one that this release reads. */
struct origin_config *origin_load(const struct record_set *set);
void origin_free(struct origin_config *config); /* NULL is fine */

enum origin_form {
    ORIGIN_OTHER = 0,    /* no packets */
    ORIGIN_UDP = 1,      /* payloads of UDP datagrams, their headers are not recorded */
    ORIGIN_ETHERNET = 2, /* whole Ethernet frames */
};

struct origin {
    enum origin_form form;
    bool told;        /* the configuration told what follows */
    uint32_t to;      /* IPv4 in network order; 0: not known */
    uint32_t from;    /* the same */
    uint16_t to_port; /* in host order; 0: not known */
    uint16_t from_port;
    uint32_t header_at_byte; /* where in a frame the header of its format begins */
};

/* Of a stream of a ring. Without a configuration by the stream's kind of source alone. */
void origin_find(const struct origin_config *config, const struct ring_stream *stream, struct origin *origin);

#endif
