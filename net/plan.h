/* What a worker is told about its sources: plain data, compiled from the configuration by sluiced, handed over in a
 * sealed segment. A worker parses no text.
 */
#ifndef NET_PLAN_H
#define NET_PLAN_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "net/format.h"
#include "net/packet.h"
#include "ring/layout.h"
#include "ring/thread.h"

#define PLAN_MAGIC           UINT64_C(0x314e414c504c4c53) /* "SLLPLAN1" */
#define PLAN_VERSION         10u
#define PLAN_SOURCES_MAX     64u
#define PLAN_THREADS_MAX     16u /* polling threads of a worker: each has a source at least */
#define PLAN_PATH_BYTES      128u
#define PLAN_SYNC_BYTES      8u
#define PLAN_LINE_BYTES      512u /* longest text line of a serial source */
#define PLAN_FIELDS_MAX      32u
#define PLAN_PORT_BYTES      256u
#define PLAN_PATTERN_BYTES   128u
#define PLAN_DELIMITER_BYTES 4u
#define PLAN_COMMAND_BYTES   1024u
#define PLAN_CAN_IDS_MAX     16u
#define PLAN_ATTRIBUTES_MAX  16u
#define PLAN_MODBUS_READS    16u
#define PLAN_QUERIES_MAX     16u
#define PLAN_SETUP_BYTES     512u
#define PLAN_RECORDING_BYTES 1024u
#define PLAN_RECORDINGS_MAX  32u
#define PLAN_EAL_MAX         8u
#define PLAN_EAL_BYTES       128u

/* Under which name (ring/thread.h) each thread is handed the descriptor that its leases come through. */
#define PLAN_LEASES_NAMES                                                                                          \
    "leases", "leases2", "leases3", "leases4", "leases5", "leases6", "leases7", "leases8", "leases9", "leases10",  \
        "leases11", "leases12", "leases13", "leases14", "leases15", "leases16"

enum source_kind {
    SOURCE_UDP = 1,
    SOURCE_SERIAL = 2,
    SOURCE_DPDK = 3,
    SOURCE_AFXDP = 4,
    SOURCE_TCP = 5,        /* connects */
    SOURCE_TCP_LISTEN = 6, /* takes one client at a time */
    SOURCE_UNIX = 7,       /* connects to, or receives at, a socket in the file system */
    SOURCE_FIFO = 8,
    SOURCE_EXEC = 9, /* what a child process writes to its standard output */
    SOURCE_FILE = 10,
    SOURCE_CAN = 11,
    SOURCE_HIDRAW = 12,
    SOURCE_SYSFS = 13, /* numbers in files of the kernel's: hwmon, IIO; polled */
    SOURCE_IIO = 14,   /* the buffer of a device of Industrial I/O */
    SOURCE_GPIO_EDGES = 15,
    SOURCE_I2C = 16,         /* polled */
    SOURCE_SPI = 17,         /* polled */
    SOURCE_MODBUS_TCP = 18,  /* polled */
    SOURCE_MODBUS_RTU = 19,  /* polled */
    SOURCE_SCPI = 20,        /* polled */
    SOURCE_REGISTERS = 21,   /* of a UIO device, or of a file; polled */
    SOURCE_GPIO_LEVELS = 22, /* polled */
    SOURCE_COMEDI = 23,      /* scans of a card of the kernel's comedi, by its own clock */
    SOURCE_COMEDI_POLLED = 24,
    SOURCE_RECORDING = 25, /* one ring of a recording, played as if it came now */
    SOURCE_LAST = SOURCE_RECORDING
};
/* What a source does when gating readers leave it no slot. */
enum when_full {
    WHEN_FULL_WAIT = 1, /* take nothing more from the kernel, whose buffers fill */
    WHEN_FULL_DROP = 2  /* take it and drop it, counted and recorded: others on this host see it missing at once */
};
/* How frames lie in what a source reads. */
enum framing_kind {
    FRAMING_FIXED = 1,     /* of one length, behind a sync or with a checksum */
    FRAMING_TEXT = 2,      /* lines with numbers, each an f64 of the host's order in the payload */
    FRAMING_DELIMITED = 3, /* of any length, up to a mark of 1 to 4 bytes */
    FRAMING_LENGTH = 4,    /* of the length that they say themselves */
    FRAMING_MESSAGE = 5,   /* each read has one, whole: datagrams, packets of a bus */
    FRAMING_POLLED = 6     /* a message of a poller: frame_bytes, then struct poller_trailer (daq/poller.h) */
};
/* What is to be done if a device cannot be opened when the worker starts. */
enum when_missing { WHEN_MISSING_WAIT = 1, WHEN_MISSING_REFUSE = 2 };
enum checksum_kind { CHECKSUM_NONE = 1, CHECKSUM_CRC16_CCITT = 2 };

