#include <criterion/criterion.h>
#include <stdlib.h>

#include "net/payload.h"

#define SEED UINT64_C(0x1234567)

static const uint32_t sizes[] = {0, 1, 7, 8, 9, 12, 60, 63, 64, 68, 100, 1500, 9000, 65472, 65536};

Test(payload, every_byte_is_written_and_adds_up)
{
    for (int wide = 0; wide < 2; wide++) {
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            uint32_t bytes = sizes[s];
            uint8_t *one = malloc(bytes + 4);
            uint8_t *other = malloc(bytes + 4);
            memset(one, 0, bytes + 4);
            memset(other, 0xff, bytes + 4);
            uint64_t base = payload_base(SEED, 7 + s);
            payload_fill(one, bytes, base);
            payload_fill(other, bytes, base);
            cr_assert_eq(memcmp(one, other, bytes), 0, "a byte of %u was left", bytes);
            cr_assert_eq(one[bytes], 0, "a byte behind %u was written", bytes);
            cr_assert_eq(payload_sum(one, bytes), payload_expected(bytes, base), "the sum of %u", bytes);
            free(one);
            free(other);
        }
        payload_init(); /* the second time with the widest instructions there are */
    }
}

Test(payload, a_wrong_byte_anywhere_changes_the_sum)
{
    uint8_t frame[1500];
    uint64_t base = payload_base(SEED, 1);
    for (uint32_t i = 0; i < sizeof(frame); i++) {
        payload_fill(frame, sizeof(frame), base);
        frame[i] ^= 1;
        cr_assert_neq(payload_sum(frame, sizeof(frame)), payload_expected(sizeof(frame), base), "byte %u", i);
    }
}

Test(payload, another_frame_has_another_sum)
{
    for (uint64_t number = 0; number < 1000; number++) {
        cr_assert_neq(payload_expected(64, payload_base(SEED, number)),
                      payload_expected(64, payload_base(SEED, number + 1)));
        cr_assert_neq(payload_expected(64, payload_base(SEED, number)),
                      payload_expected(64, payload_base(SEED + 1, number)));
    }
}

/* The generator fills a room once and sends frames of many sizes from it. */
Test(payload, a_shorter_frame_is_the_beginning_of_a_longer_one)
{
    uint8_t longest[200];
    uint8_t frame[200];
    uint64_t base = payload_base(SEED, 3);
    payload_fill(longest, sizeof(longest), base);
    for (uint32_t bytes = 0; bytes < sizeof(frame); bytes++) {
        payload_fill(frame, bytes, base);
        cr_assert_eq(memcmp(frame, longest, bytes), 0, "%u bytes", bytes);
    }
}
