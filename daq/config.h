/* The configuration as written: one YAML file, loaded by libcyaml into these structs. Optional scalars are
 * pointers, NULL where the file says nothing; defaults and bounds are applied by daq/compile.c. sluice.yaml(5)
 * describes every key. Cold.
 */
#ifndef DAQ_CONFIG_H
#define DAQ_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/error.h"

enum config_policy { POLICY_OTHER = 0, POLICY_FIFO = 1 };
enum config_on_miss { ON_MISS_ALARM = 0, ON_MISS_TRIP = 1 };
enum config_unknown { UNKNOWN_VOTES = 0, UNKNOWN_TRIPS = 1 };

struct config_memory {
    int *pages; /* enum segment_pages */
    bool *lock;
    int *numa_node;
};

struct config_watchdog {
    char *device;
    uint32_t *timeout_s;
};

enum config_on_loss { ON_LOSS_ALARM = 0, ON_LOSS_TRIP = 1 };

struct config_arming {
    int *waive; /* each an enum gate_check */
    uint32_t waive_count;
    uint32_t *latency_s;
    int *on_loss;
};

struct config_names {
    char **users;
    uint32_t users_count;
    char **groups;
    uint32_t groups_count;
};

struct config_authority {
    struct config_names *arm;
    struct config_names *reset;
    struct config_names *trip;
    struct config_names *bypass;
    struct config_names *proof_test;
    struct config_names *acknowledge;
    struct config_names *record;
};

struct config_audit {
    char *file;
};

struct config_bypass {
    uint32_t *at_once_max;
};

struct config_alarms {
    uint32_t *shelve_max_s;
};

struct config_control {
    int *core;
    int *policy;
    int *priority;
    int *idle; /* enum idle_mode */
    uint32_t *spin_us;
    uint32_t *sleep_us;
    uint32_t *cycle_budget_us;
    int *on_miss;
    uint32_t *stall_trip_ms;
    uint32_t *supervisor_silence_ms;
    uint32_t *refresh_us;
    uint32_t *acknowledge_us;
    uint32_t *output_fault_ms;
    uint32_t *late_us;
    uint32_t *silence_ms;
    uint32_t *heartbeat_us;
    struct config_watchdog *watchdog;
};

struct config_worker {
    char *name;
    int *core;
    int *policy;
    int *priority;
    int *idle;
    uint32_t *spin_us;
    uint32_t *sleep_us;
    uint32_t *coalesce_us;
    int *cores; /* dpdk: a polling thread on each; NULL: one thread, `core` */
    uint32_t cores_count;
    uint32_t *dpdk_memory_mb;
    char **eal; /* further arguments of DPDK's EAL */
    uint32_t eal_count;
};

struct config_gating {
    uint32_t *readers_max;
    int *when_full; /* enum when_full */
    uint32_t *deadline_ms;
    uint32_t *evict_ms;
};

struct config_ring {
    char *name;
    uint64_t *slots;
    uint32_t *slot_bytes;
    struct config_gating *gating;
    int *pages; /* enum segment_pages; NULL: memory's */
    int *numa_node;
};

struct config_sequence {
    uint32_t at_byte;
    uint32_t width_bytes;
    int *byte_order; /* enum ring_byte_order */
    uint32_t *step;
};

/* iio: an element of a scan. */
struct config_scan {
    char *name;
    char *type;
};

/* comedi: an input of a scan. */
struct config_input {
    uint32_t input;
    uint32_t *range_index;
    int *reference; /* AREF_GROUND .. of linux/comedi.h */
};

/* i2c, spi: a transfer of a poll. */
struct config_bus_read {
    char *write; /* hex digits */
    uint32_t read_bytes;
};

/* Where a frame says how long it is. */
struct config_length {
    uint32_t at_byte;
    uint32_t width_bytes;
    int *byte_order; /* enum ring_byte_order */
    int *adds;
};

/* Where a frame has a time: a number in it, or in its line of text. */
struct config_clock_field {
    uint32_t *at_byte;
    uint32_t *width_bytes;
    int *byte_order; /* enum ring_byte_order */
    uint32_t *field;
    double *unit_ns;
};

