/* The layout of everything that two processes share, as text, and its comparison with the golden file.
 *
 *   layout-golden                  prints it
 *   layout-golden --check FILE     0 if FILE says the same; else the first differences and what to do, 1
 *   layout-golden --write FILE     writes it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/board.h"
#include "control/table.h"
#include "daq/board.h"
#include "daq/observer.h"
#include "daq/recorder_plan.h"
#include "daq/worker_board.h"
#include "net/plan.h"
#include "ring/measures.h"
#include "ring/protocol.h"
#include "ring/ring.h"
#include "ring/server.h"
#include "ring/sluice.h"

#define DIFFERENCES_SHOWN 10

struct field {
    const char *name;
    size_t offset;
    size_t bytes;
};

struct shared {
    const char *name;
    size_t bytes;
    const struct field *fields;
    size_t count;
};

#define FIELD(s, member)                                                                                           \
    {                                                                                                              \
#member, offsetof(struct s, member), sizeof(((struct s *)NULL)->member)                                    \
    }
#define SHARED(s)                                                                                                  \
    {                                                                                                              \
#s, sizeof(struct s), s##_fields, sizeof(s##_fields) / sizeof(s##_fields[0])                               \
    }

static const struct field ring_descriptor_fields[] = {
    FIELD(ring_descriptor, sequence),     FIELD(ring_descriptor, tai_ns), FIELD(ring_descriptor, source_sequence),
    FIELD(ring_descriptor, length_bytes), FIELD(ring_descriptor, flags),  FIELD(ring_descriptor, stream),
    FIELD(ring_descriptor, lost_before),  FIELD(ring_descriptor, rest)};

static const struct field measures_entry_fields[] = {
    FIELD(measures_entry, name),  FIELD(measures_entry, board),     FIELD(measures_entry, at),
    FIELD(measures_entry, kind),  FIELD(measures_entry, bytes),     FIELD(measures_entry, first_word),
    FIELD(measures_entry, words), FIELD(measures_entry, period_ns), FIELD(measures_entry, reserved)};

static const struct field measures_word_fields[] = {FIELD(measures_word, value), FIELD(measures_word, text)};

static const struct field measures_fields[] = {
    FIELD(measures, magic),     FIELD(measures, version),  FIELD(measures, count),
    FIELD(measures, words),     FIELD(measures, reserved), FIELD(measures, instance),
    FIELD(measures, reserved2), FIELD(measures, word),     FIELD(measures, entry)};

static const struct field sluice_progress_fields[] = {
    FIELD(sluice_progress, oldest),        FIELD(sluice_progress, published), FIELD(sluice_progress, oldest_tai_ns),
    FIELD(sluice_progress, newest_tai_ns), FIELD(sluice_progress, epoch),     FIELD(sluice_progress, writer_pid)};

static const struct field sluice_ledger_fields[] = {
    FIELD(sluice_ledger, sent),     FIELD(sluice_ledger, delivered),   FIELD(sluice_ledger, lost),
    FIELD(sluice_ledger, residual), FIELD(sluice_ledger, duplicated),  FIELD(sluice_ledger, reordered),
    FIELD(sluice_ledger, refused),  FIELD(sluice_ledger, noise_bytes), FIELD(sluice_ledger, gap_records),
    FIELD(sluice_ledger, connects), FIELD(sluice_ledger, disconnects), FIELD(sluice_ledger, is_open),
    FIELD(sluice_ledger, bytes)};

static const struct field sluice_rate_fields[] = {
    FIELD(sluice_rate, nominal_hz), FIELD(sluice_rate, measured_hz),     FIELD(sluice_rate, window_ns),
    FIELD(sluice_rate, frames),     FIELD(sluice_rate, interval_ns_min), FIELD(sluice_rate, interval_ns_max),
    FIELD(sluice_rate, missed)};

static const struct field sluice_process_fields[] = {
    FIELD(sluice_process, name),       FIELD(sluice_process, pid),          FIELD(sluice_process, started_tai_ns),
    FIELD(sluice_process, heartbeats), FIELD(sluice_process, heartbeat_ns), FIELD(sluice_process, core),
    FIELD(sluice_process, policy),     FIELD(sluice_process, priority),     FIELD(sluice_process, is_locked),
    FIELD(sluice_process, is_sealed),  FIELD(sluice_process, refusals),     FIELD(sluice_process, stalls),
    FIELD(sluice_process, stall_ns),   FIELD(sluice_process, stall_ns_max)};

static const struct field sluice_measure_fields[] = {FIELD(sluice_measure, name),      FIELD(sluice_measure, kind),
                                                     FIELD(sluice_measure, reserved),  FIELD(sluice_measure, value),
                                                     FIELD(sluice_measure, period_ns), FIELD(sluice_measure, word)};

static const struct field sluice_histogram_fields[] = {
    FIELD(sluice_histogram, count), FIELD(sluice_histogram, max_ns),   FIELD(sluice_histogram, sum_ns),
    FIELD(sluice_histogram, late),  FIELD(sluice_histogram, limit_ns), FIELD(sluice_histogram, buckets)};

static const struct field ring_gap_fields[] = {FIELD(ring_gap, cause), FIELD(ring_gap, reserved),
                                               FIELD(ring_gap, count), FIELD(ring_gap, from_tai_ns),
                                               FIELD(ring_gap, reserved2)};

static const struct field ring_channel_fields[] = {
    FIELD(ring_channel, name),         FIELD(ring_channel, unit),       FIELD(ring_channel, at_byte),
    FIELD(ring_channel, type),         FIELD(ring_channel, byte_order), FIELD(ring_channel, calibration),
    FIELD(ring_channel, thermocouple), FIELD(ring_channel, scale),      FIELD(ring_channel, offset),
    FIELD(ring_channel, range_low),    FIELD(ring_channel, range_high), FIELD(ring_channel, first_number),
    FIELD(ring_channel, numbers),      FIELD(ring_channel, reference),  FIELD(ring_channel, bits),
    FIELD(ring_channel, shift),        FIELD(ring_channel, reserved),   FIELD(ring_channel, reserved2)};

static const struct field ring_identity_fields[] = {FIELD(ring_identity, magic),
                                                    FIELD(ring_identity, version),
                                                    FIELD(ring_identity, header_bytes),
                                                    FIELD(ring_identity, segment_bytes),
                                                    FIELD(ring_identity, slots),
                                                    FIELD(ring_identity, slot_bytes),
                                                    FIELD(ring_identity, payload_offset),
                                                    FIELD(ring_identity, slots_offset),
                                                    FIELD(ring_identity, channels_offset),
                                                    FIELD(ring_identity, channels),
                                                    FIELD(ring_identity, page_bytes),
                                                    FIELD(ring_identity, created_tai_ns),
                                                    FIELD(ring_identity, tai_minus_monotonic_ns),
                                                    FIELD(ring_identity, utc_offset_s),
                                                    FIELD(ring_identity, stamp),
                                                    FIELD(ring_identity, streams),
                                                    FIELD(ring_identity, numa_node),
                                                    FIELD(ring_identity, instance),
                                                    FIELD(ring_identity, name),
                                                    FIELD(ring_identity, numbers_offset),
                                                    FIELD(ring_identity, numbers)};

static const struct field ring_progress_fields[] = {
    FIELD(ring_progress, claimed),    FIELD(ring_progress, pad0),
    FIELD(ring_progress, published),  FIELD(ring_progress, newest),
    FIELD(ring_progress, pad1),       FIELD(ring_progress, epoch),
    FIELD(ring_progress, writer_pid), FIELD(ring_progress, restart_position),
    FIELD(ring_progress, pad2)};

static const struct field ring_ledger_fields[] = {
    FIELD(ring_ledger, sent),
    FIELD(ring_ledger, delivered),
    FIELD(ring_ledger, lost),
    FIELD(ring_ledger, duplicated),
    FIELD(ring_ledger, reordered),
    FIELD(ring_ledger, refused),
    FIELD(ring_ledger, noise_bytes),
    FIELD(ring_ledger, gap_records),
    FIELD(ring_ledger, connects),
    FIELD(ring_ledger, disconnects),
    FIELD(ring_ledger, is_open),
    FIELD(ring_ledger, bytes),
    FIELD(ring_ledger, tracker_started),
    FIELD(ring_ledger, tracker_next),
    FIELD(ring_ledger, tracker_window),
    FIELD(ring_ledger, tracker_pending),
    FIELD(ring_ledger, tracker_late_run),
    FIELD(ring_ledger, tracker_late_next),
    FIELD(ring_ledger, tracker_restart_left),
    FIELD(ring_ledger, settled_index),
    FIELD(ring_ledger, settled_position),
    FIELD(ring_ledger, settled_delivered),
    FIELD(ring_ledger, open_errno),
    FIELD(ring_ledger, polls_failed),
    FIELD(ring_ledger, polls_missed),
};

static const struct field ring_rate_fields[] = {
    FIELD(ring_rate, windows),         FIELD(ring_rate, window_ns),    FIELD(ring_rate, frames),
    FIELD(ring_rate, intervals),       FIELD(ring_rate, arrived_ns),   FIELD(ring_rate, interval_ns_min),
    FIELD(ring_rate, interval_ns_max), FIELD(ring_rate, deviation_ns), FIELD(ring_rate, deviations),
    FIELD(ring_rate, lag_ns_max),      FIELD(ring_rate, polls),        FIELD(ring_rate, late_ns),
    FIELD(ring_rate, late_ns_max),     FIELD(ring_rate, took_ns),      FIELD(ring_rate, took_ns_max),
    FIELD(ring_rate, missed),          FIELD(ring_rate, ahead),        FIELD(ring_rate, too_old),
    FIELD(ring_rate, backwards),       FIELD(ring_rate, relocks),      FIELD(ring_rate, replay_jumps),
    FIELD(ring_rate, reserved)};

static const struct field ring_header_fields[] = {FIELD(ring_header, identity), FIELD(ring_header, pad0),
                                                  FIELD(ring_header, progress), FIELD(ring_header, ledger),
                                                  FIELD(ring_header, rate),     FIELD(ring_header, pad1),
                                                  FIELD(ring_header, gate),     FIELD(ring_header, stream)};

static const struct field ring_stream_fields[] = {FIELD(ring_stream, name),
                                                  FIELD(ring_stream, source),
                                                  FIELD(ring_stream, frame_bytes),
                                                  FIELD(ring_stream, sequence_at_byte),
                                                  FIELD(ring_stream, sequence_width_bytes),
                                                  FIELD(ring_stream, sequence_byte_order),
                                                  FIELD(ring_stream, sequence_step),
                                                  FIELD(ring_stream, stamp),
                                                  FIELD(ring_stream, nominal_hz),
                                                  FIELD(ring_stream, tolerance),
                                                  FIELD(ring_stream, reserved)};

static const struct field ring_gate_status_fields[] = {
    FIELD(ring_gate_status, generation),    FIELD(ring_gate_status, state),
    FIELD(ring_gate_status, reason),        FIELD(ring_gate_status, base),
    FIELD(ring_gate_status, waits),         FIELD(ring_gate_status, waited_ns),
    FIELD(ring_gate_status, waited_ns_max), FIELD(ring_gate_status, demoted_position),
    FIELD(ring_gate_status, demoted_tai_ns)};

static const struct field ring_lease_fields[] = {FIELD(ring_lease, magic), FIELD(ring_lease, generation),
                                                 FIELD(ring_lease, pad0),  FIELD(ring_lease, position),
                                                 FIELD(ring_lease, lost),  FIELD(ring_lease, pad1)};

static const struct field ring_order_fields[] = {FIELD(ring_order, generation), FIELD(ring_order, from),
                                                 FIELD(ring_order, deadline_ns), FIELD(ring_order, reserved)};

static const struct field ring_orders_fields[] = {
    FIELD(ring_orders, magic),   FIELD(ring_orders, version), FIELD(ring_orders, gates), FIELD(ring_orders, pad0),
    FIELD(ring_orders, changes), FIELD(ring_orders, bell),    FIELD(ring_orders, pad1),  FIELD(ring_orders, gate)};

/* What libsluice's callers compile in. */
static const struct field sluice_frame_fields[] = {
    FIELD(sluice_frame, payload),         FIELD(sluice_frame, position),     FIELD(sluice_frame, tai_ns),
    FIELD(sluice_frame, source_sequence), FIELD(sluice_frame, length_bytes), FIELD(sluice_frame, flags),
    FIELD(sluice_frame, cause),           FIELD(sluice_frame, lost_before),  FIELD(sluice_frame, stream),
    FIELD(sluice_frame, reserved)};