/* Where a frame carries its sender's number. */
struct sequence_spec {
    uint32_t width_bytes; /* 1, 2, 4, 8; 0: the frames carry none */
    uint32_t at_byte;
    uint32_t byte_order; /* enum ring_byte_order */
    uint32_t step;       /* the number grows by this per frame */
    uint32_t width_bits; /* 0: all of width_bytes; below 8: the number counts modulo 2^width_bits, and step is 1 */
};

/* A checksum over bytes from .. at_byte - 1, stored at at_byte, big-endian. */
struct checksum_spec {
    uint32_t kind; /* enum checksum_kind */
    uint32_t from;
    uint32_t at_byte;
    uint32_t reserved;
};

struct udp_plan {
    uint32_t listen_address;    /* IPv4, network order; 0: any */
    uint32_t multicast_address; /* network order; 0: unicast */
    uint32_t interface_address; /* network order, for the multicast join; 0: the routing table's choice */
    uint32_t from_address;      /* network order; 0: from anyone */
    uint16_t port;              /* host order */
    uint16_t from_port;         /* host order; 0: any */
    uint32_t receive_buffer_bytes;
    uint32_t gro; /* 1: take several datagrams at a time from the kernel, at the price of a copy (net/udp_gro.h) */
};

struct framing_plan {
    uint32_t kind;       /* enum framing_kind; 0: the source's own (packets) */
    uint32_t sync_bytes; /* 0: none */
    uint8_t sync[PLAN_SYNC_BYTES];
    uint32_t read_frames; /* fixed: so many at a time are read and copied; 0: each straight into its slot */
    uint32_t fields;      /* text: numbers per line */
    uint32_t bytes_max;   /* of a frame: frame_bytes, or what a slot of the ring has room for */
    char pattern[PLAN_PATTERN_BYTES]; /* text: see text_match(), daq/text.h; empty: numbers and separators */
    uint8_t delimiter[PLAN_DELIMITER_BYTES];
    uint32_t delimiter_bytes;
    /* length: the number at at_byte, of width_bytes, plus adds, is the whole frame's. */
    uint32_t length_at;
    uint32_t length_width;
    uint32_t length_order; /* enum ring_byte_order */
    int32_t length_adds;
};

enum serial_parity { SERIAL_PARITY_NONE = 1, SERIAL_PARITY_EVEN = 2, SERIAL_PARITY_ODD = 3 };
enum serial_flow { SERIAL_FLOW_NONE = 1, SERIAL_FLOW_RTS_CTS = 2, SERIAL_FLOW_XON_XOFF = 3 };
/* RS-485: what the transceiver's direction line is while something is sent. */
enum serial_direction { SERIAL_DIRECTION_NONE = 1, SERIAL_DIRECTION_RTS_HIGH = 2, SERIAL_DIRECTION_RTS_LOW = 3 };

struct serial_plan {
    char device[PLAN_PATH_BYTES];
    uint32_t baud;
    uint32_t data_bits; /* 5 .. 8 */
    uint32_t stop_bits; /* 1, 2 */
    uint32_t parity;    /* enum serial_parity */
    uint32_t flow;      /* enum serial_flow */
    uint32_t direction; /* enum serial_direction */
};

struct tcp_plan {
    uint32_t address;      /* IPv4, network order; of a listener 0: any */
    uint32_t from_address; /* listener: network order; 0: anyone may connect */
    uint16_t port;         /* host order */
    uint16_t reserved;
    uint32_t receive_buffer_bytes; /* 0: the system's */
};

struct unix_plan {
    char path[PLAN_PATH_BYTES];
    uint32_t type; /* SOCK_STREAM, SOCK_DGRAM (bound at path), SOCK_SEQPACKET */
};