/* How regularly frames should come, and what their stamps are. */
struct config_rate {
    double *nominal_hz;
    double *tolerance_percent;
    int *stamps; /* enum ring_stamp */
    int *clock;  /* enum stamp_clock */
    struct config_clock_field at;
    uint32_t *lag_max_ms;
    uint32_t *ahead_max_ms;
};

/* file: when what is replayed was recorded. */
struct config_timing {
    struct config_clock_field at;
    double *gap_max_s;
};

/* modbus: neighbours that are read with one request. */
struct config_modbus_read {
    int table; /* enum modbus_table */
    uint32_t at;
    uint32_t count;
};

/* registers: parts of a window of memory. */
struct config_status {
    uint32_t at_byte;
    uint32_t *width_bytes;
    int *byte_order; /* enum ring_byte_order */
    uint64_t ready_mask;
};

struct config_window {
    uint32_t at_byte;
    uint32_t count_bytes;
    uint32_t *width_bytes;
};

struct config_written {
    uint32_t at_byte;
    uint32_t *width_bytes;
    int *byte_order;
    uint64_t value;
};

struct config_acknowledge {
    struct config_written written;
    bool *clears;
};

struct config_checksum {
    int kind; /* enum checksum_kind */
    uint32_t from_byte;
    uint32_t at_byte;
};

/* dpdk, afxdp: what of a port's frames is the stream's. */
struct config_packet {
    int *payload; /* enum packet_form */
    char *to;     /* ADDRESS, ADDRESS:PORT or :PORT */
    char *from;
    char *mac; /* destination, six hex bytes with colons */
    uint32_t *vlan;
    uint32_t *ethertype;
};

/* dpdk: how a multicast `to` is joined. */
struct config_igmp {
    int *version; /* enum igmp_version */
    char *address;
};

/* How the stream's frames say which they are. */
struct config_stream {
    int format; /* enum stream_format */
    uint32_t *at_byte;
    uint32_t *frames_per_second; /* vdif */
    uint32_t *threads;           /* vdif: ids in the order in which they are sent */
    uint32_t threads_count;
    uint32_t *heap_bytes;   /* spead */
    uint32_t *packet_bytes; /* spead */
    uint32_t *id;           /* vrt, sluice */
};

/* One point of a calibration: x, y. */
typedef double config_point[2];

/* 10^(slope x + intercept). */
struct config_logarithmic {
    double slope;
    double intercept;
};

/* What becomes of raw * scale + offset; exactly one form. */
struct config_calibration {
    double *polynomial;
    uint32_t polynomial_count;
    config_point *points;
    uint32_t points_count;
    int *thermocouple;       /* enum ring_thermocouple */
    double *reference_c;     /* its cold junction: fixed .. */
    char *reference_channel; /* .. or measured */
    struct config_logarithmic *logarithmic;
};

struct config_channel {
    char *name;
    uint32_t *at_byte;
    uint32_t *field; /* text sources: number of the field, from 0; comedi: which of the inputs */
    char *scan;      /* iio: the element's name, instead of at_byte and type */
    int *type;       /* enum ring_type */
    int *byte_order;
    double *scale;
    double *offset;
    struct config_calibration *calibration;
    char *unit;
    double *range; /* exactly two */
    uint32_t range_count;
    uint32_t *stale_ms;
};