static const struct field sluice_descriptor_fields[] = {
    FIELD(sluice_descriptor, sequence),        FIELD(sluice_descriptor, tai_ns),
    FIELD(sluice_descriptor, source_sequence), FIELD(sluice_descriptor, length_bytes),
    FIELD(sluice_descriptor, flags),           FIELD(sluice_descriptor, stream),
    FIELD(sluice_descriptor, lost_before)};

static const struct field sluice_batch_fields[] = {
    FIELD(sluice_batch, first),      FIELD(sluice_batch, position),       FIELD(sluice_batch, count),
    FIELD(sluice_batch, slot_bytes), FIELD(sluice_batch, payload_offset), FIELD(sluice_batch, payload_bytes)};

static const struct field sluice_options_fields[] = {FIELD(sluice_options, bytes), FIELD(sluice_options, mode),
                                                     FIELD(sluice_options, start),
                                                     FIELD(sluice_options, deadline_ms), FIELD(sluice_options, at)};

static const struct field sluice_ring_fields[] = {
    FIELD(sluice_ring, instance),       FIELD(sluice_ring, name),
    FIELD(sluice_ring, slots),          FIELD(sluice_ring, slot_bytes),
    FIELD(sluice_ring, payload_offset), FIELD(sluice_ring, payload_bytes),
    FIELD(sluice_ring, channels),       FIELD(sluice_ring, streams),
    FIELD(sluice_ring, stamp),          FIELD(sluice_ring, page_bytes),
    FIELD(sluice_ring, created_tai_ns), FIELD(sluice_ring, tai_minus_monotonic_ns),
    FIELD(sluice_ring, utc_offset_s),   FIELD(sluice_ring, numa_node)};

static const struct field sluice_stream_fields[] = {
    FIELD(sluice_stream, name), FIELD(sluice_stream, source), FIELD(sluice_stream, frame_bytes),
    FIELD(sluice_stream, sequence_width_bytes), FIELD(sluice_stream, sequence_step)};

static const struct field sluice_channel_fields[] = {
    FIELD(sluice_channel, name),      FIELD(sluice_channel, unit),       FIELD(sluice_channel, at_byte),
    FIELD(sluice_channel, type),      FIELD(sluice_channel, big_endian), FIELD(sluice_channel, calibration),
    FIELD(sluice_channel, bits),      FIELD(sluice_channel, shift),      FIELD(sluice_channel, reserved),
    FIELD(sluice_channel, scale),     FIELD(sluice_channel, offset),     FIELD(sluice_channel, range_low),
    FIELD(sluice_channel, range_high)};

static const struct field stall_fields[] = {FIELD(stall, from_ns), FIELD(stall, ns)};
static const struct field stall_record_fields[] = {FIELD(stall_record, count), FIELD(stall_record, total_ns),
                                                   FIELD(stall_record, longest_ns), FIELD(stall_record, latest)};
static const struct field board_fields[] = {
    FIELD(board, magic),        FIELD(board, version), FIELD(board, role),           FIELD(board, instance),
    FIELD(board, name),         FIELD(board, pid),     FIELD(board, started_tai_ns), FIELD(board, heartbeat),
    FIELD(board, heartbeat_ns), FIELD(board, core),    FIELD(board, policy),         FIELD(board, priority),
    FIELD(board, locked),       FIELD(board, sealed),  FIELD(board, refusals),       FIELD(board, stalls),
    FIELD(board, refusal)};

static const struct field histogram_fields[] = {
    FIELD(histogram, count),    FIELD(histogram, max_ns),   FIELD(histogram, sum_ns), FIELD(histogram, late),
    FIELD(histogram, limit_ns), FIELD(histogram, reserved), FIELD(histogram, buckets)};

static const struct field thread_plan_fields[] = {FIELD(thread_plan, core),        FIELD(thread_plan, fifo),
                                                  FIELD(thread_plan, priority),    FIELD(thread_plan, idle),
                                                  FIELD(thread_plan, spin_us),     FIELD(thread_plan, sleep_us),
                                                  FIELD(thread_plan, lock_memory), FIELD(thread_plan, seal)};

static const struct field protocol_request_fields[] = {
    FIELD(protocol_request, magic),    FIELD(protocol_request, version), FIELD(protocol_request, op),
    FIELD(protocol_request, argument), FIELD(protocol_request, from),    FIELD(protocol_request, name),
    FIELD(protocol_request, person),   FIELD(protocol_request, reason)};

static const struct field protocol_reply_fields[] = {FIELD(protocol_reply, magic), FIELD(protocol_reply, version),
                                                     FIELD(protocol_reply, fds),   FIELD(protocol_reply, code),
                                                     FIELD(protocol_reply, gate),  FIELD(protocol_reply, value),
                                                     FIELD(protocol_reply, text)};

static const struct field protocol_wake_fields[] = {FIELD(protocol_wake, magic), FIELD(protocol_wake, reserved),
                                                    FIELD(protocol_wake, published)};

static const struct field protocol_lease_fields[] = {FIELD(protocol_lease, magic), FIELD(protocol_lease, source),
                                                     FIELD(protocol_lease, gate), FIELD(protocol_lease, reserved),
                                                     FIELD(protocol_lease, generation)};

static const struct field control_ring_fields[] = {
    FIELD(control_ring, name),     FIELD(control_ring, fd),           FIELD(control_ring, first_channel),
    FIELD(control_ring, channels), FIELD(control_ring, first_number), FIELD(control_ring, numbers),
    FIELD(control_ring, reserved)};

static const struct field control_channel_fields[] = {FIELD(control_channel, decode), FIELD(control_channel, ring),
                                                      FIELD(control_channel, reserved),
                                                      FIELD(control_channel, stale_ns)};

