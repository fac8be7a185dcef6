#include "daq/config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/comedi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/table.h"
#include "daq/config_strict.h"
#include "daq/config_where.h"
#include "daq/recorder_plan.h"
#include "net/igmp.h"
#include "net/plan.h"
#include "ring/segment.h"

#define STRINGS_MAX 256

static const cyaml_strval_t pages_words[] = {{"normal", SEGMENT_NORMAL},
                                             {"huge", SEGMENT_HUGE},
                                             {"huge_or_normal", SEGMENT_HUGE_OR_NORMAL},
                                             {"huge_1g", SEGMENT_HUGE_1G},
                                             {"huge_1g_or_smaller", SEGMENT_HUGE_1G_OR_SMALLER}};
static const cyaml_strval_t policy_words[] = {{"other", POLICY_OTHER}, {"fifo", POLICY_FIFO}};
static const cyaml_strval_t idle_words[] = {{"busy", IDLE_BUSY}, {"duty", IDLE_DUTY}, {"wait", IDLE_WAIT}};
static const cyaml_strval_t on_miss_words[] = {{"alarm", ON_MISS_ALARM}, {"trip", ON_MISS_TRIP}};
static const cyaml_strval_t on_loss_words[] = {{"alarm", ON_LOSS_ALARM}, {"trip", ON_LOSS_TRIP}};
static const cyaml_strval_t waive_words[] = {
    {"pinned", GATE_PINNED},           {"locked", GATE_LOCKED},       {"pages", GATE_PAGES},
    {"unthrottled", GATE_UNTHROTTLED}, {"latency", GATE_LATENCY},     {"clock", GATE_CLOCK},
    {"config", GATE_CONFIG},           {"black_box", GATE_BLACK_BOX}, {"doctor", GATE_DOCTOR}};
static const cyaml_strval_t unknown_words[] = {{"vote", UNKNOWN_VOTES}, {"trip", UNKNOWN_TRIPS}};
static const cyaml_strval_t role_words[] = {
    {"protect", ROLE_PROTECT}, {"hold", ROLE_HOLD}, {"permit", ROLE_PERMIT}, {"alarm", ROLE_ALARM}};
static const cyaml_strval_t when_full_words[] = {{"wait", WHEN_FULL_WAIT}, {"drop", WHEN_FULL_DROP}};
static const cyaml_strval_t order_words[] = {{"little", RING_LITTLE_ENDIAN}, {"big", RING_BIG_ENDIAN}};
static const cyaml_strval_t checksum_words[] = {{"crc16_ccitt", CHECKSUM_CRC16_CCITT}, {"none", CHECKSUM_NONE}};
static const cyaml_strval_t source_words[] = {{"udp", SOURCE_UDP},
                                              {"serial", SOURCE_SERIAL},
                                              {"dpdk", SOURCE_DPDK},
                                              {"afxdp", SOURCE_AFXDP},
                                              {"tcp", SOURCE_TCP},
                                              {"tcp_listen", SOURCE_TCP_LISTEN},
                                              {"unix", SOURCE_UNIX},
                                              {"fifo", SOURCE_FIFO},
                                              {"exec", SOURCE_EXEC},
                                              {"file", SOURCE_FILE},
                                              {"can", SOURCE_CAN},
                                              {"hidraw", SOURCE_HIDRAW},
                                              {"sysfs", SOURCE_SYSFS},
                                              {"modbus_tcp", SOURCE_MODBUS_TCP},
                                              {"modbus_rtu", SOURCE_MODBUS_RTU},
                                              {"scpi", SOURCE_SCPI},
                                              {"registers", SOURCE_REGISTERS},
                                              {"iio", SOURCE_IIO},
                                              {"gpio_edges", SOURCE_GPIO_EDGES},
                                              {"gpio_levels", SOURCE_GPIO_LEVELS},
                                              {"i2c", SOURCE_I2C},
                                              {"spi", SOURCE_SPI},
                                              {"comedi", SOURCE_COMEDI},
                                              {"comedi_polled", SOURCE_COMEDI_POLLED},
                                              {"recording", SOURCE_RECORDING}};
static const cyaml_strval_t reference_words[] = {
    {"ground", AREF_GROUND}, {"common", AREF_COMMON}, {"diff", AREF_DIFF}, {"other", AREF_OTHER}};
static const cyaml_strval_t edges_words[] = {
    {"both", GPIO_EDGES_BOTH}, {"rising", GPIO_EDGES_RISING}, {"falling", GPIO_EDGES_FALLING}};
static const cyaml_strval_t bias_words[] = {{"as_is", GPIO_BIAS_AS_IS},
                                            {"pull_up", GPIO_BIAS_UP},
                                            {"pull_down", GPIO_BIAS_DOWN},
                                            {"disabled", GPIO_BIAS_OFF}};
static const cyaml_strval_t payload_words[] = {{"udp", PACKET_UDP}, {"ethernet", PACKET_ETHERNET}};
static const cyaml_strval_t steer_words[] = {{"auto", DPDK_STEER_AUTO},
                                             {"none", DPDK_STEER_NONE},
                                             {"rss_ip", DPDK_STEER_RSS_IP},
                                             {"rss_udp", DPDK_STEER_RSS_UDP},
                                             {"flow", DPDK_STEER_FLOW}};
static const cyaml_strval_t igmp_words[] = {{"none", IGMP_NONE}, {"v2", IGMP_V2}, {"v3", IGMP_V3}};
static const cyaml_strval_t stream_words[] = {
    {"vdif", FORMAT_VDIF}, {"vrt", FORMAT_VRT}, {"spead", FORMAT_SPEAD}, {"sluice", FORMAT_SLUICE}};
static const cyaml_strval_t format_words[] = {{"binary", FRAMING_FIXED},
                                              {"text", FRAMING_TEXT},
                                              {"delimited", FRAMING_DELIMITED},
                                              {"length", FRAMING_LENGTH},
                                              {"message", FRAMING_MESSAGE}};
static const cyaml_strval_t parity_words[] = {
    {"none", SERIAL_PARITY_NONE}, {"even", SERIAL_PARITY_EVEN}, {"odd", SERIAL_PARITY_ODD}};
static const cyaml_strval_t flow_words[] = {
    {"none", SERIAL_FLOW_NONE}, {"rts_cts", SERIAL_FLOW_RTS_CTS}, {"xon_xoff", SERIAL_FLOW_XON_XOFF}};
static const cyaml_strval_t direction_words[] = {{"none", SERIAL_DIRECTION_NONE},
                                                 {"rts_high", SERIAL_DIRECTION_RTS_HIGH},
                                                 {"rts_low", SERIAL_DIRECTION_RTS_LOW}};
static const cyaml_strval_t socket_words[] = {
    {"stream", SOCK_STREAM}, {"datagram", SOCK_DGRAM}, {"seqpacket", SOCK_SEQPACKET}};
static const cyaml_strval_t follow_words[] = {{"tail", FILE_TAIL}, {"replay", FILE_REPLAY}};
static const cyaml_strval_t table_words[] = {{"holding", MODBUS_TABLE_HOLDING},
                                             {"input", MODBUS_TABLE_INPUT},
                                             {"coil", MODBUS_TABLE_COIL},
                                             {"discrete", MODBUS_TABLE_DISCRETE}};
