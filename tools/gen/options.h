/* The command line, checked before anything starts. Every option is one row of a table in options.c: --help prints
 * it, and with --control a line of standard input changes those that belong to a run. */
#ifndef TOOLS_GEN_OPTIONS_H
#define TOOLS_GEN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/gen/frame.h"
#include "tools/gen/pace.h"
#include "tools/gen/plan.h"
#include "tools/gen/writer.h"

enum options_transport { TRANSPORT_UDP = 1, TRANSPORT_PACKET = 2, TRANSPORT_DPDK = 3 };

struct options {
    uint32_t transport; /* enum options_transport */
    const char *target;

    /* A run's. */
    struct pace_rate rate;
    bool max;
    uint32_t sizes;
    struct plan_size size[PLAN_SIZES_MAX];
    uint64_t count; /* 0: no bound */
    double seconds; /* 0: no bound */
    uint64_t burst; /* 0: as the rate wants it */
    uint64_t seed;
    double lose, duplicate, reorder, late, corrupt;
    uint64_t late_by;
    uint64_t lose_tail;
    uint64_t first;
    uint64_t heartbeat_ms; /* 0: none but at the end */
    bool no_end;
    uint64_t catch_up_us;
    uint64_t spin_us;
    uint64_t start_at_ns; /* 0: at once */

    /* The port's and the stream's: the same for all runs. */
    uint32_t format;  /* enum writer_format */
    uint32_t content; /* enum writer_content */
    const char *file;
    bool is_capture; /* the file: not VDIF */
    uint64_t repeat;
    uint64_t stream;
    uint64_t frames_per_second, threads; /* of VDIF */
    struct frame_spec head;
    bool from_mac_given, to_mac_given;
    bool from_ip_given;
    uint64_t from_port, to_port, vlan, ethertype;
    bool no_checksum;
    bool no_gso;
    bool drop_when_full;
    uint64_t descriptors;
    uint64_t wait_s;
    uint64_t linger_ms;
    double core; /* -1: anywhere */

    bool control;
    bool json;
    bool help;
    bool version;
};

/* 0 or -EINVAL with a message. */
int options_parse(struct options *options, int count, char **arguments, struct error *err);

/* A line of --control: "--rate 5Mpps --seconds 3", over what stands in *options. Changes `line`. 0 or -EINVAL. */
int options_parse_line(struct options *options, char *line, struct error *err);

void options_help(FILE *to);

/* The largest payload that the sizes ask for; 0 when a recording decides. */
uint32_t options_bytes_max(const struct options *options);

/* A recording's frames are sent with everything that is in front of them. */
bool options_whole_frames(const struct options *options);

#endif