static const struct field control_rule_fields[] = {
    FIELD(control_rule, name),          FIELD(control_rule, form),          FIELD(control_rule, role),
    FIELD(control_rule, shadow),        FIELD(control_rule, channel),       FIELD(control_rule, other),
    FIELD(control_rule, has_high),      FIELD(control_rule, has_low),       FIELD(control_rule, demand_when),
    FIELD(control_rule, high),          FIELD(control_rule, low),           FIELD(control_rule, high_clear),
    FIELD(control_rule, low_clear),     FIELD(control_rule, band),          FIELD(control_rule, mask),
    FIELD(control_rule, window_ns),     FIELD(control_rule, on_ns),         FIELD(control_rule, off_ns),
    FIELD(control_rule, on_samples),    FIELD(control_rule, off_samples),   FIELD(control_rule, needed),
    FIELD(control_rule, members),       FIELD(control_rule, member),        FIELD(control_rule, unknown_trips),
    FIELD(control_rule, outputs),       FIELD(control_rule, severity),      FIELD(control_rule, reserved),
    FIELD(control_rule, bypass_max_ns), FIELD(control_rule, safety_time_ns)};

static const struct field control_feedback_fields[] = {
    FIELD(control_feedback, form),           FIELD(control_feedback, channel),
    FIELD(control_feedback, energised_mask), FIELD(control_feedback, safe_mask),
    FIELD(control_feedback, energised_at),   FIELD(control_feedback, safe_at),
    FIELD(control_feedback, time_ns)};

static const struct field control_output_fields[] = {
    FIELD(control_output, name),      FIELD(control_output, device),   FIELD(control_output, line),
    FIELD(control_output, heartbeat), FIELD(control_output, reserved), FIELD(control_output, feedback)};

static const struct field control_device_fields[] = {
    FIELD(control_device, kind),        FIELD(control_device, fd),
    FIELD(control_device, lines),       FIELD(control_device, acknowledge_ring),
    FIELD(control_device, target),      FIELD(control_device, register_bytes),
    FIELD(control_device, register_at), FIELD(control_device, big_endian),
    FIELD(control_device, unit)};

static const struct field control_table_fields[] = {FIELD(control_table, magic),
                                                    FIELD(control_table, version),
                                                    FIELD(control_table, bytes),
                                                    FIELD(control_table, hash),
                                                    FIELD(control_table, checksum),
                                                    FIELD(control_table, instance),
                                                    FIELD(control_table, tai_minus_monotonic_ns),
                                                    FIELD(control_table, supervisor_pid),
                                                    FIELD(control_table, reserved),
                                                    FIELD(control_table, thread),
                                                    FIELD(control_table, cycle_budget_ns),
                                                    FIELD(control_table, stall_trip_ns),
                                                    FIELD(control_table, refresh_ns),
                                                    FIELD(control_table, heartbeat_ns),
                                                    FIELD(control_table, acknowledge_ns),
                                                    FIELD(control_table, output_fault_ns),
                                                    FIELD(control_table, late_ns),
                                                    FIELD(control_table, future_ns),
                                                    FIELD(control_table, supervisor_silence_ns),
                                                    FIELD(control_table, gate_latency_ns),
                                                    FIELD(control_table, watchdog_ns),
                                                    FIELD(control_table, shelve_max_ns),
                                                    FIELD(control_table, watchdog_fd),
                                                    FIELD(control_table, miss_trips),
                                                    FIELD(control_table, gate_required),
                                                    FIELD(control_table, gate_trips),
                                                    FIELD(control_table, bypasses_max),
                                                    FIELD(control_table, rings),
                                                    FIELD(control_table, channels),
                                                    FIELD(control_table, rules),
                                                    FIELD(control_table, outputs),
                                                    FIELD(control_table, devices),
                                                    FIELD(control_table, numbers),
                                                    FIELD(control_table, reserved2),
                                                    FIELD(control_table, ring),
                                                    FIELD(control_table, channel),
                                                    FIELD(control_table, rule),
                                                    FIELD(control_table, output),
                                                    FIELD(control_table, device),
                                                    FIELD(control_table, number)};

static const struct field engine_cause_fields[] = {
    FIELD(engine_cause, kind),     FIELD(engine_cause, rule),
    FIELD(engine_cause, channel),  FIELD(engine_cause, output),
    FIELD(engine_cause, value),    FIELD(engine_cause, limit),
    FIELD(engine_cause, tai_ns),   FIELD(engine_cause, source_sequence),
    FIELD(engine_cause, position), FIELD(engine_cause, members),
    FIELD(engine_cause, unknown)};

static const struct field engine_sample_fields[] = {
    FIELD(engine_sample, value),    FIELD(engine_sample, tai_ns),
    FIELD(engine_sample, samples),  FIELD(engine_sample, source_sequence),
    FIELD(engine_sample, position), FIELD(engine_sample, fault),
    FIELD(engine_sample, old)};

static const struct field engine_inputs_fields[] = {FIELD(engine_inputs, channel),
                                                    FIELD(engine_inputs, command),
                                                    FIELD(engine_inputs, command_index),
                                                    FIELD(engine_inputs, command_ns),
                                                    FIELD(engine_inputs, self_test_bad),
                                                    FIELD(engine_inputs, deadline_missed),
                                                    FIELD(engine_inputs, output_fault),
                                                    FIELD(engine_inputs, gate_passed),
                                                    FIELD(engine_inputs, supervisor_silent),
                                                    FIELD(engine_inputs, reserved),
                                                    FIELD(engine_inputs, now_ns)};

static const struct field engine_rule_state_fields[] = {FIELD(engine_rule_state, seen_samples),
                                                        FIELD(engine_rule_state, bypass_until_ns),
                                                        FIELD(engine_rule_state, shelved_until_ns),
                                                        FIELD(engine_rule_state, truth),
                                                        FIELD(engine_rule_state, why),
                                                        FIELD(engine_rule_state, beyond),
                                                        FIELD(engine_rule_state, settled),
                                                        FIELD(engine_rule_state, has_anchor),
                                                        FIELD(engine_rule_state, alarm),
                                                        FIELD(engine_rule_state, members),
                                                        FIELD(engine_rule_state, unknown),
                                                        FIELD(engine_rule_state, demands),
                                                        FIELD(engine_rule_state, beyond_samples),
                                                        FIELD(engine_rule_state, beyond_since_ns),
                                                        FIELD(engine_rule_state, inside_samples),
                                                        FIELD(engine_rule_state, inside_since_ns),
                                                        FIELD(engine_rule_state, anchor_ns),
                                                        FIELD(engine_rule_state, anchor),
                                                        FIELD(engine_rule_state, measure),
                                                        FIELD(engine_rule_state, bad_second),
                                                        FIELD(engine_rule_state, reserved)};

static const struct field engine_output_state_fields[] = {
    FIELD(engine_output_state, changed_ns), FIELD(engine_output_state, left_ns),
    FIELD(engine_output_state, position), FIELD(engine_output_state, followed)};

static const struct field engine_test_fields[] = {FIELD(engine_test, output),  FIELD(engine_test, result),
                                                  FIELD(engine_test, phase),   FIELD(engine_test, reserved),
                                                  FIELD(engine_test, from_ns), FIELD(engine_test, safe_ns),
                                                  FIELD(engine_test, back_ns)};

static const struct field engine_state_fields[] = {FIELD(engine_state, code),
                                                   FIELD(engine_state, previous_command),
                                                   FIELD(engine_state, last_now_ns),
                                                   FIELD(engine_state, trips),
                                                   FIELD(engine_state, steps),
                                                   FIELD(engine_state, start_cause),
                                                   FIELD(engine_state, first_out_open),
                                                   FIELD(engine_state, first_out_count),
                                                   FIELD(engine_state, cause_count),
                                                   FIELD(engine_state, demand_count),
                                                   FIELD(engine_state, latched),
                                                   FIELD(engine_state, held),
                                                   FIELD(engine_state, energised),
                                                   FIELD(engine_state, bypasses),
                                                   FIELD(engine_state, gate_missing),
                                                   FIELD(engine_state, test),
                                                   FIELD(engine_state, first_out),
                                                   FIELD(engine_state, cause),
                                                   FIELD(engine_state, output),
                                                   FIELD(engine_state, quality),
                                                   FIELD(engine_state, why),
                                                   FIELD(engine_state, rule)};

static const struct field engine_event_fields[] = {FIELD(engine_event, tai_ns), FIELD(engine_event, kind),
                                                   FIELD(engine_event, index), FIELD(engine_event, value)};

static const struct field engine_outputs_fields[] = {
    FIELD(engine_outputs, energised),  FIELD(engine_outputs, answer),   FIELD(engine_outputs, tripped),
    FIELD(engine_outputs, changed),    FIELD(engine_outputs, events),   FIELD(engine_outputs, events_lost),
    FIELD(engine_outputs, trip_cause), FIELD(engine_outputs, reserved), FIELD(engine_outputs, event)};

static const struct field control_board_channel_fields[] = {
    FIELD(control_board_channel, value), FIELD(control_board_channel, tai_ns),
    FIELD(control_board_channel, samples), FIELD(control_board_channel, quality),
    FIELD(control_board_channel, reserved)};