static const cyaml_strval_t wait_words[] = {{"poll", REGISTERS_WAIT_POLL}, {"interrupt", REGISTERS_WAIT_INTERRUPT}};
static const cyaml_strval_t missing_words[] = {{"wait", WHEN_MISSING_WAIT}, {"refuse", WHEN_MISSING_REFUSE}};
static const cyaml_strval_t stamp_words[] = {{"arrival", RING_STAMP_TAKEN},
                                             {"device", RING_STAMP_DEVICE},
                                             {"reconstructed", RING_STAMP_RECONSTRUCTED},
                                             {"asked", RING_STAMP_ASKED}};
static const cyaml_strval_t clock_words[] = {{"free", STAMP_CLOCK_FREE},
                                             {"tai", STAMP_CLOCK_TAI},
                                             {"utc", STAMP_CLOCK_UTC},
                                             {"monotonic", STAMP_CLOCK_MONOTONIC}};
static const cyaml_strval_t device_words[] = {{"udp", DEVICE_UDP},       {"unix", DEVICE_UNIX},
                                              {"file", DEVICE_FILE},     {"gpio", DEVICE_GPIO},
                                              {"memory", DEVICE_MEMORY}, {"modbus", DEVICE_MODBUS}};
static const cyaml_strval_t played_words[] = {{"moved", RECORDING_STAMPS_MOVED},
                                              {"original", RECORDING_STAMPS_ORIGINAL}};
static const cyaml_strval_t reading_words[] = {{"observer", 0}, {"gating", 1}};
static const cyaml_strval_t layout_words[] = {
    {"auto", RECORDER_AUTO}, {"packed", RECORDER_PACKED}, {"slots", RECORDER_SLOTS}};
static const cyaml_strval_t begins_words[] = {{"at_once", RECORDER_AT_ONCE},
                                              {"on_command", RECORDER_ON_COMMAND},
                                              {"on_trip", RECORDER_ON_TRIP},
                                              {"on_condition", RECORDER_ON_CONDITION}};
static const cyaml_strval_t on_full_words[] = {
    {"stop", RECORDER_STOPS}, {"drop_oldest", RECORDER_DROPS_OLDEST}, {"decimate", RECORDER_DECIMATES}};
static const cyaml_strval_t without_words[] = {{"accepted", 1}};
static const cyaml_strval_t type_words[] = {{"i8", RING_TYPE_I8},   {"u8", RING_TYPE_U8},   {"i16", RING_TYPE_I16},
                                            {"u16", RING_TYPE_U16}, {"i32", RING_TYPE_I32}, {"u32", RING_TYPE_U32},
                                            {"i64", RING_TYPE_I64}, {"u64", RING_TYPE_U64}, {"f32", RING_TYPE_F32},
                                            {"f64", RING_TYPE_F64}};

static const cyaml_strval_t thermocouple_words[] = {
    {"J", RING_THERMOCOUPLE_J}, {"K", RING_THERMOCOUPLE_K}, {"N", RING_THERMOCOUPLE_N}, {"T", RING_THERMOCOUPLE_T}};

const char *config_source_kind(uint32_t kind)
{
    for (size_t i = 0; i < CYAML_ARRAY_LEN(source_words); i++) {
        if (source_words[i].val == (int64_t)kind) {
            return source_words[i].str;
        }
    }
    return NULL;
}

#define OPTIONAL        (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define STRICT_OPTIONAL (OPTIONAL | CYAML_FLAG_STRICT)
#define WORD_OPTIONAL(key, s, member, words)                                                                       \
    CYAML_FIELD_ENUM_PTR(key, STRICT_OPTIONAL, s, member, words, CYAML_ARRAY_LEN(words))
#define WORD(key, s, member, words)                                                                                \
    CYAML_FIELD_ENUM(key, CYAML_FLAG_STRICT, s, member, words, CYAML_ARRAY_LEN(words))
#define TEXT(key, s, member)          CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, s, member, 1, STRINGS_MAX)
#define TEXT_OPTIONAL(key, s, member) CYAML_FIELD_STRING_PTR(key, OPTIONAL, s, member, 0, STRINGS_MAX)

static const cyaml_schema_field_t memory_fields[] = {
    WORD_OPTIONAL("pages", struct config_memory, pages, pages_words),
    CYAML_FIELD_BOOL_PTR("lock", OPTIONAL, struct config_memory, lock),
    CYAML_FIELD_INT_PTR("numa_node", OPTIONAL, struct config_memory, numa_node), CYAML_FIELD_END};

static const cyaml_schema_field_t watchdog_fields[] = {
    TEXT("device", struct config_watchdog, device),
    CYAML_FIELD_UINT_PTR("timeout_s", OPTIONAL, struct config_watchdog, timeout_s), CYAML_FIELD_END};

static const cyaml_schema_value_t waived = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, int, waive_words, CYAML_ARRAY_LEN(waive_words))};
static const cyaml_schema_field_t arming_fields[] = {
    CYAML_FIELD_SEQUENCE("waive", OPTIONAL, struct config_arming, waive, &waived, 0, CYAML_UNLIMITED),
    CYAML_FIELD_UINT_PTR("latency_s", OPTIONAL, struct config_arming, latency_s),
    WORD_OPTIONAL("on_loss", struct config_arming, on_loss, on_loss_words), CYAML_FIELD_END};