struct exec_plan {
    uint32_t words;                   /* of the command */
    char command[PLAN_COMMAND_BYTES]; /* one after the other, each with its NUL */
};

/* A time in a frame: of its device, or of when it was recorded. */
struct clock_field {
    uint32_t width_bytes; /* 4, 8; 0: there is none */
    uint32_t at_byte;
    uint32_t byte_order; /* enum ring_byte_order */
    uint32_t is_real;    /* an f64 of the host's order: a number of a line of text */
    double unit_ns;      /* of one count */
};

/* What a device's clock counts from. */
enum stamp_clock {
    STAMP_CLOCK_FREE = 1,     /* from anywhere */
    STAMP_CLOCK_TAI = 2,      /* from 1970 */
    STAMP_CLOCK_UTC = 3,      /* from 1970, without leap seconds */
    STAMP_CLOCK_MONOTONIC = 4 /* this host's CLOCK_MONOTONIC: the kernel's own stamps */
};

/* What a stream's stamps are, and how regularly it should come. */
struct rate_plan {
    uint32_t stamp; /* enum ring_stamp */
    uint32_t clock; /* enum stamp_clock */
    struct clock_field field;
    double nominal_hz;     /* 0: not declared */
    double tolerance;      /* of the nominal rate */
    uint64_t lag_max_ns;   /* no stamp is further before its frame's arrival */
    uint64_t ahead_max_ns; /* a device's clock may be so much ahead of ours */
};

enum file_follow { FILE_TAIL = 1, FILE_REPLAY = 2 };
struct file_plan { /* also of hidraw and fifo, which have the path alone */
    char path[PLAN_PATH_BYTES];
    uint32_t follow;           /* enum file_follow */
    uint32_t from_begin;       /* tail: what is there when it is opened counts too */
    double frames_hz;          /* replay: 0: as fast as the ring takes them */
    struct clock_field timing; /* replay: as it was recorded */
    double speed;              /* times as fast */
    uint64_t gap_max_ns;       /* of the recording: what is longer is not waited for */
};

/* Of every source that is polled. */
struct poll_plan {
    uint64_t period_ns;
    uint64_t timeout_ns; /* that one poll may take, where that can be bounded */
};

struct sysfs_plan {
    uint32_t attributes;
    char path[PLAN_ATTRIBUTES_MAX][PLAN_PATH_BYTES];
};

#define PLAN_SCANS_MAX 16u
/* An element of an IIO device's scan, as its file scan_elements/NAME_type says: "le:s12/16>>4". */
struct iio_scan {
    char name[32]; /* in_voltage0 */
    char type[20];
    uint32_t at_byte; /* where it lies in a scan */
};
struct iio_plan {
    char device[48];  /* its name, or iio:device0 */
    char trigger[48]; /* empty: the device has its own clock */
    double rate_hz;   /* of the trigger, 0: as it is */
    uint32_t length;  /* of the kernel's buffer, in scans */
    uint32_t scans;
    struct iio_scan scan[PLAN_SCANS_MAX];
};

#define PLAN_LINES_MAX 16u
enum gpio_bias { GPIO_BIAS_AS_IS = 1, GPIO_BIAS_UP = 2, GPIO_BIAS_DOWN = 3, GPIO_BIAS_OFF = 4 };
enum gpio_edges { GPIO_EDGES_BOTH = 1, GPIO_EDGES_RISING = 2, GPIO_EDGES_FALLING = 3 };
struct gpio_plan {
    char device[PLAN_PATH_BYTES];
    uint32_t lines;
    uint32_t line[PLAN_LINES_MAX];
    uint32_t edges; /* enum gpio_edges */
    uint32_t bias;  /* enum gpio_bias */
    uint32_t active_low;
    uint32_t debounce_us;
    uint32_t monotonic; /* an edge's time is of CLOCK_MONOTONIC; 0: of CLOCK_REALTIME */
};

#define PLAN_INPUTS_MAX 16u
struct comedi_plan {
    char device[PLAN_PATH_BYTES];
    uint32_t subdevice;
    uint32_t sample_bytes; /* 2, 4: in the host's order */
    uint32_t length;       /* of the kernel's buffer, in scans; 0: as it is */
    uint32_t inputs;
    uint32_t input[PLAN_INPUTS_MAX]; /* CR_PACK(input, range, reference) of linux/comedi.h */
    double scan_hz;                  /* not of one that is polled */
};