static const struct field control_board_device_fields[] = {
    FIELD(control_board_device, sent), FIELD(control_board_device, errors), FIELD(control_board_device, last_error),
    FIELD(control_board_device, evaluated)};

static const struct field control_board_rule_fields[] = {
    FIELD(control_board_rule, measure),         FIELD(control_board_rule, demands),
    FIELD(control_board_rule, bypass_until_ns), FIELD(control_board_rule, shelved_until_ns),
    FIELD(control_board_rule, truth),           FIELD(control_board_rule, why),
    FIELD(control_board_rule, alarm),           FIELD(control_board_rule, reserved)};

static const struct field control_checkpoint_fields[] = {
    FIELD(control_checkpoint, number), FIELD(control_checkpoint, journal), FIELD(control_checkpoint, tai_ns),
    FIELD(control_checkpoint, inputs), FIELD(control_checkpoint, state)};

static const struct field late_entry_fields[] = {
    FIELD(late_entry, from_ns),  FIELD(late_entry, to_ns),  FIELD(late_entry, position),
    FIELD(late_entry, limit_ns), FIELD(late_entry, ring),   FIELD(late_entry, kind),
    FIELD(late_entry, over),     FIELD(late_entry, frames), FIELD(late_entry, reserved)};

static const struct field late_log_fields[] = {FIELD(late_log, count), FIELD(late_log, reserved),
                                               FIELD(late_log, entry)};

static const struct field control_board_fields[] = {
    FIELD(control_board, common),          FIELD(control_board, pad),
    FIELD(control_board, version),         FIELD(control_board, state),
    FIELD(control_board, energised),       FIELD(control_board, trips),
    FIELD(control_board, steps),           FIELD(control_board, overruns),
    FIELD(control_board, misses),          FIELD(control_board, worst_gap_ns),
    FIELD(control_board, answered_ticket), FIELD(control_board, answer),
    FIELD(control_board, cause_count),     FIELD(control_board, demand_count),
    FIELD(control_board, first_out_count), FIELD(control_board, died_armed),
    FIELD(control_board, latched),         FIELD(control_board, held),
    FIELD(control_board, bypasses),        FIELD(control_board, gate_missing),
    FIELD(control_board, gate_passed),     FIELD(control_board, last_miss_ns),
    FIELD(control_board, heartbeats),      FIELD(control_board, test),
    FIELD(control_board, cause),           FIELD(control_board, first_out),
    FIELD(control_board, trip_history),    FIELD(control_board, channel),
    FIELD(control_board, device),          FIELD(control_board, rule),
    FIELD(control_board, position),        FIELD(control_board, hop),
    FIELD(control_board, events),          FIELD(control_board, events_lost),
    FIELD(control_board, event),           FIELD(control_board, loop_periods),
    FIELD(control_board, loop_max_ns),     FIELD(control_board, late),
    FIELD(control_board, checkpoint)};

static const struct field thief_event_fields[] = {
    FIELD(thief_event, from_ns), FIELD(thief_event, ns),    FIELD(thief_event, thread),
    FIELD(thief_event, kind),    FIELD(thief_event, pid),   FIELD(thief_event, what),
    FIELD(thief_event, cpu),     FIELD(thief_event, epoch), FIELD(thief_event, name)};

static const struct field culprit_fields[] = {FIELD(culprit, ns),   FIELD(culprit, kind),  FIELD(culprit, pid),
                                              FIELD(culprit, what), FIELD(culprit, times), FIELD(culprit, name)};

static const struct field verdict_fields[] = {FIELD(verdict, named_ns), FIELD(verdict, host_ns),
                                              FIELD(verdict, own_ns),   FIELD(verdict, culprits),
                                              FIELD(verdict, others),   FIELD(verdict, culprit)};

static const struct field observer_finding_fields[] = {
    FIELD(observer_finding, number), FIELD(observer_finding, late), FIELD(observer_finding, verdict),
    FIELD(observer_finding, complete), FIELD(observer_finding, reserved)};

static const struct field observer_thread_fields[] = {
    FIELD(observer_thread, name),      FIELD(observer_thread, tid),   FIELD(observer_thread, started_tai_ns),
    FIELD(observer_thread, sleep_us),  FIELD(observer_thread, count), FIELD(observer_thread, ns),
    FIELD(observer_thread, longest_ns)};

static const struct field observer_log_fields[] = {FIELD(observer_log, events), FIELD(observer_log, event)};

static const struct field observer_board_fields[] = {
    FIELD(observer_board, common),   FIELD(observer_board, pad),     FIELD(observer_board, threshold_ns),
    FIELD(observer_board, reserved), FIELD(observer_board, version), FIELD(observer_board, state),
    FIELD(observer_board, threads),  FIELD(observer_board, told),    FIELD(observer_board, lost),
    FIELD(observer_board, brief),    FIELD(observer_board, judged),  FIELD(observer_board, over),
    FIELD(observer_board, missed),   FIELD(observer_board, missing), FIELD(observer_board, thread),
    FIELD(observer_board, findings), FIELD(observer_board, latest),  FIELD(observer_board, worst_count),
    FIELD(observer_board, worst),    FIELD(observer_board, log),     FIELD(observer_board, lasted)};

static const struct field control_operand_fields[] = {
    FIELD(control_operand, ticket), FIELD(control_operand, duration_ns), FIELD(control_operand, index),
    FIELD(control_operand, reserved)};

static const struct field control_mailbox_fields[] = {FIELD(control_mailbox, word), FIELD(control_mailbox, gate),
                                                      FIELD(control_mailbox, operand)};

static const struct field journal_entry_fields[] = {
    FIELD(journal_entry, now_ns),     FIELD(journal_entry, position),      FIELD(journal_entry, command_ns),
    FIELD(journal_entry, command),    FIELD(journal_entry, command_index), FIELD(journal_entry, kind),
    FIELD(journal_entry, ring),       FIELD(journal_entry, cause),         FIELD(journal_entry, old),
    FIELD(journal_entry, conditions), FIELD(journal_entry, output_fault),  FIELD(journal_entry, gate_passed),
    FIELD(journal_entry, energised),  FIELD(journal_entry, code),          FIELD(journal_entry, trips)};

static const struct field control_journal_fields[] = {FIELD(control_journal, magic), FIELD(control_journal, count),
                                                      FIELD(control_journal, pad), FIELD(control_journal, entry)};

static const struct field sequence_spec_fields[] = {FIELD(sequence_spec, width_bytes),
                                                    FIELD(sequence_spec, at_byte), FIELD(sequence_spec, byte_order),
                                                    FIELD(sequence_spec, step), FIELD(sequence_spec, width_bits)};

static const struct field checksum_spec_fields[] = {FIELD(checksum_spec, kind), FIELD(checksum_spec, from),
                                                    FIELD(checksum_spec, at_byte), FIELD(checksum_spec, reserved)};

static const struct field format_spec_fields[] = {
    FIELD(format_spec, kind),         FIELD(format_spec, at_byte),      FIELD(format_spec, frames_per_second),
    FIELD(format_spec, threads),      FIELD(format_spec, thread_order), FIELD(format_spec, heap_bytes),
    FIELD(format_spec, packet_bytes), FIELD(format_spec, match_stream), FIELD(format_spec, stream_id),
    FIELD(format_spec, reserved)};

static const struct field udp_plan_fields[] = {FIELD(udp_plan, listen_address),
                                               FIELD(udp_plan, multicast_address),
                                               FIELD(udp_plan, interface_address),
                                               FIELD(udp_plan, from_address),
                                               FIELD(udp_plan, port),
                                               FIELD(udp_plan, from_port),
                                               FIELD(udp_plan, receive_buffer_bytes)};

static const struct field framing_plan_fields[] = {
    FIELD(framing_plan, kind),        FIELD(framing_plan, sync_bytes),   FIELD(framing_plan, sync),
    FIELD(framing_plan, read_frames), FIELD(framing_plan, fields),       FIELD(framing_plan, bytes_max),
    FIELD(framing_plan, pattern),     FIELD(framing_plan, delimiter),    FIELD(framing_plan, delimiter_bytes),
    FIELD(framing_plan, length_at),   FIELD(framing_plan, length_width), FIELD(framing_plan, length_order),
    FIELD(framing_plan, length_adds)};

static const struct field serial_plan_fields[] = {FIELD(serial_plan, device),    FIELD(serial_plan, baud),
                                                  FIELD(serial_plan, data_bits), FIELD(serial_plan, stop_bits),
                                                  FIELD(serial_plan, parity),    FIELD(serial_plan, flow),
                                                  FIELD(serial_plan, direction)};

static const struct field tcp_plan_fields[] = {FIELD(tcp_plan, address), FIELD(tcp_plan, from_address),
                                               FIELD(tcp_plan, port), FIELD(tcp_plan, reserved),
                                               FIELD(tcp_plan, receive_buffer_bytes)};

static const struct field unix_plan_fields[] = {FIELD(unix_plan, path), FIELD(unix_plan, type)};

static const struct field exec_plan_fields[] = {FIELD(exec_plan, words), FIELD(exec_plan, command)};

