/* Recordings: frames as they are, and files that are none. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/gen/recording.h"

static char path[] = "/tmp/sluice-gen-XXXXXX";

static void write_file(const void *bytes, size_t count)
{
    static bool made;
    int fd = made ? -1 : mkstemp(path);
    made = true;
    if (fd >= 0) {
        close(fd);
    }
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, count, file), count);
    fclose(file);
}

static void remove_file(void)
{
    unlink(path);
}

TestSuite(gen_recording, .fini = remove_file);

static void vdif_frame(uint8_t *to, uint32_t bytes, uint8_t mark)
{
    memset(to, mark, bytes);
    to[8] = (uint8_t)(bytes / 8);
    to[9] = (uint8_t)(bytes / 8 >> 8);
    to[10] = (uint8_t)(bytes / 8 >> 16);
}

Test(gen_recording, vdif_frames_of_any_lengths)
{
    static uint8_t file[32 + 1056 + 5032];
    struct recording r = {0};
    struct error err = {{0}};
    vdif_frame(file, 32, 1);
    vdif_frame(file + 32, 1056, 2);
    vdif_frame(file + 32 + 1056, 5032, 3);
    write_file(file, sizeof(file));
    cr_assert_eq(recording_open_vdif(&r, path, 65507, &err), 0, "%s", err.text);
    cr_assert_eq(r.frames, 3);
    cr_assert_eq(r.count[0], 32);
    cr_assert_eq(r.count[1], 1056);
    cr_assert_eq(r.count[2], 5032);
    cr_assert_eq(r.longest, 5032);
    cr_assert_eq(memcmp(r.bytes, file, sizeof(file)), 0);
    recording_close(&r);
}

Test(gen_recording, what_is_no_vdif_is_told_with_its_place)
{
    static uint8_t file[3000];
    struct recording r = {0};
    struct error err = {{0}};
    vdif_frame(file, 1000, 1);
    vdif_frame(file + 1000, 0, 1); /* a length of 0 */
    write_file(file, sizeof(file));
    cr_assert_lt(recording_open_vdif(&r, path, 65507, &err), 0);
    cr_assert(strstr(err.text, "at byte 1000") != NULL, "%s", err.text);
    recording_close(&r);

    vdif_frame(file, 1000, 1);
    write_file(file, 999);
    cr_assert_lt(recording_open_vdif(&r, path, 65507, &err), 0);
    cr_assert(strstr(err.text, "expected 1000 bytes in its last frame, found 999") != NULL, "%s", err.text);
    recording_close(&r);

    write_file(file, 1007);
    cr_assert_lt(recording_open_vdif(&r, path, 999, &err), 0);
    cr_assert(strstr(err.text, "found one of 1000 bytes") != NULL, "%s", err.text);
    recording_close(&r);

    write_file(file, 0);
    cr_assert_lt(recording_open_vdif(&r, path, 65507, &err), 0);
    cr_assert(strstr(err.text, "found an empty file") != NULL, "%s", err.text);
    recording_close(&r);

    remove_file();
    cr_assert_lt(recording_open_vdif(&r, path, 65507, &err), 0);
    cr_assert(strstr(err.text, "No such file") != NULL, "%s", err.text);
    recording_close(&r);
}

struct capture {
    uint8_t bytes[20000];
    uint32_t used;
};

static void put32(struct capture *c, uint32_t value)
{
    memcpy(c->bytes + c->used, &value, 4); /* a capture has its writer's byte order */
    c->used += 4;
}

static void begin(struct capture *c, uint32_t link_type)
{
    c->used = 0;
    put32(c, 0xa1b2c3d4);
    put32(c, 4u << 16 | 2);
    put32(c, 0);
    put32(c, 0);
    put32(c, 65535);
    put32(c, link_type);
}

static void packet(struct capture *c, const uint8_t *bytes, uint32_t count, uint32_t whole)
{
    put32(c, 1);
    put32(c, 0);
    put32(c, count);
    put32(c, whole);
    memcpy(c->bytes + c->used, bytes, count);
    c->used += count;
}