#define PLAN_READS_MAX   8u
#define PLAN_WRITE_BYTES 16u
/* One transfer of a poll on I2C or SPI: these bytes are written; so many are read and lie in the frame. */
struct bus_read {
    uint8_t write[PLAN_WRITE_BYTES];
    uint32_t write_bytes;
    uint32_t read_bytes;
};
struct bus_plan {
    char device[PLAN_PATH_BYTES];
    uint32_t address;       /* i2c: 7 bits */
    uint32_t mode;          /* spi: 0 .. 3 */
    uint32_t speed_hz;      /* spi */
    uint32_t bits_per_word; /* spi */
    uint32_t reads;
    struct bus_read read[PLAN_READS_MAX];
};

enum modbus_table {
    MODBUS_TABLE_HOLDING = 1,
    MODBUS_TABLE_INPUT = 2,
    MODBUS_TABLE_COIL = 3,
    MODBUS_TABLE_DISCRETE = 4
};

/* One request: neighbours of one table. */
struct modbus_read {
    uint32_t table; /* enum modbus_table */
    uint32_t at;    /* as it is sent: counted from 0 */
    uint32_t count;
};

struct modbus_plan { /* reached by tcp or serial */
    uint32_t unit_id;
    uint32_t reads;
    struct modbus_read read[PLAN_MODBUS_READS];
};

enum scpi_link { SCPI_TCP = 1, SCPI_SERIAL = 2 };

struct scpi_plan {
    uint32_t link; /* enum scpi_link: reached by tcp or serial */
    uint32_t queries;
    uint32_t setups;
    uint32_t check_errors;
    uint32_t numbers[PLAN_QUERIES_MAX]; /* in the answer to each */
    char query[PLAN_COMMAND_BYTES];     /* one after the other, each with its NUL */
    char setup[PLAN_SETUP_BYTES];       /* in the same way */
};

/* One register of a window. */
struct register_plan {
    uint32_t at_byte;
    uint32_t width_bytes; /* 1, 2, 4, 8; 0: there is none */
    uint32_t byte_order;  /* enum ring_byte_order */
    uint32_t reserved;
    uint64_t value; /* what is written; of the status: all of these bits set are "ready" */
};

enum registers_wait { REGISTERS_WAIT_POLL = 1, REGISTERS_WAIT_INTERRUPT = 2 };

struct registers_plan {
    char device[PLAN_PATH_BYTES];
    uint64_t offset_bytes; /* of the window in the device */
    uint32_t window_bytes;
    uint32_t wait;   /* enum registers_wait */
    uint32_t clears; /* an acknowledgement takes the ready bits away; if none does for timeout_ns, they are stuck */
    uint32_t data_at; /* of frame_bytes */
    uint32_t data_width;
    uint32_t reserved;
    struct register_plan status;
    struct register_plan acknowledge;
    struct register_plan interrupt_mask;
};

struct can_plan {
    char interface[16];
    uint32_t ids;                  /* 0: all */
    uint32_t fd;                   /* frames of CAN FD, up to 64 bytes, are taken too */
    uint32_t id[PLAN_CAN_IDS_MAX]; /* with CAN_EFF_FLAG if extended */
};

/* Which of a port's queues, each a source's, a frame goes to. */
enum dpdk_steer {
    DPDK_STEER_AUTO = 0, /* by a hash where the port has one, else by the device's own lights */
    DPDK_STEER_NONE = 1,
    DPDK_STEER_RSS_IP = 2,  /* a hash over the IPv4 addresses */
    DPDK_STEER_RSS_UDP = 3, /* and over the UDP ports */
    DPDK_STEER_FLOW = 4     /* a rule of the device's for each source */
};

struct dpdk_plan {
    char port[PLAN_PORT_BYTES]; /* PCI address, or a virtual device with its arguments */
    uint32_t descriptors;
    uint32_t steer; /* enum dpdk_steer, the same for all sources of a port */
    uint32_t igmp;  /* enum igmp_version, by which a multicast `to` is joined; the same for a port; 0: none */
    uint32_t igmp_address; /* the reports' sender, network order; 0: none */
};