static const struct field clock_field_fields[] = {FIELD(clock_field, width_bytes), FIELD(clock_field, at_byte),
                                                  FIELD(clock_field, byte_order), FIELD(clock_field, is_real),
                                                  FIELD(clock_field, unit_ns)};

static const struct field rate_plan_fields[] = {FIELD(rate_plan, stamp),       FIELD(rate_plan, clock),
                                                FIELD(rate_plan, field),       FIELD(rate_plan, nominal_hz),
                                                FIELD(rate_plan, tolerance),   FIELD(rate_plan, lag_max_ns),
                                                FIELD(rate_plan, ahead_max_ns)};

static const struct field file_plan_fields[] = {
    FIELD(file_plan, path),   FIELD(file_plan, follow), FIELD(file_plan, from_begin), FIELD(file_plan, frames_hz),
    FIELD(file_plan, timing), FIELD(file_plan, speed),  FIELD(file_plan, gap_max_ns)};

static const struct field poll_plan_fields[] = {FIELD(poll_plan, period_ns), FIELD(poll_plan, timeout_ns)};

static const struct field sysfs_plan_fields[] = {FIELD(sysfs_plan, attributes), FIELD(sysfs_plan, path)};

static const struct field iio_scan_fields[] = {FIELD(iio_scan, name), FIELD(iio_scan, type),
                                               FIELD(iio_scan, at_byte)};

static const struct field iio_plan_fields[] = {FIELD(iio_plan, device),  FIELD(iio_plan, trigger),
                                               FIELD(iio_plan, rate_hz), FIELD(iio_plan, length),
                                               FIELD(iio_plan, scans),   FIELD(iio_plan, scan)};

static const struct field recording_plan_fields[] = {
    FIELD(recording_plan, ring),  FIELD(recording_plan, speed),        FIELD(recording_plan, from_ns),
    FIELD(recording_plan, to_ns), FIELD(recording_plan, stamps),       FIELD(recording_plan, loop),
    FIELD(recording_plan, paths), FIELD(recording_plan, wait_readers), FIELD(recording_plan, path)};

static const struct field gpio_plan_fields[] = {FIELD(gpio_plan, device),      FIELD(gpio_plan, lines),
                                                FIELD(gpio_plan, line),        FIELD(gpio_plan, edges),
                                                FIELD(gpio_plan, bias),        FIELD(gpio_plan, active_low),
                                                FIELD(gpio_plan, debounce_us), FIELD(gpio_plan, monotonic)};

static const struct field bus_read_fields[] = {FIELD(bus_read, write), FIELD(bus_read, write_bytes),
                                               FIELD(bus_read, read_bytes)};

static const struct field bus_plan_fields[] = {
    FIELD(bus_plan, device),        FIELD(bus_plan, address), FIELD(bus_plan, mode), FIELD(bus_plan, speed_hz),
    FIELD(bus_plan, bits_per_word), FIELD(bus_plan, reads),   FIELD(bus_plan, read)};

static const struct field modbus_read_fields[] = {FIELD(modbus_read, table), FIELD(modbus_read, at),
                                                  FIELD(modbus_read, count)};

static const struct field modbus_plan_fields[] = {FIELD(modbus_plan, unit_id), FIELD(modbus_plan, reads),
                                                  FIELD(modbus_plan, read)};

static const struct field scpi_plan_fields[] = {
    FIELD(scpi_plan, link),    FIELD(scpi_plan, queries), FIELD(scpi_plan, setups), FIELD(scpi_plan, check_errors),
    FIELD(scpi_plan, numbers), FIELD(scpi_plan, query),   FIELD(scpi_plan, setup)};

static const struct field register_plan_fields[] = {
    FIELD(register_plan, at_byte), FIELD(register_plan, width_bytes), FIELD(register_plan, byte_order),
    FIELD(register_plan, reserved), FIELD(register_plan, value)};

static const struct field registers_plan_fields[] = {
    FIELD(registers_plan, device),      FIELD(registers_plan, offset_bytes),  FIELD(registers_plan, window_bytes),
    FIELD(registers_plan, wait),        FIELD(registers_plan, clears),        FIELD(registers_plan, data_at),
    FIELD(registers_plan, data_width),  FIELD(registers_plan, reserved),      FIELD(registers_plan, status),
    FIELD(registers_plan, acknowledge), FIELD(registers_plan, interrupt_mask)};

static const struct field can_plan_fields[] = {FIELD(can_plan, interface), FIELD(can_plan, ids),
                                               FIELD(can_plan, fd), FIELD(can_plan, id)};

static const struct field packet_filter_fields[] = {
    FIELD(packet_filter, form),        FIELD(packet_filter, match),     FIELD(packet_filter, mac),
    FIELD(packet_filter, vlan),        FIELD(packet_filter, ethertype), FIELD(packet_filter, to_port),
    FIELD(packet_filter, from_port),   FIELD(packet_filter, reserved),  FIELD(packet_filter, to_address),
    FIELD(packet_filter, from_address)};

static const struct field afxdp_plan_fields[] = {FIELD(afxdp_plan, interface), FIELD(afxdp_plan, queue),
                                                 FIELD(afxdp_plan, descriptors)};
static const struct field dpdk_plan_fields[] = {FIELD(dpdk_plan, port), FIELD(dpdk_plan, descriptors),
                                                FIELD(dpdk_plan, steer), FIELD(dpdk_plan, igmp),
                                                FIELD(dpdk_plan, igmp_address)};

static const struct field source_plan_fields[] = {
    FIELD(source_plan, name),        FIELD(source_plan, ring),         FIELD(source_plan, kind),
    FIELD(source_plan, frame_bytes), FIELD(source_plan, ring_fd),      FIELD(source_plan, orders_fd),
    FIELD(source_plan, gates),       FIELD(source_plan, when_full),    FIELD(source_plan, thread),
    FIELD(source_plan, sequence),    FIELD(source_plan, checksum),     FIELD(source_plan, format),
    FIELD(source_plan, framing),     FIELD(source_plan, when_missing), FIELD(source_plan, reserved),
    FIELD(source_plan, rate),        FIELD(source_plan, udp),          FIELD(source_plan, serial),
    FIELD(source_plan, tcp),         FIELD(source_plan, un),           FIELD(source_plan, exec),
    FIELD(source_plan, file),        FIELD(source_plan, can),          FIELD(source_plan, poll),
    FIELD(source_plan, sysfs),       FIELD(source_plan, iio),          FIELD(source_plan, gpio),
    FIELD(source_plan, bus),         FIELD(source_plan, modbus),       FIELD(source_plan, scpi),
    FIELD(source_plan, registers),   FIELD(source_plan, packet),       FIELD(source_plan, dpdk),
    FIELD(source_plan, afxdp),       FIELD(source_plan, recording)};

static const struct field worker_plan_fields[] = {FIELD(worker_plan, magic),
                                                  FIELD(worker_plan, version),
                                                  FIELD(worker_plan, sources),
                                                  FIELD(worker_plan, instance),
                                                  FIELD(worker_plan, name),
                                                  FIELD(worker_plan, tai_minus_monotonic_ns),
                                                  FIELD(worker_plan, supervisor_pid),
                                                  FIELD(worker_plan, dpdk_memory_mb),
                                                  FIELD(worker_plan, thread),
                                                  FIELD(worker_plan, threads),
                                                  FIELD(worker_plan, thread_core),
                                                  FIELD(worker_plan, coalesce_us),
                                                  FIELD(worker_plan, eal),
                                                  FIELD(worker_plan, source)};

static const struct field worker_thread_fields[] = {
    FIELD(worker_thread, heartbeat), FIELD(worker_thread, heartbeat_ns), FIELD(worker_thread, tid),
    FIELD(worker_thread, core),      FIELD(worker_thread, policy),       FIELD(worker_thread, priority),
    FIELD(worker_thread, sealed),    FIELD(worker_thread, stalls),       FIELD(worker_thread, name),
    FIELD(worker_thread, reserved)};

static const struct field worker_board_fields[] = {
    FIELD(worker_board, common),    FIELD(worker_board, pad),          FIELD(worker_board, threads),
    FIELD(worker_board, reserved),  FIELD(worker_board, pad2),         FIELD(worker_board, thread),
    FIELD(worker_board, sources),   FIELD(worker_board, hops_threads), FIELD(worker_board, hops_at),
    FIELD(worker_board, reserved2), FIELD(worker_board, source),       FIELD(worker_board, pad3)};

static const struct field worker_thread_hops_fields[] = {FIELD(worker_thread_hops, round),
                                                         FIELD(worker_thread_hops, busy)};

static const struct field worker_source_place_fields[] = {
    FIELD(worker_source_place, ring), FIELD(worker_source_place, hops_at), FIELD(worker_source_place, is_dated),
    FIELD(worker_source_place, period_ns)};

static const struct field ring_hops_fields[] = {FIELD(ring_hops, ahead), FIELD(ring_hops, undated),
                                                FIELD(ring_hops, reserved), FIELD(ring_hops, arrival_to_publish),
                                                FIELD(ring_hops, sent_to_arrival)};

