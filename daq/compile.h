/* From the configuration as written to flat plans: every default, unit and bound is applied here, once, and
 * whatever cannot be right is refused with its place in the file. `sluice check` and sluiced run the same code.
 * Cold.
 */
#ifndef DAQ_COMPILE_H
#define DAQ_COMPILE_H

#include "control/table.h"
#include "daq/authority.h"
#include "daq/blackbox.h"
#include "daq/config.h"
#include "daq/recorder_plan.h"
#include "net/plan.h"
#include "ring/segment.h"

#define SERVER_WORKERS_MAX   8u
#define SERVER_RECORDERS_MAX 4u

struct ring_plan {
    char name[RING_NAME_BYTES];
    struct ring_stream stream; /* name empty: no source writes this ring */
    uint64_t slots;
    uint32_t slot_bytes;
    uint32_t payload_offset;
    uint32_t channel_count;
    uint32_t first_number; /* in control_table.number; of the channels' calibrations */
    uint32_t number_count;
    uint32_t watched_as; /* index + 1 in control_table.ring; 0: carries no channels */
    uint32_t gates;      /* gating readers at a time, 0 .. RING_GATES_MAX */
    uint64_t gate_deadline_ns;
    uint64_t gate_evict_ns;
    enum segment_pages pages;
    int numa_node; /* NUMA_ANY: none asked for */
    struct ring_channel channel[RING_CHANNELS_MAX];
};

struct server_plan {
    char instance[RING_NAME_BYTES];
    uint64_t silence_ns;  /* control is given up when its heartbeat is older than this */
    uint32_t readers_max; /* at a time, over all rings */
    uint32_t watchdog_timeout_s;
    char watchdog_path[CONTROL_TARGET_BYTES]; /* empty: none is asked for */
    struct authority_plan authority;
    char audit_path[256]; /* empty: no audit log */
    uint32_t rings;
    uint32_t workers;
    struct ring_plan ring[CONTROL_RINGS_MAX];
    struct worker_plan worker[SERVER_WORKERS_MAX];
    uint32_t recorders;
    struct recorder_plan recorder[SERVER_RECORDERS_MAX]; /* without what sluiced fills in when it starts */
    bool has_observer;
    uint64_t observer_threshold_ns; /* what takes a core for less is not told */
    bool has_black_box;
    struct blackbox_plan black_box; /* without the descriptors' part: sluiced fills that in */
    struct control_table table;     /* without descriptors, clock and hash: sluiced fills those in */
};

/* Fills *plan. 0, or -EINVAL with every error found. */
int compile_config(const struct config_file *file, struct server_plan *plan, struct config_errors *errors);

/* The number that tells this plan's meaning from another's: for who changes a compiled one (compile_replay.c). */
void compile_set_checksum(struct server_plan *plan);

/* Shared by the compile_*.c files. */
struct compile {
    const struct config_file *file;
    const struct config *config;
    struct server_plan *plan;
    struct config_errors *errors;
};

/* The given value if it lies in min .. max, else an error and the default; the default if nothing is given. `where`
 * is the key's path. */
uint64_t compile_bounded(struct compile *c, const char *where, const uint32_t *given, uint64_t standard,
                         uint64_t min, uint64_t max, const char *unit);

/* The path of a key, such as sources[1].channels[0].name, for one complaint. Returns `path`. */
#define COMPILE_PATH_BYTES 128
__attribute__((format(printf, 2, 3))) const char *compile_path(char path[COMPILE_PATH_BYTES], const char *format,
                                                               ...);

/* An error about one key of an item of a list: sources, recorders. */
__attribute__((format(printf, 5, 6))) void compile_complain_item(struct compile *c, const char *list, uint32_t i,
                                                                 const char *key, const char *format, ...);

/* ADDRESS, or ADDRESS:PORT (needed if port_needed; port NULL: there must be none). */
bool compile_address(const char *text, uint32_t *address, uint16_t *port, bool port_needed);

/* Complains unless the name has 1..31 letters, digits, '_', '-', '.'. */
void compile_name(struct compile *c, const char *where, const char *name, char to[RING_NAME_BYTES]);

void compile_thread(struct compile *c, const char *where, const int *core, const int *policy, const int *priority,
                    const int *idle, const uint32_t *spin_us, const uint32_t *sleep_us, int standard_idle,
                    struct thread_plan *to);

/* compile_sources.c: rings, workers, sources, channels. */
void compile_sources(struct compile *c);

/* compile_streams.c: source i is read as a stream of bytes or messages: what is opened, how frames lie in it;
 * whether they can be told apart; and, when its ring has its slots, how long they may be. */