static const cyaml_schema_value_t a_name = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, STRINGS_MAX)};
static const cyaml_schema_field_t names_fields[] = {
    CYAML_FIELD_SEQUENCE("users", OPTIONAL, struct config_names, users, &a_name, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("groups", OPTIONAL, struct config_names, groups, &a_name, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END};

static const cyaml_schema_field_t authority_fields[] = {
    CYAML_FIELD_MAPPING_PTR("arm", OPTIONAL, struct config_authority, arm, names_fields),
    CYAML_FIELD_MAPPING_PTR("reset", OPTIONAL, struct config_authority, reset, names_fields),
    CYAML_FIELD_MAPPING_PTR("trip", OPTIONAL, struct config_authority, trip, names_fields),
    CYAML_FIELD_MAPPING_PTR("bypass", OPTIONAL, struct config_authority, bypass, names_fields),
    CYAML_FIELD_MAPPING_PTR("proof_test", OPTIONAL, struct config_authority, proof_test, names_fields),
    CYAML_FIELD_MAPPING_PTR("acknowledge", OPTIONAL, struct config_authority, acknowledge, names_fields),
    CYAML_FIELD_MAPPING_PTR("record", OPTIONAL, struct config_authority, record, names_fields),
    CYAML_FIELD_END};

static const cyaml_schema_field_t audit_fields[] = {TEXT_OPTIONAL("file", struct config_audit, file),
                                                    CYAML_FIELD_END};

static const cyaml_schema_field_t bypass_fields[] = {
    CYAML_FIELD_UINT_PTR("at_once_max", OPTIONAL, struct config_bypass, at_once_max), CYAML_FIELD_END};

static const cyaml_schema_field_t alarms_fields[] = {
    CYAML_FIELD_UINT_PTR("shelve_max_s", OPTIONAL, struct config_alarms, shelve_max_s), CYAML_FIELD_END};

static const cyaml_schema_field_t control_fields[] = {
    CYAML_FIELD_INT_PTR("core", OPTIONAL, struct config_control, core),
    WORD_OPTIONAL("policy", struct config_control, policy, policy_words),
    CYAML_FIELD_INT_PTR("priority", OPTIONAL, struct config_control, priority),
    WORD_OPTIONAL("idle", struct config_control, idle, idle_words),
    CYAML_FIELD_UINT_PTR("spin_us", OPTIONAL, struct config_control, spin_us),
    CYAML_FIELD_UINT_PTR("sleep_us", OPTIONAL, struct config_control, sleep_us),
    CYAML_FIELD_UINT_PTR("cycle_budget_us", OPTIONAL, struct config_control, cycle_budget_us),
    WORD_OPTIONAL("on_miss", struct config_control, on_miss, on_miss_words),
    CYAML_FIELD_UINT_PTR("supervisor_silence_ms", OPTIONAL, struct config_control, supervisor_silence_ms),
    CYAML_FIELD_UINT_PTR("stall_trip_ms", OPTIONAL, struct config_control, stall_trip_ms),
    CYAML_FIELD_UINT_PTR("refresh_us", OPTIONAL, struct config_control, refresh_us),
    CYAML_FIELD_UINT_PTR("acknowledge_us", OPTIONAL, struct config_control, acknowledge_us),
    CYAML_FIELD_UINT_PTR("output_fault_ms", OPTIONAL, struct config_control, output_fault_ms),
    CYAML_FIELD_UINT_PTR("late_us", OPTIONAL, struct config_control, late_us),
    CYAML_FIELD_UINT_PTR("silence_ms", OPTIONAL, struct config_control, silence_ms),
    CYAML_FIELD_UINT_PTR("heartbeat_us", OPTIONAL, struct config_control, heartbeat_us),
    CYAML_FIELD_MAPPING_PTR("watchdog", OPTIONAL, struct config_control, watchdog, watchdog_fields),
    CYAML_FIELD_END};

static const cyaml_schema_value_t a_core = {CYAML_VALUE_INT(CYAML_FLAG_DEFAULT, int)};

static const cyaml_schema_field_t worker_fields[] = {
    TEXT("name", struct config_worker, name),
    CYAML_FIELD_INT_PTR("core", OPTIONAL, struct config_worker, core),
    WORD_OPTIONAL("policy", struct config_worker, policy, policy_words),
    CYAML_FIELD_INT_PTR("priority", OPTIONAL, struct config_worker, priority),
    WORD_OPTIONAL("idle", struct config_worker, idle, idle_words),
    CYAML_FIELD_UINT_PTR("spin_us", OPTIONAL, struct config_worker, spin_us),
    CYAML_FIELD_UINT_PTR("sleep_us", OPTIONAL, struct config_worker, sleep_us),
    CYAML_FIELD_UINT_PTR("coalesce_us", OPTIONAL, struct config_worker, coalesce_us),
    CYAML_FIELD_SEQUENCE("cores", OPTIONAL, struct config_worker, cores, &a_core, 1, CYAML_UNLIMITED),
    CYAML_FIELD_UINT_PTR("dpdk_memory_mb", OPTIONAL, struct config_worker, dpdk_memory_mb),
    CYAML_FIELD_SEQUENCE("eal", OPTIONAL, struct config_worker, eal, &a_name, 1, PLAN_EAL_MAX),
    CYAML_FIELD_END};

static const cyaml_schema_field_t gating_fields[] = {
    CYAML_FIELD_UINT_PTR("readers_max", OPTIONAL, struct config_gating, readers_max),
    WORD_OPTIONAL("when_full", struct config_gating, when_full, when_full_words),
    CYAML_FIELD_UINT_PTR("deadline_ms", OPTIONAL, struct config_gating, deadline_ms),
    CYAML_FIELD_UINT_PTR("evict_ms", OPTIONAL, struct config_gating, evict_ms), CYAML_FIELD_END};

static const cyaml_schema_field_t ring_fields[] = {
    TEXT("name", struct config_ring, name),
    CYAML_FIELD_UINT_PTR("slots", OPTIONAL, struct config_ring, slots),
    CYAML_FIELD_UINT_PTR("slot_bytes", OPTIONAL, struct config_ring, slot_bytes),
    WORD_OPTIONAL("pages", struct config_ring, pages, pages_words),
    CYAML_FIELD_INT_PTR("numa_node", OPTIONAL, struct config_ring, numa_node),
    CYAML_FIELD_MAPPING_PTR("gating", OPTIONAL, struct config_ring, gating, gating_fields),
    CYAML_FIELD_END};

static const cyaml_schema_field_t sequence_fields[] = {
    CYAML_FIELD_UINT("at_byte", CYAML_FLAG_DEFAULT, struct config_sequence, at_byte),
    CYAML_FIELD_UINT("width_bytes", CYAML_FLAG_DEFAULT, struct config_sequence, width_bytes),
    WORD_OPTIONAL("byte_order", struct config_sequence, byte_order, order_words),
    CYAML_FIELD_UINT_PTR("step", OPTIONAL, struct config_sequence, step), CYAML_FIELD_END};

static const cyaml_schema_field_t length_fields[] = {
    CYAML_FIELD_UINT("at_byte", CYAML_FLAG_DEFAULT, struct config_length, at_byte),
    CYAML_FIELD_UINT("width_bytes", CYAML_FLAG_DEFAULT, struct config_length, width_bytes),
    WORD_OPTIONAL("byte_order", struct config_length, byte_order, order_words),
    CYAML_FIELD_INT_PTR("adds", OPTIONAL, struct config_length, adds), CYAML_FIELD_END};

#define CLOCK_FIELD(s)                                                                                             \
    CYAML_FIELD_UINT_PTR("at_byte", OPTIONAL, s, at.at_byte),                                                      \
        CYAML_FIELD_UINT_PTR("width_bytes", OPTIONAL, s, at.width_bytes),                                          \
        WORD_OPTIONAL("byte_order", s, at.byte_order, order_words),                                                \
        CYAML_FIELD_UINT_PTR("field", OPTIONAL, s, at.field),                                                      \
        CYAML_FIELD_FLOAT_PTR("unit_ns", OPTIONAL, s, at.unit_ns)

static const cyaml_schema_field_t rate_fields[] = {
    CYAML_FIELD_FLOAT_PTR("nominal_hz", OPTIONAL, struct config_rate, nominal_hz),
    CYAML_FIELD_FLOAT_PTR("tolerance_percent", OPTIONAL, struct config_rate, tolerance_percent),
    WORD_OPTIONAL("stamps", struct config_rate, stamps, stamp_words),
    WORD_OPTIONAL("clock", struct config_rate, clock, clock_words),
    CLOCK_FIELD(struct config_rate),
    CYAML_FIELD_UINT_PTR("lag_max_ms", OPTIONAL, struct config_rate, lag_max_ms),
    CYAML_FIELD_UINT_PTR("ahead_max_ms", OPTIONAL, struct config_rate, ahead_max_ms),
    CYAML_FIELD_END};

static const cyaml_schema_field_t timing_fields[] = {
    CLOCK_FIELD(struct config_timing),
    CYAML_FIELD_FLOAT_PTR("gap_max_s", OPTIONAL, struct config_timing, gap_max_s), CYAML_FIELD_END};

static const cyaml_schema_field_t scan_fields[] = {TEXT("name", struct config_scan, name),
                                                   TEXT("type", struct config_scan, type), CYAML_FIELD_END};
static const cyaml_schema_value_t scan_item = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_scan, scan_fields)};

static const cyaml_schema_field_t input_fields[] = {
    CYAML_FIELD_UINT("input", CYAML_FLAG_DEFAULT, struct config_input, input),
    CYAML_FIELD_UINT_PTR("range_index", OPTIONAL, struct config_input, range_index),
    WORD_OPTIONAL("reference", struct config_input, reference, reference_words), CYAML_FIELD_END};