static const struct field supervisor_process_fields[] = {
    FIELD(supervisor_process, name),   FIELD(supervisor_process, pid),     FIELD(supervisor_process, restarts),
    FIELD(supervisor_process, pss_kb), FIELD(supervisor_process, alive),   FIELD(supervisor_process, core),
    FIELD(supervisor_process, policy), FIELD(supervisor_process, priority)};

static const struct field supervisor_reader_fields[] = {
    FIELD(supervisor_reader, pid),         FIELD(supervisor_reader, uid),
    FIELD(supervisor_reader, ring),        FIELD(supervisor_reader, gating),
    FIELD(supervisor_reader, demoted),     FIELD(supervisor_reader, reason),
    FIELD(supervisor_reader, deadline_ns), FIELD(supervisor_reader, waits),
    FIELD(supervisor_reader, waited_ns),   FIELD(supervisor_reader, waited_ns_max),
    FIELD(supervisor_reader, position),    FIELD(supervisor_reader, lost),
    FIELD(supervisor_reader, lag_frames),  FIELD(supervisor_reader, lag_frames_max),
    FIELD(supervisor_reader, lag_ns),      FIELD(supervisor_reader, lag_ns_max)};

static const struct field supervisor_ring_fields[] = {
    FIELD(supervisor_ring, demotions), FIELD(supervisor_ring, evictions), FIELD(supervisor_ring, readers_lost)};

static const struct field supervisor_reader_event_fields[] = {
    FIELD(supervisor_reader_event, tai_ns), FIELD(supervisor_reader_event, pid),
    FIELD(supervisor_reader_event, ring),   FIELD(supervisor_reader_event, event),
    FIELD(supervisor_reader_event, reason), FIELD(supervisor_reader_event, reserved),
    FIELD(supervisor_reader_event, lost)};

static const struct field segment_entry_fields[] = {
    FIELD(segment_entry, device),     FIELD(segment_entry, inode),     FIELD(segment_entry, bytes),
    FIELD(segment_entry, page_bytes), FIELD(segment_entry, owner_pid), FIELD(segment_entry, kind),
    FIELD(segment_entry, numa_node),  FIELD(segment_entry, name),      FIELD(segment_entry, owner)};

static const struct field segment_table_fields[] = {FIELD(segment_table, version), FIELD(segment_table, segments),
                                                    FIELD(segment_table, entry)};

static const struct field supervisor_bypass_fields[] = {
    FIELD(supervisor_bypass, since_tai_ns), FIELD(supervisor_bypass, until_tai_ns),
    FIELD(supervisor_bypass, person), FIELD(supervisor_bypass, reason)};

static const struct field supervisor_audit_fields[] = {
    FIELD(supervisor_audit, path),       FIELD(supervisor_audit, written), FIELD(supervisor_audit, errors),
    FIELD(supervisor_audit, last_errno), FIELD(supervisor_audit, pending), FIELD(supervisor_audit, lost)};

static const struct field supervisor_board_fields[] = {FIELD(supervisor_board, common),
                                                       FIELD(supervisor_board, pad),
                                                       FIELD(supervisor_board, clock_step_ns),
                                                       FIELD(supervisor_board, processes),
                                                       FIELD(supervisor_board, readers),
                                                       FIELD(supervisor_board, gate_seen),
                                                       FIELD(supervisor_board, config_acknowledged),
                                                       FIELD(supervisor_board, config_acknowledged_tai_ns),
                                                       FIELD(supervisor_board, config_acknowledged_by),
                                                       FIELD(supervisor_board, audit),
                                                       FIELD(supervisor_board, ring_rate_hz),
                                                       FIELD(supervisor_board, process),
                                                       FIELD(supervisor_board, reader),
                                                       FIELD(supervisor_board, ring),
                                                       FIELD(supervisor_board, reader_events),
                                                       FIELD(supervisor_board, reader_event),
                                                       FIELD(supervisor_board, reader_lag),
                                                       FIELD(supervisor_board, bypass),
                                                       FIELD(supervisor_board, segments)};

static const struct field record_file_header_fields[] = {FIELD(record_file_header, magic),
                                                         FIELD(record_file_header, version),
                                                         FIELD(record_file_header, header_bytes),
                                                         FIELD(record_file_header, run),
                                                         FIELD(record_file_header, description_bytes),
                                                         FIELD(record_file_header, description_crc),
                                                         FIELD(record_file_header, align),
                                                         FIELD(record_file_header, segment),
                                                         FIELD(record_file_header, stripe),
                                                         FIELD(record_file_header, stripes),
                                                         FIELD(record_file_header, channels),
                                                         FIELD(record_file_header, numbers),
                                                         FIELD(record_file_header, streams),
                                                         FIELD(record_file_header, json_bytes),
                                                         FIELD(record_file_header, config_bytes),
                                                         FIELD(record_file_header, stamp),
                                                         FIELD(record_file_header, utc_offset_s),
                                                         FIELD(record_file_header, slot_bytes),
                                                         FIELD(record_file_header, payload_offset),
                                                         FIELD(record_file_header, payload_bytes),
                                                         FIELD(record_file_header, reserved),
                                                         FIELD(record_file_header, slots),
                                                         FIELD(record_file_header, tai_minus_monotonic_ns),
                                                         FIELD(record_file_header, created_tai_ns),
                                                         FIELD(record_file_header, opened_tai_ns),
                                                         FIELD(record_file_header, opened_utc_ns),
                                                         FIELD(record_file_header, first_position),
                                                         FIELD(record_file_header, instance),
                                                         FIELD(record_file_header, ring),
                                                         FIELD(record_file_header, recorder),
                                                         FIELD(record_file_header, reserved2),
                                                         FIELD(record_file_header, crc)};

static const struct field record_gap_fields[] = {FIELD(record_gap, from_position), FIELD(record_gap, to_position),
                                                 FIELD(record_gap, count),         FIELD(record_gap, tai_ns),
                                                 FIELD(record_gap, cause),         FIELD(record_gap, reserved)};

static const struct field record_block_fields[] = {FIELD(record_block, magic),
                                                   FIELD(record_block, run),
                                                   FIELD(record_block, kind),
                                                   FIELD(record_block, lead_bytes),
                                                   FIELD(record_block, bytes),
                                                   FIELD(record_block, payload_bytes),
                                                   FIELD(record_block, number),
                                                   FIELD(record_block, first_position),
                                                   FIELD(record_block, end_position),
                                                   FIELD(record_block, frames),
                                                   FIELD(record_block, first_tai_ns),
                                                   FIELD(record_block, last_tai_ns),
                                                   FIELD(record_block, first_sequence),
                                                   FIELD(record_block, last_sequence),
                                                   FIELD(record_block, written_tai_ns),
                                                   FIELD(record_block, payload_crc),
                                                   FIELD(record_block, gaps),
                                                   FIELD(record_block, ledger),
                                                   FIELD(record_block, gap),
                                                   FIELD(record_block, reserved),
                                                   FIELD(record_block, crc)};

static const struct field record_totals_fields[] = {
    FIELD(record_totals, frames),         FIELD(record_totals, bytes),         FIELD(record_totals, missing),
    FIELD(record_totals, first_position), FIELD(record_totals, next_position), FIELD(record_totals, blocks),
    FIELD(record_totals, closed_tai_ns),  FIELD(record_totals, why),           FIELD(record_totals, indices),
    FIELD(record_totals, began),          FIELD(record_totals, ended)};

static const struct field record_index_fields[] = {
    FIELD(record_index, offset),         FIELD(record_index, bytes),        FIELD(record_index, number),
    FIELD(record_index, first_position), FIELD(record_index, end_position), FIELD(record_index, frames),
    FIELD(record_index, first_tai_ns),   FIELD(record_index, last_tai_ns)};

static const struct field record_trailer_fields[] = {
    FIELD(record_trailer, magic),      FIELD(record_trailer, run),      FIELD(record_trailer, end_offset),
    FIELD(record_trailer, file_bytes), FIELD(record_trailer, reserved), FIELD(record_trailer, crc)};

static const struct field recorder_plan_fields[] = {
    FIELD(recorder_plan, magic),         FIELD(recorder_plan, version),     FIELD(recorder_plan, starter_pid),
    FIELD(recorder_plan, instance),      FIELD(recorder_plan, name),        FIELD(recorder_plan, rings),
    FIELD(recorder_plan, directories),   FIELD(recorder_plan, ring),        FIELD(recorder_plan, directory),
    FIELD(recorder_plan, gating),        FIELD(recorder_plan, layout),      FIELD(recorder_plan, begins),
    FIELD(recorder_plan, full),          FIELD(recorder_plan, block_bytes), FIELD(recorder_plan, sync_ns),
    FIELD(recorder_plan, sync_bytes),    FIELD(recorder_plan, pre_ns),      FIELD(recorder_plan, post_ns),
    FIELD(recorder_plan, rotate_bytes),  FIELD(recorder_plan, rotate_ns),   FIELD(recorder_plan, keep_bytes),
    FIELD(recorder_plan, room_bytes),    FIELD(recorder_plan, for_ns),      FIELD(recorder_plan, keep_runs),
    FIELD(recorder_plan, decimate),      FIELD(recorder_plan, has_above),   FIELD(recorder_plan, has_below),
    FIELD(recorder_plan, above),         FIELD(recorder_plan, below),       FIELD(recorder_plan, channel),
    FIELD(recorder_plan, operator_name), FIELD(recorder_plan, test_id),     FIELD(recorder_plan, note),
    FIELD(recorder_plan, config_bytes)};