struct afxdp_plan {
    char interface[16]; /* its name, as long as the kernel allows */
    uint32_t queue;
    uint32_t descriptors; /* places of the kernel's rings; a power of two */
};

enum recording_stamps {
    RECORDING_STAMPS_MOVED = 1,   /* the first frame is "now", the others follow as they did, times the speed */
    RECORDING_STAMPS_ORIGINAL = 2 /* as recorded: whoever asks how old a frame is finds it very old */
};
/* Of a recording, all of whose rings share one time. */
struct recording_plan {
    char ring[RING_NAME_BYTES];      /* its name there; empty: it is not there, and this ring stays silent */
    double speed;                    /* times as fast; 0: as fast as gating readers allow */
    uint64_t from_ns;                /* since the recording's first frame: what is played .. */
    uint64_t to_ns;                  /* .. without this; 0: to its end */
    uint32_t stamps;                 /* enum recording_stamps */
    uint32_t loop;                   /* 1: over and over */
    uint32_t paths;                  /* directories or files */
    uint32_t wait_readers;           /* it begins once so many gating readers are there */
    char path[PLAN_RECORDING_BYTES]; /* one after the other, each with its NUL */
};

struct source_plan {
    char name[RING_NAME_BYTES];
    char ring[RING_NAME_BYTES];
    uint32_t kind;                 /* enum source_kind */
    uint32_t frame_bytes;          /* exact payload bytes of a frame; 0: any length up to the slot's (UDP) */
    uint32_t ring_fd;              /* the descriptor's number in the worker */
    uint32_t orders_fd;            /* that of the page of orders */
    uint32_t gates;                /* gating readers that the ring takes at a time, 0 .. RING_GATES_MAX */
    uint32_t when_full;            /* enum when_full */
    uint32_t thread;               /* of the worker's polling threads, from 0; 0 but for dpdk */
    struct sequence_spec sequence; /* as format_sequence has it, unless the format is FORMAT_FIELD */
    struct checksum_spec checksum;
    struct format_spec format;
    struct framing_plan framing;
    uint32_t when_missing; /* enum when_missing */
    uint32_t reserved;
    struct rate_plan rate;
    struct serial_plan serial; /* of serial, modbus_rtu and scpi */
    struct tcp_plan tcp;       /* of tcp, tcp_listen, modbus_tcp and scpi */
    struct poll_plan poll;
    struct packet_filter packet; /* of sources that see whole frames */
    union {                      /* by kind: a plan of many sources is memory that every process has */
        struct udp_plan udp;
        struct unix_plan un;
        struct exec_plan exec;
        struct file_plan file; /* and of fifo and hidraw */
        struct can_plan can;
        struct sysfs_plan sysfs;
        struct iio_plan iio;
        struct gpio_plan gpio;
        struct comedi_plan comedi;
        struct bus_plan bus;
        struct modbus_plan modbus;
        struct scpi_plan scpi;
        struct registers_plan registers;
        struct dpdk_plan dpdk;
        struct afxdp_plan afxdp;
        struct recording_plan recording;
    };
};

struct worker_plan {
    uint64_t magic;
    uint32_t version;
    uint32_t sources;
    char instance[RING_NAME_BYTES];
    char name[RING_NAME_BYTES];
    int64_t tai_minus_monotonic_ns;
    int32_t supervisor_pid;
    uint32_t dpdk_memory_mb;                /* of DPDK's own */
    struct thread_plan thread;              /* its only one, or the first of several */
    uint32_t threads;                       /* 0 and 1: one thread */
    int32_t thread_core[PLAN_THREADS_MAX];  /* of several: each one's; thread_core[0] is thread.core */
    uint32_t coalesce_us;                   /* of a thread that waits: what comes within this is taken together */
    char eal[PLAN_EAL_MAX][PLAN_EAL_BYTES]; /* further arguments of EAL; empty: none from here on */
    struct source_plan source[PLAN_SOURCES_MAX];
};

/* Of a plan with as many sources as it has: what is handed over. */
static inline size_t worker_plan_bytes(const struct worker_plan *plan)
{
    return offsetof(struct worker_plan, source) + plan->sources * sizeof(plan->source[0]);
}

static inline uint32_t plan_threads(const struct worker_plan *plan)
{
    return plan->threads > 1 ? plan->threads : 1;
}

#endif