void compile_bytes(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
void compile_serial(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
void compile_tcp(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
void compile_check_framing(struct compile *c, uint32_t i, const struct source_plan *source);
void compile_frame_limit(struct source_plan *source, const struct ring_plan *ring);

/* compile_polls.c: source i is an instrument that is asked. */
void compile_poll(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);

/* compile_buses.c: what source i has on the machine's own buses. compile_scan: the scan element that a channel
 * names: its place, type and bits in to; false: there is none, complained. */
void compile_iio(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
void compile_gpio(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
void compile_bus(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
bool compile_scan(struct compile *c, const char *where, const struct source_plan *source, const char *name,
                  struct ring_channel *to);

/* compile_comedi.c: the inputs of a card; and which of them a channel is. */
void compile_comedi(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
void compile_comedi_channel(struct compile *c, const char *where, const struct source_plan *source,
                            const struct config_channel *from, uint32_t place, struct ring_channel *to);

/* compile_streams.c: hex digits into bytes; false: they are none, or too many. A text of the file into a plan's;
 * what: of what it is the path. */
bool compile_hex(const char *text, uint8_t *bytes, uint32_t most, uint32_t *count);
void compile_string(struct compile *c, uint32_t i, const char *key, const char *from, char *to, size_t bytes,
                    const char *what);

/* compile_rates.c: what the stamps of source i are and how regularly it comes; when what it replays was recorded.
 * When its frames and, of the configuration, its channels are known. */
void compile_rates(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);

/* compile_modbus.c: its tables, and where it is. */
void compile_modbus(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);

/* compile_scpi.c: what it is asked, and where it is. */
void compile_scpi(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);

/* compile_registers.c: where they lie in memory, and what each of them means. */
void compile_registers(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);

/* compile_recording.c: which recording, what of it, and how fast. */
void compile_recording(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
/* Its paths; false: they are too many, or too long. */
bool recording_plan_paths(struct recording_plan *plan, const char *const *paths, uint32_t count);

/* compile_keys.c: complains of keys that belong to other kinds of sources. */
void compile_refuse_foreign_keys(struct compile *c, uint32_t i, const struct config_source *from);

/* compile_packets.c: source i takes packets: its port and filter; how its frames are numbered. */
void compile_dpdk(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
void compile_packet(struct compile *c, uint32_t i, const struct config_packet *from, struct packet_filter *to);
void compile_stream(struct compile *c, uint32_t i, const struct config_stream *from, struct source_plan *to);
/* The ring of source i is large enough for its port. */
void compile_dpdk_ring(struct compile *c, uint32_t i, const struct source_plan *source,
                       const struct ring_plan *ring);
/* Worker i has all its sources, which must be of one program. */
void compile_worker_kind(struct compile *c, uint32_t i, const struct config_worker *from);

/* compile_dpdk.c: how source i, whose port and filter are there, shares the port and joins its group; and that a
 * source of another kind does not speak of it. */
void compile_dpdk_port(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);

/* compile_afxdp.c: the same for a kernel's interface; what a slot for frames that need so much must have; and, when
 * all sources are there, that each queue is read once. */
void compile_afxdp(struct compile *c, uint32_t i, const struct config_source *from, struct source_plan *to);
uint32_t compile_afxdp_slot(struct compile *c, uint32_t i, const struct ring_plan *ring, uint32_t need);
void compile_afxdp_queues(struct compile *c);

/* compile_cores.c: which cores worker w polls on, and which of them each of its sources, when it has them all. */
void compile_cores(struct compile *c, uint32_t w, const struct config_worker *from);

/* compile_calibration.c: what becomes of channel j of source i's raw * scale + offset, its numbers into the table.
 * When all channels of the source are there: the cold junctions that are channels. */
void compile_calibration(struct compile *c, uint32_t i, uint32_t j, const struct config_calibration *from,
                         struct ring_plan *ring, struct ring_channel *to);
void compile_junctions(struct compile *c, uint32_t i, struct ring_plan *ring);

/* compile_reach.c: what a channel can come to (numbers: its ring's; false: that is not known); whether that and its
 * range have anything in common. */
bool compile_channel_reach(const struct ring_channel *channel, const double *numbers, double *low, double *high);
void compile_overlap(struct compile *c, uint32_t i, uint32_t j, const struct ring_plan *ring);

/* compile_gating.c: how many readers, and what the gating ones may do. After the other two. */
void compile_gating(struct compile *c);

/* compile_authority.c: who may command. */
void compile_authority(struct compile *c);

/* compile_arming.c: the arming gate, the audit log, how many bypasses at once, how long a shelving. */
void compile_arming(struct compile *c);
/* compile_observer.c: who looks at what takes the cores. */
void compile_observer(struct compile *c);

/* compile_recorders.c. After compile_gating: may a reader gate? */
void compile_recorders(struct compile *c);

/* compile_black_box.c: what is kept of a trip. After compile_control. */
void compile_black_box(struct compile *c);

/* compile_control.c: the interlock's table. */
void compile_control(struct compile *c);

/* compile_outputs.c: outputs and their devices, the heartbeat, the watchdog. */
void compile_outputs(struct compile *c);

/* compile_feedback.c: where output i says what it really does. */
void compile_feedback(struct compile *c, uint32_t i);

/* compile_rules.c: conditions and rules, after the outputs, which they name. */
void compile_rules(struct compile *c);

/* compile_limits.c: what a rule compares with, and whether that can be right. `where` is the rule's path. */
void compile_rule_form(struct compile *c, const char *where, const struct config_rule *from,
                       struct control_rule *to);

/* The time under a key of a rule in ns; `standard_ns` if it is not given, an error if it lies outside
 * min_ms .. 3600000. */
uint64_t compile_ms(struct compile *c, const char *where, const char *key, const double *given_ms,
                    uint64_t standard_ns, double min_ms);

/* An error about one key of the rule at `where`. */
__attribute__((format(printf, 4, 5))) void compile_complain_key(struct compile *c, const char *where,
                                                                const char *key, const char *format, ...);

/* Index of the channel with this name, or -1. */
int compile_find_channel(const struct control_table *table, const char *name);

/* compile_budgets.c: whether every rule is fast enough for its process safety time, and every output can be
 * tripped.
 */
void compile_budgets(struct compile *c);

#endif