struct config_source {
    char *name;
    int kind; /* enum source_kind */
    char *worker;
    char *ring;
    uint32_t *frame_bytes;
    char *listen;    /* udp: ADDRESS:PORT */
    char *group;     /* udp: multicast address */
    char *interface; /* udp: address of the interface for the group; afxdp: its name */
    char *from;      /* udp: ADDRESS or ADDRESS:PORT */
    uint32_t *receive_buffer_kb;
    bool *gro;       /* udp */
    char *port;      /* dpdk: a virtual device's arguments, or a PCI address */
    uint32_t *queue; /* afxdp */
    int *core;       /* dpdk: which of its worker's cores polls it */
    uint32_t *descriptors;
    int *steer; /* dpdk: enum dpdk_steer */
    struct config_igmp *igmp;
    struct config_packet *packet;
    struct config_stream *stream;
    char *device; /* serial */
    uint32_t *baud;
    uint32_t *data_bits;
    uint32_t *stop_bits;
    int *parity;    /* enum serial_parity */
    int *flow;      /* enum serial_flow */
    int *direction; /* enum serial_direction */
    char *connect;  /* tcp: ADDRESS:PORT */
    char *path;     /* unix, fifo, file, hidraw */
    int *socket;    /* unix: SOCK_STREAM .. */
    char **command; /* exec */
    uint32_t command_count;
    int *follow; /* file: enum file_follow */
    bool *from_begin;
    double *frames_hz;
    struct config_timing *timing;
    double *speed;
    char **paths; /* recording: beside `path` */
    uint32_t paths_count;
    char *recorded_ring;
    double *from_s;
    double *to_s;
    bool *loop;
    uint32_t *wait_readers;
    int *played_stamps; /* enum recording_stamps */
    uint32_t *ids;      /* can */
    uint32_t ids_count;
    bool *fd;        /* can */
    char *trigger;   /* iio */
    double *rate_hz; /* iio: the trigger's */
    uint32_t *buffer_length;
    struct config_scan *scan;
    uint32_t scan_count;
    uint32_t *subdevice; /* comedi, comedi_polled */
    struct config_input *inputs;
    uint32_t inputs_count;
    uint32_t *sample_bits;
    double *scan_hz; /* comedi */
    uint32_t *lines; /* gpio_edges, gpio_levels */
    uint32_t lines_count;
    int *edges; /* enum gpio_edges */
    int *bias;  /* enum gpio_bias */
    bool *active_low;
    uint32_t *debounce_us;
    uint32_t *bus_address; /* i2c */
    uint32_t *mode;        /* spi */
    uint32_t *speed_hz;
    uint32_t *bits_per_word;
    struct config_bus_read *reads; /* i2c, spi */
    uint32_t reads_count;
    char **attributes; /* sysfs: paths */
    uint32_t attributes_count;
    uint32_t *unit_id; /* modbus */
    struct config_modbus_read *registers;
    uint32_t registers_count;
    char **queries; /* scpi */
    uint32_t queries_count;
    uint32_t *numbers; /* scpi: in the answer to each query */
    uint32_t numbers_count;
    char **setup; /* scpi: commands */
    uint32_t setup_count;
    bool *check_errors;     /* scpi */
    uint32_t *window_bytes; /* registers */
    uint64_t *offset_bytes;
    int *wait; /* registers: enum registers_wait */
    struct config_status *status;
    struct config_window *data;
    struct config_acknowledge *acknowledge;
    struct config_written *interrupt_mask;
    double *period_ms; /* of all that are polled */
    double *timeout_ms;
    int *missing; /* enum when_missing */
    int *format;  /* enum framing_kind */
    char *sync;   /* hex digits */
    uint32_t *fields;
    char *pattern;
    char *delimiter; /* hex digits */
    struct config_length *length;
    struct config_sequence *sequence;
    struct config_checksum *checksum;
    struct config_rate *rate;
    struct config_channel *channels;
    uint32_t channels_count;
};

struct config_black_box {
    char *directory;
    uint32_t *pre_ms;
    uint32_t *post_ms;
    uint32_t *keep;
    uint32_t *room_mb;
};

struct config_observer {
    bool *watch;
    uint32_t *threshold_us;
};

/* What a recorder waits for. */
struct config_condition {
    char *channel;
    double *above;
    double *below;
};

struct config_recorder {
    char *name;
    char **only_rings;
    uint32_t only_rings_count;
    char **directories;
    uint32_t directories_count;
    int *reading; /* 1: gating */
    int *layout;  /* enum recorder_layout */
    int *begins;  /* enum recorder_begins */
    struct config_condition *condition;
    int *on_full; /* enum recorder_full */
    uint32_t *block_kb;
    uint32_t *sync_ms;
    uint32_t *sync_mb;
    uint32_t *pre_s;
    uint32_t *post_s;
    uint32_t *rotate_mb;
    uint32_t *rotate_s;
    uint32_t *keep_runs;
    uint32_t *keep_mb;
    uint32_t *room_mb;
    uint32_t *decimate;
    char *operator_name;
    char *test_id;
    char *note;
};