/* An Ethernet frame with IPv4 and UDP, `options` more words of IP header, `tags` of VLAN. Its bytes. */
static uint32_t udp_frame(uint8_t *to, uint32_t tags, uint32_t options, uint32_t fragment, uint32_t payload)
{
    uint32_t at = 12;
    memset(to, 0, 200);
    for (uint32_t i = 0; i < tags; i++, at += 4) {
        to[at] = i + 1 < tags ? 0x88 : 0x81;
        to[at + 1] = i + 1 < tags ? 0xa8 : 0x00;
    }
    to[at] = 8;
    at += 2;
    to[at] = (uint8_t)(0x45 + options);
    to[at + 6] = (uint8_t)(fragment >> 8);
    to[at + 7] = (uint8_t)fragment;
    to[at + 9] = 17;
    at += 20 + 4 * options;
    to[at + 5] = (uint8_t)(8 + payload);
    memset(to + at + 8, 0x77, payload);
    return at + 8 + payload;
}

static int read_capture(struct recording *r, const struct capture *c, enum recording_part part, struct error *err)
{
    *r = (struct recording){0};
    write_file(c->bytes, c->used);
    return recording_open_pcap(r, path, part, 65507, err);
}

Test(gen_recording, captures)
{
    static struct capture c;
    static uint8_t frame[300];
    struct recording r;
    struct error err = {{0}};
    begin(&c, 1);
    packet(&c, frame, udp_frame(frame, 0, 0, 0, 10), 52);
    packet(&c, frame, udp_frame(frame, 2, 1, 0x4000, 20),
           52 + 8 + 4 + 10);                                   /* tags, IP options, "do not fragment" */
    packet(&c, frame, udp_frame(frame, 0, 0, 0x2000, 30), 72); /* a first fragment */
    packet(&c, frame, udp_frame(frame, 0, 0, 7, 30), 72);      /* a later one */
    udp_frame(frame, 0, 0, 0, 40);
    packet(&c, frame, 60, 60); /* ends before the payload does */
    frame[23] = 6;             /* TCP */
    packet(&c, frame, 82, 82);
    packet(&c, frame, 14, 14);
    packet(&c, frame, udp_frame(frame, 0, 0, 0, 0), 42);
    cr_assert_eq(read_capture(&r, &c, RECORDING_WHOLE, &err), 0, "%s", err.text);
    cr_assert_eq(r.frames, 8);
    cr_assert_eq(r.count[0], 52);
    recording_close(&r);
    cr_assert_eq(read_capture(&r, &c, RECORDING_UDP_PAYLOAD, &err), 0, "%s", err.text);
    cr_assert_eq(r.frames, 3);
    cr_assert_eq(r.count[0], 10);
    cr_assert_eq(r.count[1], 20);
    cr_assert_eq(r.count[2], 0);
    for (uint32_t i = 0; i < 30; i++) {
        cr_assert_eq(r.bytes[i], 0x77);
    }
    recording_close(&r);
}

Test(gen_recording, captures_that_are_refused)
{
    static struct capture c;
    static uint8_t frame[300];
    struct recording r;
    struct error err = {{0}};
    begin(&c, 101); /* raw IP */
    cr_assert_lt(read_capture(&r, &c, RECORDING_WHOLE, &err), 0);
    cr_assert(strstr(err.text, "expected a capture of Ethernet") != NULL, "%s", err.text);
    begin(&c, 1);
    cr_assert_lt(read_capture(&r, &c, RECORDING_WHOLE, &err), 0);
    cr_assert(strstr(err.text, "found none") != NULL, "%s", err.text);
    packet(&c, frame, 60, 1500);
    cr_assert_lt(read_capture(&r, &c, RECORDING_WHOLE, &err), 0);
    cr_assert(strstr(err.text, "found one of 1500 bytes cut to 60") != NULL, "%s", err.text);
    recording_close(&r);
    begin(&c, 1);
    packet(&c, frame, 60, 60);
    c.used -= 10;
    cr_assert_lt(read_capture(&r, &c, RECORDING_WHOLE, &err), 0);
    cr_assert(strstr(err.text, "expected a whole capture") != NULL, "%s", err.text);
    recording_close(&r);
    cr_assert_lt(read_capture(&r, &(struct capture){.used = 100}, RECORDING_WHOLE, &err), 0);
    cr_assert(strstr(err.text, "expected a capture (pcap, pcapng)") != NULL, "%s", err.text);
    recording_close(&r);
}