static const cyaml_schema_value_t input_item = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_input, input_fields)};

static const cyaml_schema_field_t bus_read_fields[] = {
    TEXT_OPTIONAL("write", struct config_bus_read, write),
    CYAML_FIELD_UINT("read_bytes", CYAML_FLAG_DEFAULT, struct config_bus_read, read_bytes), CYAML_FIELD_END};
static const cyaml_schema_value_t bus_read = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_bus_read, bus_read_fields)};
static const cyaml_schema_value_t line_number = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};

static const cyaml_schema_value_t command_word = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, STRINGS_MAX)};
static const cyaml_schema_value_t count_of_numbers = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};
static const cyaml_schema_value_t can_id = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};

static const cyaml_schema_field_t checksum_fields[] = {
    WORD("kind", struct config_checksum, kind, checksum_words),
    CYAML_FIELD_UINT("from_byte", CYAML_FLAG_OPTIONAL, struct config_checksum, from_byte),
    CYAML_FIELD_UINT("at_byte", CYAML_FLAG_OPTIONAL, struct config_checksum, at_byte), CYAML_FIELD_END};

static const cyaml_schema_field_t read_fields[] = {
    WORD("table", struct config_modbus_read, table, table_words),
    CYAML_FIELD_UINT("at", CYAML_FLAG_DEFAULT, struct config_modbus_read, at),
    CYAML_FIELD_UINT("count", CYAML_FLAG_DEFAULT, struct config_modbus_read, count), CYAML_FIELD_END};
static const cyaml_schema_value_t modbus_read = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_modbus_read, read_fields)};

static const cyaml_schema_field_t status_fields[] = {
    CYAML_FIELD_UINT("at_byte", CYAML_FLAG_DEFAULT, struct config_status, at_byte),
    CYAML_FIELD_UINT_PTR("width_bytes", OPTIONAL, struct config_status, width_bytes),
    WORD_OPTIONAL("byte_order", struct config_status, byte_order, order_words),
    CYAML_FIELD_UINT("ready_mask", CYAML_FLAG_DEFAULT, struct config_status, ready_mask), CYAML_FIELD_END};

static const cyaml_schema_field_t window_fields[] = {
    CYAML_FIELD_UINT("at_byte", CYAML_FLAG_DEFAULT, struct config_window, at_byte),
    CYAML_FIELD_UINT("count_bytes", CYAML_FLAG_DEFAULT, struct config_window, count_bytes),
    CYAML_FIELD_UINT_PTR("width_bytes", OPTIONAL, struct config_window, width_bytes), CYAML_FIELD_END};

static const cyaml_schema_field_t written_fields[] = {
    CYAML_FIELD_UINT("at_byte", CYAML_FLAG_DEFAULT, struct config_written, at_byte),
    CYAML_FIELD_UINT_PTR("width_bytes", OPTIONAL, struct config_written, width_bytes),
    WORD_OPTIONAL("byte_order", struct config_written, byte_order, order_words),
    CYAML_FIELD_UINT("value", CYAML_FLAG_DEFAULT, struct config_written, value), CYAML_FIELD_END};

static const cyaml_schema_field_t acknowledge_fields[] = {
    CYAML_FIELD_UINT("at_byte", CYAML_FLAG_DEFAULT, struct config_acknowledge, written.at_byte),
    CYAML_FIELD_UINT_PTR("width_bytes", OPTIONAL, struct config_acknowledge, written.width_bytes),
    WORD_OPTIONAL("byte_order", struct config_acknowledge, written.byte_order, order_words),
    CYAML_FIELD_UINT("value", CYAML_FLAG_DEFAULT, struct config_acknowledge, written.value),
    CYAML_FIELD_BOOL_PTR("clears", OPTIONAL, struct config_acknowledge, clears),
    CYAML_FIELD_END};

static const cyaml_schema_value_t number = {CYAML_VALUE_FLOAT(CYAML_FLAG_DEFAULT, double)};

static const cyaml_schema_field_t packet_fields[] = {
    WORD_OPTIONAL("payload", struct config_packet, payload, payload_words),
    TEXT_OPTIONAL("to", struct config_packet, to),
    TEXT_OPTIONAL("from", struct config_packet, from),
    TEXT_OPTIONAL("mac", struct config_packet, mac),
    CYAML_FIELD_UINT_PTR("vlan", OPTIONAL, struct config_packet, vlan),
    CYAML_FIELD_UINT_PTR("ethertype", OPTIONAL, struct config_packet, ethertype),
    CYAML_FIELD_END};

static const cyaml_schema_field_t igmp_fields[] = {
    WORD_OPTIONAL("version", struct config_igmp, version, igmp_words),
    TEXT_OPTIONAL("address", struct config_igmp, address), CYAML_FIELD_END};

static const cyaml_schema_value_t thread_id = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};

static const cyaml_schema_field_t stream_fields[] = {
    WORD("format", struct config_stream, format, stream_words),
    CYAML_FIELD_UINT_PTR("at_byte", OPTIONAL, struct config_stream, at_byte),
    CYAML_FIELD_UINT_PTR("frames_per_second", OPTIONAL, struct config_stream, frames_per_second),
    CYAML_FIELD_SEQUENCE("threads", OPTIONAL, struct config_stream, threads, &thread_id, 1, FORMAT_THREADS_MAX),
    CYAML_FIELD_UINT_PTR("heap_bytes", OPTIONAL, struct config_stream, heap_bytes),
    CYAML_FIELD_UINT_PTR("packet_bytes", OPTIONAL, struct config_stream, packet_bytes),
    CYAML_FIELD_UINT_PTR("id", OPTIONAL, struct config_stream, id),
    CYAML_FIELD_END};

static const cyaml_schema_value_t point = {
    CYAML_VALUE_SEQUENCE_FIXED(CYAML_FLAG_DEFAULT, double, &number, 2)}; /* the size is an entry's */
static const cyaml_schema_field_t logarithmic_fields[] = {
    CYAML_FIELD_FLOAT("slope", CYAML_FLAG_DEFAULT, struct config_logarithmic, slope),
    CYAML_FIELD_FLOAT("intercept", CYAML_FLAG_DEFAULT, struct config_logarithmic, intercept), CYAML_FIELD_END};
static const cyaml_schema_field_t calibration_fields[] = {
    CYAML_FIELD_SEQUENCE("polynomial", OPTIONAL, struct config_calibration, polynomial, &number, 1,
                         RING_POLYNOMIAL_MAX),
    CYAML_FIELD_SEQUENCE("points", OPTIONAL, struct config_calibration, points, &point, 2, RING_NUMBERS_MAX / 2),
    WORD_OPTIONAL("thermocouple", struct config_calibration, thermocouple, thermocouple_words),
    CYAML_FIELD_FLOAT_PTR("reference_c", OPTIONAL, struct config_calibration, reference_c),
    TEXT_OPTIONAL("reference_channel", struct config_calibration, reference_channel),
    CYAML_FIELD_MAPPING_PTR("logarithmic", OPTIONAL, struct config_calibration, logarithmic, logarithmic_fields),
    CYAML_FIELD_END};