static const struct field recorder_mailbox_fields[] = {
    FIELD(recorder_mailbox, ticket), FIELD(recorder_mailbox, verb), FIELD(recorder_mailbox, reserved),
    FIELD(recorder_mailbox, person), FIELD(recorder_mailbox, text)};

static const struct field recorder_ring_board_fields[] = {FIELD(recorder_ring_board, name),
                                                          FIELD(recorder_ring_board, run_frames),
                                                          FIELD(recorder_ring_board, run_bytes),
                                                          FIELD(recorder_ring_board, frames),
                                                          FIELD(recorder_ring_board, missing),
                                                          FIELD(recorder_ring_board, position),
                                                          FIELD(recorder_ring_board, synced_position),
                                                          FIELD(recorder_ring_board, lag_frames),
                                                          FIELD(recorder_ring_board, lag_frames_max),
                                                          FIELD(recorder_ring_board, waits_for_disk),
                                                          FIELD(recorder_ring_board, copied_bytes),
                                                          FIELD(recorder_ring_board, in_place_bytes),
                                                          FIELD(recorder_ring_board, segment),
                                                          FIELD(recorder_ring_board, gating)};

static const struct field recorder_board_fields[] = {FIELD(recorder_board, common),
                                                     FIELD(recorder_board, pad),
                                                     FIELD(recorder_board, state),
                                                     FIELD(recorder_board, rings),
                                                     FIELD(recorder_board, runs),
                                                     FIELD(recorder_board, triggers),
                                                     FIELD(recorder_board, failures),
                                                     FIELD(recorder_board, run_began_tai_ns),
                                                     FIELD(recorder_board, run_frames),
                                                     FIELD(recorder_board, run_bytes),
                                                     FIELD(recorder_board, bytes_per_s),
                                                     FIELD(recorder_board, frames_per_s),
                                                     FIELD(recorder_board, free_bytes),
                                                     FIELD(recorder_board, removed_runs),
                                                     FIELD(recorder_board, removed_segments),
                                                     FIELD(recorder_board, syncs),
                                                     FIELD(recorder_board, durable_ns_max),
                                                     FIELD(recorder_board, durable_late),
                                                     FIELD(recorder_board, unsynced_bytes),
                                                     FIELD(recorder_board, unsynced_bytes_max),
                                                     FIELD(recorder_board, decimating),
                                                     FIELD(recorder_board, ticket),
                                                     FIELD(recorder_board, code),
                                                     FIELD(recorder_board, wanted),
                                                     FIELD(recorder_board, text),
                                                     FIELD(recorder_board, error),
                                                     FIELD(recorder_board, run),
                                                     FIELD(recorder_board, directory),
                                                     FIELD(recorder_board, ring),
                                                     FIELD(recorder_board, post_until_ns),
                                                     FIELD(recorder_board, trips_seen),
                                                     FIELD(recorder_board, resume_ns)};

static const struct shared all[] = {SHARED(record_file_header),
                                    SHARED(record_gap),
                                    SHARED(record_block),
                                    SHARED(record_totals),
                                    SHARED(record_index),
                                    SHARED(record_trailer),
                                    SHARED(recorder_plan),
                                    SHARED(recorder_mailbox),
                                    SHARED(recorder_ring_board),
                                    SHARED(recorder_board),
                                    SHARED(ring_descriptor),
                                    SHARED(ring_gap),
                                    SHARED(ring_channel),
                                    SHARED(ring_identity),
                                    SHARED(ring_progress),
                                    SHARED(ring_ledger),
                                    SHARED(ring_rate),
                                    SHARED(ring_header),
                                    SHARED(ring_stream),
                                    SHARED(ring_gate_status),
                                    SHARED(ring_lease),
                                    SHARED(ring_order),
                                    SHARED(ring_orders),
                                    SHARED(sluice_frame),
                                    SHARED(sluice_descriptor),
                                    SHARED(sluice_batch),
                                    SHARED(sluice_options),
                                    SHARED(sluice_ring),
                                    SHARED(sluice_stream),
                                    SHARED(sluice_channel),
                                    SHARED(sluice_progress),
                                    SHARED(sluice_ledger),
                                    SHARED(sluice_rate),
                                    SHARED(sluice_process),
                                    SHARED(sluice_measure),
                                    SHARED(sluice_histogram),
                                    SHARED(measures_entry),
                                    SHARED(measures_word),
                                    SHARED(measures),
                                    SHARED(stall),
                                    SHARED(stall_record),
                                    SHARED(board),
                                    SHARED(histogram),
                                    SHARED(thread_plan),
                                    SHARED(protocol_request),
                                    SHARED(protocol_reply),
                                    SHARED(protocol_wake),
                                    SHARED(protocol_lease),
                                    SHARED(control_ring),
                                    SHARED(control_channel),
                                    SHARED(control_rule),
                                    SHARED(control_feedback),
                                    SHARED(control_output),
                                    SHARED(control_device),
                                    SHARED(control_table),
                                    SHARED(engine_cause),
                                    SHARED(engine_sample),
                                    SHARED(engine_inputs),
                                    SHARED(engine_rule_state),
                                    SHARED(engine_output_state),
                                    SHARED(engine_test),
                                    SHARED(engine_state),
                                    SHARED(engine_event),
                                    SHARED(engine_outputs),
                                    SHARED(control_board_channel),
                                    SHARED(control_board_device),
                                    SHARED(control_board_rule),
                                    SHARED(control_checkpoint),
                                    SHARED(late_entry),
                                    SHARED(late_log),
                                    SHARED(control_board),
                                    SHARED(thief_event),
                                    SHARED(culprit),
                                    SHARED(verdict),
                                    SHARED(observer_finding),
                                    SHARED(observer_thread),
                                    SHARED(observer_log),
                                    SHARED(observer_board),
                                    SHARED(control_operand),
                                    SHARED(control_mailbox),
                                    SHARED(journal_entry),
                                    SHARED(control_journal),
                                    SHARED(sequence_spec),
                                    SHARED(checksum_spec),
                                    SHARED(format_spec),
                                    SHARED(udp_plan),
                                    SHARED(framing_plan),
                                    SHARED(serial_plan),
                                    SHARED(tcp_plan),
                                    SHARED(unix_plan),
                                    SHARED(exec_plan),
                                    SHARED(clock_field),
                                    SHARED(rate_plan),
                                    SHARED(file_plan),
                                    SHARED(can_plan),
                                    SHARED(poll_plan),
                                    SHARED(sysfs_plan),
                                    SHARED(iio_scan),
                                    SHARED(iio_plan),
                                    SHARED(recording_plan),
                                    SHARED(gpio_plan),
                                    SHARED(bus_read),
                                    SHARED(bus_plan),
                                    SHARED(modbus_read),
                                    SHARED(modbus_plan),
                                    SHARED(scpi_plan),
                                    SHARED(register_plan),
                                    SHARED(registers_plan),
                                    SHARED(packet_filter),
                                    SHARED(dpdk_plan),
                                    SHARED(afxdp_plan),
                                    SHARED(source_plan),
                                    SHARED(worker_plan),
                                    SHARED(worker_thread),
                                    SHARED(worker_board),
                                    SHARED(worker_thread_hops),
                                    SHARED(worker_source_place),
                                    SHARED(ring_hops),
                                    SHARED(supervisor_process),
                                    SHARED(supervisor_reader),
                                    SHARED(supervisor_ring),
                                    SHARED(supervisor_reader_event),
                                    SHARED(segment_entry),
                                    SHARED(segment_table),
                                    SHARED(supervisor_bypass),
                                    SHARED(supervisor_audit),
                                    SHARED(supervisor_board)};

#define NUMBER(name)                                                                                               \
    {                                                                                                              \
#name, (uint64_t)(name)                                                                                    \
    }