/* A rule, or a condition, which is a rule that does nothing by itself. */
struct config_rule {
    char *name;
    char *channel;
    double *high; /* limit, deviation */
    double *low;
    char *deviates_from; /* channel */
    double *by;
    double *rate_high; /* unit/s */
    double *rate_low;
    double *window_ms;
    uint64_t *bits_set; /* masks */
    uint64_t *bits_clear;
    double *stuck_ms;
    double *band;
    double *heartbeat_ms;
    uint32_t *vote; /* of `of` */
    char **of;
    uint32_t of_count;
    char **any;
    uint32_t any_count;
    char **all;
    uint32_t all_count;
    char * not ;
    int *unknown; /* enum config_unknown */
    char *unit;
    double *hysteresis;
    uint32_t *on_delay_samples;
    double *on_delay_ms;
    uint32_t *off_delay_samples;
    double *off_delay_ms;
    uint32_t *delay_samples; /* older names of the two on_delay keys */
    double *delay_ms;
    int *role; /* enum rule_role */
    char **outputs;
    uint32_t outputs_count;
    bool *shadow;
    uint32_t *severity;
    uint32_t *bypass_max_s;
    double *process_safety_time_ms;
    double *pre_alarm_high;
    double *pre_alarm_low;
};

struct config_register {
    uint32_t *at_byte;
    uint32_t *width_bytes;
    int *byte_order; /* enum ring_byte_order */
};

struct config_feedback {
    char *channel;
    uint64_t *energised_bits; /* masks */
    uint64_t *safe_bits;
    double *energised_at; /* thresholds */
    double *safe_at;
    uint32_t *time_ms;
};

struct config_output {
    char *name;
    int kind; /* enum device_kind */
    char *target;
    uint32_t *line;
    char *acknowledge;                       /* name of a ring */
    struct config_register *memory_register; /* `register` */
    uint32_t *unit_id;                       /* modbus */
    bool *heartbeat;
    int *without_heartbeat; /* memory: accepted */
    struct config_feedback *feedback;
};

struct config {
    char *instance;
    bool *seal;
    uint32_t *readers_max;
    struct config_arming *arming;
    struct config_authority *authority;
    struct config_audit *audit;
    struct config_bypass *bypass;
    struct config_alarms *alarms;
    struct config_memory *memory;
    struct config_control *control;
    struct config_worker *workers;
    uint32_t workers_count;
    struct config_ring *rings;
    uint32_t rings_count;
    struct config_source *sources;
    uint32_t sources_count;
    struct config_rule *conditions;
    uint32_t conditions_count;
    struct config_rule *rules;
    uint32_t rules_count;
    struct config_output *outputs;
    uint32_t outputs_count;
    struct config_black_box *black_box;
    struct config_observer *observer;
    struct config_recorder *recorders;
    uint32_t recorders_count;
};

#define CONFIG_ERRORS_BYTES 8192
#define CONFIG_BYTES_MAX    (1u << 20)

/* Every error found, one per line: FILE:LINE:COLUMN: KEY: what was expected, what was found, what to do. */
struct config_errors {
    unsigned count;
    char text[CONFIG_ERRORS_BYTES];
};

/* A loaded file: the structs, and where each key stands. */
struct config_file {
    char path[256];
    struct config *config; /* NULL: did not load */
    void *document;        /* the parsed YAML, for line numbers */
    char *text;            /* as loaded */
    size_t text_bytes;
};

/* Loads path. 0, or -errno with errors. config_unload is fine after a failure. */
int config_load(struct config_file *file, const char *path, struct config_errors *errors);
void config_unload(struct config_file *file);

/* The text as it was loaded, which is the caller's from now on (free()); NULL: there is none. */
char *config_take_text(struct config_file *file, size_t *bytes);

/* Adds one error about the key at `where`, such as "sources[1].channels[0].at_byte"; a key that is not there is
 * placed at the nearest one above it. */
__attribute__((format(printf, 4, 5))) void config_complain(const struct config_file *file,
                                                           struct config_errors *errors, const char *where,
                                                           const char *format, ...);

/* The same with a place that is known. */
__attribute__((format(printf, 5, 6))) void config_complain_at(const struct config_file *file,
                                                              struct config_errors *errors, unsigned line,
                                                              unsigned column, const char *format, ...);

/* The word for a kind of source in a file: "udp" for SOURCE_UDP; NULL: there is no such kind. */
const char *config_source_kind(uint32_t kind);

#endif