static const cyaml_schema_field_t channel_fields[] = {
    TEXT("name", struct config_channel, name),
    CYAML_FIELD_UINT_PTR("at_byte", OPTIONAL, struct config_channel, at_byte),
    CYAML_FIELD_UINT_PTR("field", OPTIONAL, struct config_channel, field),
    TEXT_OPTIONAL("scan", struct config_channel, scan),
    WORD_OPTIONAL("type", struct config_channel, type, type_words),
    WORD_OPTIONAL("byte_order", struct config_channel, byte_order, order_words),
    CYAML_FIELD_FLOAT_PTR("scale", OPTIONAL, struct config_channel, scale),
    CYAML_FIELD_FLOAT_PTR("offset", OPTIONAL, struct config_channel, offset),
    CYAML_FIELD_MAPPING_PTR("calibration", OPTIONAL, struct config_channel, calibration, calibration_fields),
    TEXT("unit", struct config_channel, unit),
    CYAML_FIELD_SEQUENCE("range", CYAML_FLAG_POINTER, struct config_channel, range, &number, 2, 2),
    CYAML_FIELD_UINT_PTR("stale_ms", OPTIONAL, struct config_channel, stale_ms),
    CYAML_FIELD_END};
static const cyaml_schema_value_t channel = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_channel, channel_fields)};

