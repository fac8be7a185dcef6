/* What a stream does to its frames, seen at a socket: one that lies about itself, repeats itself or is damaged. */
#include <criterion/criterion.h>
#include <endian.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/plant/stream.h"

static struct plant_physics physics;
static struct plant_sensors sensors;
static struct plant_stream stream;
static unsigned first_sendings;
static int receiver = -1;

static void count_sent(void *context, struct plant_stream *from, const struct plant_frame *frame, uint64_t sent_ns)
{
    (void)context;
    (void)from;
    (void)sent_ns;
    first_sendings += !frame->repeated;
}

static void open_stream(void)
{
    struct plant_parameters parameters;
    struct sockaddr_in *to = (struct sockaddr_in *)&stream.udp_to.storage;
    socklen_t bytes = sizeof(*to);

    plant_parameters_default(&parameters);
    plant_physics_init_running(&physics, &parameters, 1);
    plant_sensors_init(&sensors, 1);
    stream = (struct plant_stream){.id = PLANT_STREAM_UDP, .rate_hz = 1000, .sent = count_sent};
    receiver = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htobe32(INADDR_LOOPBACK)};
    cr_assert_eq(bind(receiver, (struct sockaddr *)to, bytes), 0);
    cr_assert_eq(getsockname(receiver, (struct sockaddr *)to, &bytes), 0);
    stream.udp_to.length_bytes = bytes;
    stream.udp_fd = socket(AF_INET, SOCK_DGRAM, 0);
    first_sendings = 0;
}

static void close_stream(void)
{
    close(receiver);
    close(stream.udp_fd);
}

TestSuite(plant_stream, .init = open_stream, .fini = close_stream);

struct got {
    ssize_t length_bytes; /* < 0: nothing came */
    uint32_t sequence;
    uint64_t tai_ns;
    uint32_t chamber_bits;
    bool intact;
};

/* The next sample is taken 10 ms later; what arrived of it. */
static void sample(uint64_t tai_ns)
{
    for (unsigned i = 0; i < 200; i++)
        plant_physics_step(&physics);
    plant_stream_sample(&stream, &sensors, &physics, tai_ns);
    plant_stream_flush(&stream);
}

static struct got next_frame(void)
{
    uint8_t frame[64] = {0};
    struct got got = {.length_bytes = recv(receiver, frame, sizeof(frame), 0)};

    memcpy(&got.sequence, frame + 4, 4);
    got.sequence = be32toh(got.sequence);
    memcpy(&got.tai_ns, frame + 8, 8);
    got.tai_ns = be64toh(got.tai_ns);
    memcpy(&got.chamber_bits, frame + 16, 4);
    got.intact = got.length_bytes == PLANT_FRAME_BYTES && plant_crc16(frame + 4, 28) == 0;
    return got;
}

Test(plant_stream, frozen_looks_fresh)
{
    struct got before, after;

    sample(1000);
    before = next_frame();
    stream.frozen = true;
    sample(2000);
    after = next_frame();
    cr_assert(before.intact && after.intact);
    cr_assert_eq(after.sequence, before.sequence + 1);
    cr_assert_eq(after.tai_ns, 2000);
    cr_assert_eq(after.chamber_bits, before.chamber_bits);
    stream.frozen = false;
    sample(3000);
    after = next_frame();
    cr_assert_neq(after.chamber_bits, before.chamber_bits, "it measures again");
}

Test(plant_stream, repeats_itself_to_the_bit)
{
    struct got before, after;

    sample(1000);
    before = next_frame();
    stream.repeating = true;
    sample(2000);
    sample(3000);
    for (unsigned i = 0; i < 2; i++) {
        after = next_frame();
        cr_assert(after.intact && after.sequence == before.sequence && after.tai_ns == before.tai_ns);
    }
    cr_assert_eq(first_sendings, 1, "nobody waits for an answer to a repetition");
    stream.repeating = false;
    sample(4000);
    cr_assert_eq(next_frame().sequence, before.sequence + 1, "its numbers go on without a gap");
}

Test(plant_stream, damaged_frames_and_no_more_than_asked_for)
{
    stream.corrupt_frames_left = 2;
    for (unsigned i = 0; i < 3; i++) {
        struct got got;

        sample(1000);
        got = next_frame();
        cr_assert_eq(got.length_bytes, PLANT_FRAME_BYTES);
        cr_assert_eq(got.intact, i == 2, "frame %u", i);
    }
    stream.cut_frames_left = 1;
    stream.cut_bytes = 20;
    sample(1000);
    cr_assert_eq(next_frame().length_bytes, 20);
    sample(1000);
    cr_assert(next_frame().intact);
}

Test(plant_stream, more_than_due_and_a_clock_that_is_ahead)
{
    uint64_t due = stream.due_index;

    stream.clock_ahead_ns = -500;
    for (unsigned i = 0; i < 100; i++)
        plant_stream_extra(&stream, &sensors, &physics, 1000);
    plant_stream_flush(&stream);
    for (uint32_t i = 0; i < 100; i++) {
        struct got got = next_frame();

        cr_assert(got.intact && got.sequence == i && got.tai_ns == 500);
    }
    cr_assert_eq(stream.due_index, due, "the schedule knows nothing of them");
}