static const struct {
    const char *name;
    uint64_t value;
} numbers[] = {NUMBER(RING_LAYOUT_VERSION),
               NUMBER(BOARD_LAYOUT_VERSION),
               NUMBER(RECORD_VERSION),
               NUMBER(RECORDER_PLAN_VERSION),
               NUMBER(CONTROL_TABLE_VERSION),
               NUMBER(PLAN_VERSION),
               NUMBER(MEASURES_VERSION),
               NUMBER(PROTOCOL_VERSION),
               NUMBER(RING_MAGIC),
               NUMBER(RING_LEASE_MAGIC),
               NUMBER(BOARD_MAGIC),
               NUMBER(MEASURES_MAGIC),
               NUMBER(CONTROL_TABLE_MAGIC),
               NUMBER(PLAN_MAGIC),
               NUMBER(CONTROL_JOURNAL_MAGIC),
               NUMBER(PROTOCOL_MAGIC),
               NUMBER(ERROR_TEXT_BYTES),
               NUMBER(RING_HEADER_BYTES),
               NUMBER(RING_NAME_BYTES),
               NUMBER(RING_UNIT_BYTES),
               NUMBER(RING_DESCRIPTOR_BYTES),
               NUMBER(RING_SLOT_BYTES_MIN),
               NUMBER(RING_SLOT_BYTES_MAX),
               NUMBER(RING_SLOTS_MIN),
               NUMBER(RING_SLOTS_MAX),
               NUMBER(RING_CHANNELS_MAX),
               NUMBER(RING_NUMBERS_MAX),
               NUMBER(RING_POLYNOMIAL_MAX),
               NUMBER(RING_STREAMS_MAX),
               NUMBER(RING_GATES_MAX),
               NUMBER(RING_CACHE_LINE_BYTES),
               NUMBER(RING_WRITER_LINE_BYTES),
               NUMBER(RING_FLAG_GAP),
               NUMBER(RING_FLAG_LOST_BEFORE),
               NUMBER(RING_FLAG_DUPLICATE),
               NUMBER(RING_FLAG_REORDERED),
               NUMBER(RING_FLAG_CAUSE_SHIFT),
               NUMBER(RING_TYPE_NONE),
               NUMBER(RING_TYPE_I8),
               NUMBER(RING_TYPE_U8),
               NUMBER(RING_TYPE_I16),
               NUMBER(RING_TYPE_U16),
               NUMBER(RING_TYPE_I32),
               NUMBER(RING_TYPE_U32),
               NUMBER(RING_TYPE_I64),
               NUMBER(RING_TYPE_U64),
               NUMBER(RING_TYPE_F32),
               NUMBER(RING_TYPE_F64),
               NUMBER(RING_TYPES),
               NUMBER(RING_LITTLE_ENDIAN),
               NUMBER(RING_BIG_ENDIAN),
               NUMBER(RING_CALIBRATION_LINEAR),
               NUMBER(RING_CALIBRATION_POLYNOMIAL),
               NUMBER(RING_CALIBRATION_POINTS),
               NUMBER(RING_CALIBRATION_THERMOCOUPLE),
               NUMBER(RING_CALIBRATION_LOGARITHMIC),
               NUMBER(RING_CALIBRATIONS),
               NUMBER(RING_THERMOCOUPLE_NONE),
               NUMBER(RING_THERMOCOUPLE_J),
               NUMBER(RING_THERMOCOUPLE_K),
               NUMBER(RING_THERMOCOUPLE_N),
               NUMBER(RING_THERMOCOUPLE_T),
               NUMBER(RING_THERMOCOUPLES),
               NUMBER(RING_STAMP_TAKEN),
               NUMBER(RING_STAMP_DEVICE),
               NUMBER(RING_STAMP_RECONSTRUCTED),
               NUMBER(RING_STAMP_ASKED),
               NUMBER(RING_GATE_FREE),
               NUMBER(RING_GATE_GATING),
               NUMBER(RING_GATE_DEMOTED),
               NUMBER(RING_GATE_NO_REASON),
               NUMBER(RING_GATE_DEADLINE),
               NUMBER(RING_GATE_NONSENSE),
               NUMBER(RING_LEASE_BYTES),
               NUMBER(RING_ORDERS_MAGIC),
               NUMBER(RING_ORDERS_BYTES),
               NUMBER(RING_LOSS_SENDER),
               NUMBER(RING_LOSS_KERNEL),
               NUMBER(RING_LOSS_NIC),
               NUMBER(RING_LOSS_RING_FULL),
               NUMBER(RING_LOSS_LATE),
               NUMBER(RING_LOSS_MALFORMED),
               NUMBER(RING_LOSS_TRUNCATED),
               NUMBER(RING_LOSS_RESTART),
               NUMBER(RING_LOSSES),
               NUMBER(RING_REFUSED_SHORT),
               NUMBER(RING_REFUSED_LONG),
               NUMBER(RING_REFUSED_STRANGER),
               NUMBER(RING_REFUSED_CHECKSUM),
               NUMBER(RING_REFUSED_SYNTAX),
               NUMBER(RING_REFUSED_FRAGMENT),
               NUMBER(RING_REFUSALS),
               NUMBER(RING_PAYLOAD_OFFSET_MAX),
               NUMBER(RING_NEWEST_BITS),
               NUMBER(PROTOCOL_FDS_MAX),
               NUMBER(PROTOCOL_INSTANCES_MAX),
               NUMBER(PROTOCOL_PERSON_BYTES),
               NUMBER(PROTOCOL_REASON_BYTES),
               NUMBER(PROTOCOL_ATTACH),
               NUMBER(PROTOCOL_BOARDS),
               NUMBER(PROTOCOL_ARM),
               NUMBER(PROTOCOL_RESET),
               NUMBER(PROTOCOL_TRIP),
               NUMBER(PROTOCOL_GATE),
               NUMBER(PROTOCOL_WAIT),
               NUMBER(PROTOCOL_BYPASS),
               NUMBER(PROTOCOL_UNBYPASS),
               NUMBER(PROTOCOL_PROOF_TEST),
               NUMBER(PROTOCOL_ACKNOWLEDGE_ALARM),
               NUMBER(PROTOCOL_SHELVE),
               NUMBER(PROTOCOL_UNSHELVE),
               NUMBER(PROTOCOL_ACKNOWLEDGE_CONFIG),
               NUMBER(PROTOCOL_RECORD),
               NUMBER(PROTOCOL_CONFIG),
               NUMBER(SLUICE_OLDEST),
               NUMBER(SLUICE_NEWEST),
               NUMBER(SLUICE_AT_TIME),
               NUMBER(SLUICE_AT_SEQUENCE),
               NUMBER(SLUICE_AT_POSITION),
               NUMBER(SLUICE_OBSERVER),
               NUMBER(SLUICE_GATING),
               NUMBER(SLUICE_STATE_OBSERVER),
               NUMBER(SLUICE_STATE_GATING),
               NUMBER(SLUICE_STATE_DEMOTED),
               NUMBER(SLUICE_STATE_EVICTED),
               NUMBER(SLUICE_FRAME_GAP),
               NUMBER(SLUICE_FRAME_LOST_BEFORE),
               NUMBER(SLUICE_FRAME_DUPLICATE),
               NUMBER(SLUICE_FRAME_REORDERED),
               NUMBER(SLUICE_HISTOGRAM),
               NUMBER(SLUICE_COUNTER),
               NUMBER(SLUICE_GAUGE),
               NUMBER(SLUICE_STATE_WORD),
               NUMBER(SLUICE_HISTOGRAM_BUCKETS)};

static void print_layout(FILE *to)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        fprintf(to, "%s %#llx\n", numbers[i].name, (unsigned long long)numbers[i].value);
    }
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        fprintf(to, "struct %s %zu bytes\n", all[i].name, all[i].bytes);
        for (size_t f = 0; f < all[i].count; f++) {
            const struct field *field = &all[i].fields[f];
            fprintf(to, "  %s.%s at %zu, %zu bytes\n", all[i].name, field->name, field->offset, field->bytes);
        }
    }
}

/* Reads the next line without its end; false: no more. */
static int next_line(FILE *from, char line[256])
{
    if (from == NULL || fgets(line, 256, from) == NULL) {
        snprintf(line, 256, "(nothing)");
        return 0;
    }
    line[strcspn(line, "\n")] = 0;
    return 1;
}

static int check(const char *path, const char *program)
{
    char *text = NULL;
    size_t bytes = 0;
    int differences = 0;
    FILE *memory = open_memstream(&text, &bytes);
    print_layout(memory);
    fclose(memory);
    FILE *ours = fmemopen(text, bytes, "r");
    FILE *golden = fopen(path, "re");
    if (golden == NULL) {
        fprintf(stderr, "%s: cannot open\n", path);
    }
    for (;;) {
        char a[256];
        char b[256];
        int more = next_line(ours, a) | next_line(golden, b);
        if (more == 0) {
            break;
        }
        if (strcmp(a, b) != 0 && differences++ < DIFFERENCES_SHOWN) {
            fprintf(stderr, "golden: %s\n  this: %s\n", b, a);
        }
    }
    fclose(ours);
    free(text);
    if (golden != NULL) {
        fclose(golden);
    }
    if (differences == 0) {
        return 0;
    }
    fprintf(stderr,
            "\n%d lines of the shared layout differ from %s. If that is meant: raise the version of what changed\n"
            "(RING_LAYOUT_VERSION, BOARD_LAYOUT_VERSION, CONTROL_TABLE_VERSION, PLAN_VERSION or PROTOCOL_VERSION), "
            "say\n"
            "so in CHANGELOG.md, and write the golden file anew: %s --write %s\n",
            differences, path, program, path);
    return 1;
}

static int write_golden(const char *path)
{
    FILE *to = fopen(path, "we");
    if (to == NULL) {
        fprintf(stderr, "%s: cannot write\n", path);
        return 1;
    }
    print_layout(to);
    return fclose(to) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        print_layout(stdout);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "--check") == 0) {
        return check(argv[2], argv[0]);
    }
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        return write_golden(argv[2]);
    }
    fprintf(stderr, "usage: layout-golden [--check FILE | --write FILE]\n");
    return 2;
}