static const cyaml_schema_field_t source_fields[] = {
    TEXT("name", struct config_source, name),
    WORD("kind", struct config_source, kind, source_words),
    TEXT_OPTIONAL("worker", struct config_source, worker),
    TEXT("ring", struct config_source, ring),
    CYAML_FIELD_UINT_PTR("frame_bytes", OPTIONAL, struct config_source, frame_bytes),
    TEXT_OPTIONAL("listen", struct config_source, listen),
    TEXT_OPTIONAL("group", struct config_source, group),
    TEXT_OPTIONAL("interface", struct config_source, interface),
    TEXT_OPTIONAL("from", struct config_source, from),
    CYAML_FIELD_UINT_PTR("receive_buffer_kb", OPTIONAL, struct config_source, receive_buffer_kb),
    CYAML_FIELD_BOOL_PTR("gro", OPTIONAL, struct config_source, gro),
    TEXT_OPTIONAL("port", struct config_source, port),
    CYAML_FIELD_UINT_PTR("queue", OPTIONAL, struct config_source, queue),
    CYAML_FIELD_INT_PTR("core", OPTIONAL, struct config_source, core),
    CYAML_FIELD_UINT_PTR("descriptors", OPTIONAL, struct config_source, descriptors),
    WORD_OPTIONAL("steer", struct config_source, steer, steer_words),
    CYAML_FIELD_MAPPING_PTR("igmp", OPTIONAL, struct config_source, igmp, igmp_fields),
    CYAML_FIELD_MAPPING_PTR("packet", OPTIONAL, struct config_source, packet, packet_fields),
    CYAML_FIELD_MAPPING_PTR("stream", OPTIONAL, struct config_source, stream, stream_fields),
    TEXT_OPTIONAL("device", struct config_source, device),
    CYAML_FIELD_UINT_PTR("baud", OPTIONAL, struct config_source, baud),
    CYAML_FIELD_UINT_PTR("data_bits", OPTIONAL, struct config_source, data_bits),
    CYAML_FIELD_UINT_PTR("stop_bits", OPTIONAL, struct config_source, stop_bits),
    WORD_OPTIONAL("parity", struct config_source, parity, parity_words),
    WORD_OPTIONAL("flow", struct config_source, flow, flow_words),
    WORD_OPTIONAL("direction", struct config_source, direction, direction_words),
    TEXT_OPTIONAL("connect", struct config_source, connect),
    TEXT_OPTIONAL("path", struct config_source, path),
    WORD_OPTIONAL("socket", struct config_source, socket, socket_words),
    CYAML_FIELD_SEQUENCE("command", OPTIONAL, struct config_source, command, &command_word, 1, CYAML_UNLIMITED),
    WORD_OPTIONAL("follow", struct config_source, follow, follow_words),
    CYAML_FIELD_BOOL_PTR("from_begin", OPTIONAL, struct config_source, from_begin),
    CYAML_FIELD_FLOAT_PTR("frames_hz", OPTIONAL, struct config_source, frames_hz),
    CYAML_FIELD_MAPPING_PTR("timing", OPTIONAL, struct config_source, timing, timing_fields),
    CYAML_FIELD_FLOAT_PTR("speed", OPTIONAL, struct config_source, speed),
    CYAML_FIELD_SEQUENCE("paths", OPTIONAL, struct config_source, paths, &command_word, 1, CYAML_UNLIMITED),
    TEXT_OPTIONAL("recorded_ring", struct config_source, recorded_ring),
    CYAML_FIELD_FLOAT_PTR("from_s", OPTIONAL, struct config_source, from_s),
    CYAML_FIELD_FLOAT_PTR("to_s", OPTIONAL, struct config_source, to_s),
    CYAML_FIELD_BOOL_PTR("loop", OPTIONAL, struct config_source, loop),
    CYAML_FIELD_UINT_PTR("wait_readers", OPTIONAL, struct config_source, wait_readers),
    WORD_OPTIONAL("played_stamps", struct config_source, played_stamps, played_words),
    CYAML_FIELD_SEQUENCE("ids", OPTIONAL, struct config_source, ids, &can_id, 1, PLAN_CAN_IDS_MAX),
    CYAML_FIELD_BOOL_PTR("fd", OPTIONAL, struct config_source, fd),
    TEXT_OPTIONAL("trigger", struct config_source, trigger),
    CYAML_FIELD_FLOAT_PTR("rate_hz", OPTIONAL, struct config_source, rate_hz),
    CYAML_FIELD_UINT_PTR("buffer_length", OPTIONAL, struct config_source, buffer_length),
    CYAML_FIELD_SEQUENCE("scan", OPTIONAL, struct config_source, scan, &scan_item, 1, PLAN_SCANS_MAX),
    CYAML_FIELD_UINT_PTR("subdevice", OPTIONAL, struct config_source, subdevice),
    CYAML_FIELD_SEQUENCE("inputs", OPTIONAL, struct config_source, inputs, &input_item, 1, PLAN_INPUTS_MAX),
    CYAML_FIELD_UINT_PTR("sample_bits", OPTIONAL, struct config_source, sample_bits),
    CYAML_FIELD_FLOAT_PTR("scan_hz", OPTIONAL, struct config_source, scan_hz),
    CYAML_FIELD_SEQUENCE("lines", OPTIONAL, struct config_source, lines, &line_number, 1, PLAN_LINES_MAX),
    WORD_OPTIONAL("edges", struct config_source, edges, edges_words),
    WORD_OPTIONAL("bias", struct config_source, bias, bias_words),
    CYAML_FIELD_BOOL_PTR("active_low", OPTIONAL, struct config_source, active_low),
    CYAML_FIELD_UINT_PTR("debounce_us", OPTIONAL, struct config_source, debounce_us),
    CYAML_FIELD_UINT_PTR("bus_address", OPTIONAL, struct config_source, bus_address),
    CYAML_FIELD_UINT_PTR("mode", OPTIONAL, struct config_source, mode),
    CYAML_FIELD_UINT_PTR("speed_hz", OPTIONAL, struct config_source, speed_hz),
    CYAML_FIELD_UINT_PTR("bits_per_word", OPTIONAL, struct config_source, bits_per_word),
    CYAML_FIELD_SEQUENCE("reads", OPTIONAL, struct config_source, reads, &bus_read, 1, PLAN_READS_MAX),
    CYAML_FIELD_SEQUENCE("attributes", OPTIONAL, struct config_source, attributes, &command_word, 1,
                         CYAML_UNLIMITED),
    CYAML_FIELD_UINT_PTR("unit_id", OPTIONAL, struct config_source, unit_id),
    CYAML_FIELD_SEQUENCE("registers", OPTIONAL, struct config_source, registers, &modbus_read, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("queries", OPTIONAL, struct config_source, queries, &command_word, 1, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("numbers", OPTIONAL, struct config_source, numbers, &count_of_numbers, 1, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("setup", OPTIONAL, struct config_source, setup, &command_word, 1, CYAML_UNLIMITED),
    CYAML_FIELD_BOOL_PTR("check_errors", OPTIONAL, struct config_source, check_errors),
    CYAML_FIELD_UINT_PTR("window_bytes", OPTIONAL, struct config_source, window_bytes),
    CYAML_FIELD_UINT_PTR("offset_bytes", OPTIONAL, struct config_source, offset_bytes),
    WORD_OPTIONAL("wait", struct config_source, wait, wait_words),
    CYAML_FIELD_MAPPING_PTR("status", OPTIONAL, struct config_source, status, status_fields),
    CYAML_FIELD_MAPPING_PTR("data", OPTIONAL, struct config_source, data, window_fields),
    CYAML_FIELD_MAPPING_PTR("acknowledge", OPTIONAL, struct config_source, acknowledge, acknowledge_fields),
    CYAML_FIELD_MAPPING_PTR("interrupt_mask", OPTIONAL, struct config_source, interrupt_mask, written_fields),
    CYAML_FIELD_FLOAT_PTR("period_ms", OPTIONAL, struct config_source, period_ms),
    CYAML_FIELD_FLOAT_PTR("timeout_ms", OPTIONAL, struct config_source, timeout_ms),
    WORD_OPTIONAL("missing", struct config_source, missing, missing_words),
    WORD_OPTIONAL("format", struct config_source, format, format_words),
    TEXT_OPTIONAL("sync", struct config_source, sync),
    CYAML_FIELD_UINT_PTR("fields", OPTIONAL, struct config_source, fields),
    TEXT_OPTIONAL("pattern", struct config_source, pattern),
    TEXT_OPTIONAL("delimiter", struct config_source, delimiter),
    CYAML_FIELD_MAPPING_PTR("length", OPTIONAL, struct config_source, length, length_fields),
    CYAML_FIELD_MAPPING_PTR("sequence", OPTIONAL, struct config_source, sequence, sequence_fields),
    CYAML_FIELD_MAPPING_PTR("checksum", OPTIONAL, struct config_source, checksum, checksum_fields),
    CYAML_FIELD_MAPPING_PTR("rate", OPTIONAL, struct config_source, rate, rate_fields),
    CYAML_FIELD_SEQUENCE("channels", OPTIONAL, struct config_source, channels, &channel, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END};

static const cyaml_schema_value_t rule_name = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, STRINGS_MAX)};

static const cyaml_schema_field_t rule_fields[] = {
    TEXT("name", struct config_rule, name),
    TEXT_OPTIONAL("channel", struct config_rule, channel),
    CYAML_FIELD_FLOAT_PTR("high", OPTIONAL, struct config_rule, high),
    CYAML_FIELD_FLOAT_PTR("low", OPTIONAL, struct config_rule, low),
    TEXT_OPTIONAL("deviates_from", struct config_rule, deviates_from),
    CYAML_FIELD_FLOAT_PTR("by", OPTIONAL, struct config_rule, by),
    CYAML_FIELD_FLOAT_PTR("rate_high", OPTIONAL, struct config_rule, rate_high),
    CYAML_FIELD_FLOAT_PTR("rate_low", OPTIONAL, struct config_rule, rate_low),
    CYAML_FIELD_FLOAT_PTR("window_ms", OPTIONAL, struct config_rule, window_ms),
    CYAML_FIELD_UINT_PTR("bits_set", OPTIONAL, struct config_rule, bits_set),
    CYAML_FIELD_UINT_PTR("bits_clear", OPTIONAL, struct config_rule, bits_clear),
    CYAML_FIELD_FLOAT_PTR("stuck_ms", OPTIONAL, struct config_rule, stuck_ms),
    CYAML_FIELD_FLOAT_PTR("band", OPTIONAL, struct config_rule, band),
    CYAML_FIELD_FLOAT_PTR("heartbeat_ms", OPTIONAL, struct config_rule, heartbeat_ms),
    CYAML_FIELD_UINT_PTR("vote", OPTIONAL, struct config_rule, vote),
    CYAML_FIELD_SEQUENCE("of", OPTIONAL, struct config_rule, of, &rule_name, 1, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("any", OPTIONAL, struct config_rule, any, &rule_name, 1, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("all", OPTIONAL, struct config_rule, all, &rule_name, 1, CYAML_UNLIMITED),
    TEXT_OPTIONAL("not", struct config_rule, not ),
    WORD_OPTIONAL("unknown", struct config_rule, unknown, unknown_words),
    TEXT_OPTIONAL("unit", struct config_rule, unit),
    CYAML_FIELD_FLOAT_PTR("hysteresis", OPTIONAL, struct config_rule, hysteresis),
    CYAML_FIELD_UINT_PTR("on_delay_samples", OPTIONAL, struct config_rule, on_delay_samples),
    CYAML_FIELD_FLOAT_PTR("on_delay_ms", OPTIONAL, struct config_rule, on_delay_ms),
    CYAML_FIELD_UINT_PTR("off_delay_samples", OPTIONAL, struct config_rule, off_delay_samples),
    CYAML_FIELD_FLOAT_PTR("off_delay_ms", OPTIONAL, struct config_rule, off_delay_ms),
    WORD_OPTIONAL("role", struct config_rule, role, role_words),
    CYAML_FIELD_SEQUENCE("outputs", OPTIONAL, struct config_rule, outputs, &rule_name, 1, CYAML_UNLIMITED),
    CYAML_FIELD_BOOL_PTR("shadow", OPTIONAL, struct config_rule, shadow),
    CYAML_FIELD_UINT_PTR("severity", OPTIONAL, struct config_rule, severity),
    CYAML_FIELD_UINT_PTR("bypass_max_s", OPTIONAL, struct config_rule, bypass_max_s),
    CYAML_FIELD_FLOAT_PTR("process_safety_time_ms", OPTIONAL, struct config_rule, process_safety_time_ms),
    CYAML_FIELD_FLOAT_PTR("pre_alarm_high", OPTIONAL, struct config_rule, pre_alarm_high),
    CYAML_FIELD_FLOAT_PTR("pre_alarm_low", OPTIONAL, struct config_rule, pre_alarm_low),
    CYAML_FIELD_UINT_PTR("delay_samples", OPTIONAL, struct config_rule, delay_samples),
    CYAML_FIELD_FLOAT_PTR("delay_ms", OPTIONAL, struct config_rule, delay_ms),
    CYAML_FIELD_END};

static const cyaml_schema_field_t register_fields[] = {
    CYAML_FIELD_UINT_PTR("at_byte", OPTIONAL, struct config_register, at_byte),
    CYAML_FIELD_UINT_PTR("width_bytes", OPTIONAL, struct config_register, width_bytes),
    WORD_OPTIONAL("byte_order", struct config_register, byte_order, order_words), CYAML_FIELD_END};

static const cyaml_schema_field_t feedback_fields[] = {
    TEXT("channel", struct config_feedback, channel),
    CYAML_FIELD_UINT_PTR("energised_bits", OPTIONAL, struct config_feedback, energised_bits),
    CYAML_FIELD_UINT_PTR("safe_bits", OPTIONAL, struct config_feedback, safe_bits),
    CYAML_FIELD_FLOAT_PTR("energised_at", OPTIONAL, struct config_feedback, energised_at),
    CYAML_FIELD_FLOAT_PTR("safe_at", OPTIONAL, struct config_feedback, safe_at),
    CYAML_FIELD_UINT_PTR("time_ms", CYAML_FLAG_POINTER, struct config_feedback, time_ms),
    CYAML_FIELD_END};

static const cyaml_schema_field_t output_fields[] = {
    TEXT("name", struct config_output, name),
    WORD("kind", struct config_output, kind, device_words),
    TEXT("target", struct config_output, target),
    CYAML_FIELD_UINT_PTR("line", OPTIONAL, struct config_output, line),
    TEXT_OPTIONAL("acknowledge", struct config_output, acknowledge),
    CYAML_FIELD_MAPPING_PTR("register", OPTIONAL, struct config_output, memory_register, register_fields),
    CYAML_FIELD_UINT_PTR("unit_id", OPTIONAL, struct config_output, unit_id),
    CYAML_FIELD_BOOL_PTR("heartbeat", OPTIONAL, struct config_output, heartbeat),
    WORD_OPTIONAL("without_heartbeat", struct config_output, without_heartbeat, without_words),
    CYAML_FIELD_MAPPING_PTR("feedback", OPTIONAL, struct config_output, feedback, feedback_fields),
    CYAML_FIELD_END};

static const cyaml_schema_field_t black_box_fields[] = {
    TEXT_OPTIONAL("directory", struct config_black_box, directory),
    CYAML_FIELD_UINT_PTR("pre_ms", OPTIONAL, struct config_black_box, pre_ms),
    CYAML_FIELD_UINT_PTR("post_ms", OPTIONAL, struct config_black_box, post_ms),
    CYAML_FIELD_UINT_PTR("keep", OPTIONAL, struct config_black_box, keep),
    CYAML_FIELD_UINT_PTR("room_mb", OPTIONAL, struct config_black_box, room_mb),
    CYAML_FIELD_END};

static const cyaml_schema_field_t observer_fields[] = {
    CYAML_FIELD_BOOL_PTR("watch", OPTIONAL, struct config_observer, watch),
    CYAML_FIELD_UINT_PTR("threshold_us", OPTIONAL, struct config_observer, threshold_us), CYAML_FIELD_END};

static const cyaml_schema_field_t condition_fields[] = {
    TEXT("channel", struct config_condition, channel),
    CYAML_FIELD_FLOAT_PTR("above", OPTIONAL, struct config_condition, above),
    CYAML_FIELD_FLOAT_PTR("below", OPTIONAL, struct config_condition, below), CYAML_FIELD_END};

static const cyaml_schema_field_t recorder_fields[] = {
    TEXT("name", struct config_recorder, name),
    CYAML_FIELD_SEQUENCE("only_rings", OPTIONAL, struct config_recorder, only_rings, &a_name, 1, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("directories", OPTIONAL, struct config_recorder, directories, &a_name, 1, CYAML_UNLIMITED),
    WORD_OPTIONAL("reading", struct config_recorder, reading, reading_words),
    WORD_OPTIONAL("layout", struct config_recorder, layout, layout_words),
    WORD_OPTIONAL("begins", struct config_recorder, begins, begins_words),
    CYAML_FIELD_MAPPING_PTR("condition", OPTIONAL, struct config_recorder, condition, condition_fields),
    WORD_OPTIONAL("on_full", struct config_recorder, on_full, on_full_words),
    CYAML_FIELD_UINT_PTR("block_kb", OPTIONAL, struct config_recorder, block_kb),
    CYAML_FIELD_UINT_PTR("sync_ms", OPTIONAL, struct config_recorder, sync_ms),
    CYAML_FIELD_UINT_PTR("sync_mb", OPTIONAL, struct config_recorder, sync_mb),
    CYAML_FIELD_UINT_PTR("pre_s", OPTIONAL, struct config_recorder, pre_s),
    CYAML_FIELD_UINT_PTR("post_s", OPTIONAL, struct config_recorder, post_s),
    CYAML_FIELD_UINT_PTR("rotate_mb", OPTIONAL, struct config_recorder, rotate_mb),
    CYAML_FIELD_UINT_PTR("rotate_s", OPTIONAL, struct config_recorder, rotate_s),
    CYAML_FIELD_UINT_PTR("keep_runs", OPTIONAL, struct config_recorder, keep_runs),
    CYAML_FIELD_UINT_PTR("keep_mb", OPTIONAL, struct config_recorder, keep_mb),
    CYAML_FIELD_UINT_PTR("room_mb", OPTIONAL, struct config_recorder, room_mb),
    CYAML_FIELD_UINT_PTR("decimate", OPTIONAL, struct config_recorder, decimate),
    TEXT_OPTIONAL("operator", struct config_recorder, operator_name),
    TEXT_OPTIONAL("test_id", struct config_recorder, test_id),
    TEXT_OPTIONAL("note", struct config_recorder, note),
    CYAML_FIELD_END};

#define ITEM(name, type, fields)                                                                                   \
    static const cyaml_schema_value_t name = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, type, fields)}
ITEM(worker_item, struct config_worker, worker_fields);
ITEM(ring_item, struct config_ring, ring_fields);
ITEM(source_item, struct config_source, source_fields);
ITEM(rule_item, struct config_rule, rule_fields);
ITEM(output_item, struct config_output, output_fields);
ITEM(recorder_item, struct config_recorder, recorder_fields);

static const cyaml_schema_field_t top_fields[] = {
    TEXT("instance", struct config, instance),
    CYAML_FIELD_BOOL_PTR("seal", OPTIONAL, struct config, seal),
    CYAML_FIELD_UINT_PTR("readers_max", OPTIONAL, struct config, readers_max),
    CYAML_FIELD_MAPPING_PTR("arming", OPTIONAL, struct config, arming, arming_fields),
    CYAML_FIELD_MAPPING_PTR("authority", OPTIONAL, struct config, authority, authority_fields),
    CYAML_FIELD_MAPPING_PTR("audit", OPTIONAL, struct config, audit, audit_fields),
    CYAML_FIELD_MAPPING_PTR("bypass", OPTIONAL, struct config, bypass, bypass_fields),
    CYAML_FIELD_MAPPING_PTR("alarms", OPTIONAL, struct config, alarms, alarms_fields),
    CYAML_FIELD_MAPPING_PTR("memory", OPTIONAL, struct config, memory, memory_fields),
    CYAML_FIELD_MAPPING_PTR("control", OPTIONAL, struct config, control, control_fields),
    CYAML_FIELD_SEQUENCE("workers", OPTIONAL, struct config, workers, &worker_item, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("rings", CYAML_FLAG_POINTER, struct config, rings, &ring_item, 1, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("sources", CYAML_FLAG_POINTER, struct config, sources, &source_item, 1, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("conditions", OPTIONAL, struct config, conditions, &rule_item, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("rules", OPTIONAL, struct config, rules, &rule_item, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("outputs", OPTIONAL, struct config, outputs, &output_item, 0, CYAML_UNLIMITED),
    CYAML_FIELD_MAPPING_PTR("black_box", OPTIONAL, struct config, black_box, black_box_fields),
    CYAML_FIELD_MAPPING_PTR("observer", OPTIONAL, struct config, observer, observer_fields),
    CYAML_FIELD_SEQUENCE("recorders", OPTIONAL, struct config, recorders, &recorder_item, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END};
static const cyaml_schema_value_t top = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, top_fields)};

static const cyaml_schema_field_t *const tables[] = {
    arming_fields,      names_fields,    authority_fields, audit_fields,     bypass_fields,      alarms_fields,
    top_fields,         memory_fields,   control_fields,   worker_fields,    ring_fields,        source_fields,
    gating_fields,      sequence_fields, checksum_fields,  channel_fields,   rule_fields,        output_fields,
    watchdog_fields,    register_fields, feedback_fields,  black_box_fields, packet_fields,      stream_fields,
    length_fields,      read_fields,     status_fields,    window_fields,    acknowledge_fields, calibration_fields,
    logarithmic_fields, rate_fields,     timing_fields,    observer_fields,  recorder_fields,    condition_fields};

/* libcyaml tells what is wrong in one log line and where in those that follow: "in mapping field 'x' (line: 3,
 * column: 5)". The first of each is kept. */
struct complaint {
    char what[512];
    char where[256];
    unsigned line;
    unsigned column;
};

/* "(line: 3, column: 5)": the numbers, or 0. */
static unsigned number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at != NULL ? (unsigned)strtoul(at + strlen(key), NULL, 10) : 0;
}

__attribute__((format(printf, 3, 0))) static void keep_complaint(cyaml_log_t level, void *context,
                                                                 const char *format, va_list args)
{
    struct complaint *c = context;
    char text[512];
    if (level < CYAML_LOG_ERROR) {
        return;
    }
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = 0;
    const char *place = strstr(text, " (line: ");
    if (place == NULL) {
        if (c->what[0] == 0) {
            snprintf(c->what, sizeof(c->what), "%s", strncmp(text, "Load: ", 6) == 0 ? text + 6 : text);
        }
    } else if (c->line == 0) {
        const char *from = text + strspn(text, "Load: ");
        c->line = number_after(place, "(line: ");
        c->column = number_after(place, "column: ");
        snprintf(c->where, sizeof(c->where), "%.*s", (int)(place - from), from);
    }
}

static void add_error(struct config_errors *errors, const char *text)
{
    size_t used = strlen(errors->text);
    errors->count++;
    snprintf(errors->text + used, sizeof(errors->text) - used, "%s\n", text);
}

__attribute__((format(printf, 6, 0))) static void complain_v(const struct config_file *file,
                                                             struct config_errors *errors, const char *where,
                                                             unsigned line, unsigned column, const char *format,
                                                             va_list args)
{
    char what[512];
    char text[1024];
    vsnprintf(what, sizeof(what), format, args);
    snprintf(text, sizeof(text), "%s:%u:%u: %s%s%s", file->path, line, column, where, where[0] != 0 ? ": " : "",
             what);
    add_error(errors, text);
}

void config_complain(const struct config_file *file, struct config_errors *errors, const char *where,
                     const char *format, ...)
{
    unsigned line = 1;
    unsigned column = 1;
    va_list args;
    config_where(file->document, where, &line, &column);
    va_start(args, format);
    complain_v(file, errors, where, line, column, format, args);
    va_end(args);
}

void config_complain_at(const struct config_file *file, struct config_errors *errors, unsigned line,
                        unsigned column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain_v(file, errors, "", line, column, format, args);
    va_end(args);
}

static int read_file(const char *path, char **text, size_t *bytes, struct config_errors *errors)
{
    char message[512];
    struct stat st;
    int code = 0;
    char *p = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        code = -errno;
        snprintf(message, sizeof(message), "%s: cannot open: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > CONFIG_BYTES_MAX) {
        code = -EINVAL;
        snprintf(message, sizeof(message), "%s: expected a YAML file of 1 to %u bytes, found %s of %lld", path,
                 CONFIG_BYTES_MAX, S_ISREG(st.st_mode) ? "one" : "something else", (long long)st.st_size);
    } else {
        p = malloc((size_t)st.st_size);
        ssize_t n = p != NULL ? read(fd, p, (size_t)st.st_size) : -1;
        if (n != st.st_size) {
            code = -EIO;
            snprintf(message, sizeof(message), "%s: cannot read all of it: %s", path, strerror(errno));
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    if (code != 0) {
        free(p);
        add_error(errors, message);
        return code;
    }
    *text = p;
    *bytes = (size_t)st.st_size;
    return 0;
}

static cyaml_config_t cyaml_settings(struct complaint *complaint)
{
    return (cyaml_config_t){.log_fn = keep_complaint,
                            .log_ctx = complaint,
                            .log_level = CYAML_LOG_ERROR,
                            .mem_fn = cyaml_mem,
                            .flags = CYAML_CFG_NO_ALIAS};
}

/* For a key that it does not know libcyaml tells the place of the value before it. */
static void place_unknown_key(struct complaint *complaint, const char *text, size_t bytes)
{
    static const char said[] = "Unexpected key: ";
    bool more;
    if (strncmp(complaint->what, said, sizeof(said) - 1) != 0) {
        return;
    }
    void *document = config_where_load(text, bytes, &more);
    if (document != NULL) {
        config_where_key(document, complaint->what + sizeof(said) - 1, &complaint->line, &complaint->column);
        config_where_free(document);
    }
}

int config_load(struct config_file *file, const char *path, struct config_errors *errors)
{
    struct complaint complaint = {{0}, {0}, 0, 0};
    cyaml_config_t settings = cyaml_settings(&complaint);
    char *text = NULL;
    size_t bytes = 0;
    *file = (struct config_file){.config = NULL};
    snprintf(file->path, sizeof(file->path), "%s", path);
    int code = read_file(path, &text, &bytes, errors);
    if (code != 0) {
        return code;
    }
    cyaml_err_t result =
        cyaml_load_data((const uint8_t *)text, bytes, &settings, &top, (cyaml_data_t **)&file->config, NULL);
    if (result != CYAML_OK || file->config == NULL) { /* an empty document is no error to libcyaml */
        char message[1024];
        place_unknown_key(&complaint, text, bytes);
        snprintf(message, sizeof(message), "%s:%u:%u: %s%s%s (%s); sluice.yaml(5) lists every key", path,
                 complaint.line, complaint.column, complaint.where, complaint.where[0] != 0 ? ": " : "",
                 complaint.what[0] != 0 ? complaint.what : "not valid YAML", cyaml_strerror(result));
        add_error(errors, message);
        file->config = NULL;
        code = -EINVAL;
    } else {
        unsigned before = errors->count;
        bool more = false;
        file->document = config_where_load(text, bytes, &more);
        if (more) {
            config_complain(file, errors, "instance",
                            "expected one YAML document, found another one behind it ('---')");
        }
        config_strict(file, tables, CYAML_ARRAY_LEN(tables), errors);
        code = errors->count == before ? 0 : -EINVAL;
    }
    file->text = text;
    file->text_bytes = bytes;
    return code;
}

void config_unload(struct config_file *file)
{
    struct complaint complaint;
    cyaml_config_t settings = cyaml_settings(&complaint);
    if (file->config != NULL) {
        cyaml_free(&settings, &top, file->config, 0);
        file->config = NULL;
    }
    config_where_free(file->document);
    file->document = NULL;
    free(file->text);
    file->text = NULL;
}

char *config_take_text(struct config_file *file, size_t *bytes)
{
    char *text = file->text;
    *bytes = file->text_bytes;
    file->text = NULL;
    return text;
}
