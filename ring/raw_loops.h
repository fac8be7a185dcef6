/* One loop for each type of raw value and byte order, so that both are constants in it and what is left of the
 * decoding is a load. LOOP(name, type, word, load) defines the function `name`: load(w) brings a word of the
 * value's size into host order, its bits are the value. A file that includes this has its own LOOP, and tables of
 * its functions. */
#ifndef RING_RAW_LOOPS_H
#define RING_RAW_LOOPS_H

#define RAW_AS_IT_IS(w) (w)

#define RAW_LOOPS(LOOP)                                                                                            \
    LOOP(little_i8, int8_t, uint8_t, RAW_AS_IT_IS)                                                                 \
    LOOP(little_u8, uint8_t, uint8_t, RAW_AS_IT_IS)                                                                \
    LOOP(little_i16, int16_t, uint16_t, RAW_AS_IT_IS)                                                              \
    LOOP(little_u16, uint16_t, uint16_t, RAW_AS_IT_IS)                                                             \
    LOOP(little_i32, int32_t, uint32_t, RAW_AS_IT_IS)                                                              \
    LOOP(little_u32, uint32_t, uint32_t, RAW_AS_IT_IS)                                                             \
    LOOP(little_i64, int64_t, uint64_t, RAW_AS_IT_IS)                                                              \
    LOOP(little_u64, uint64_t, uint64_t, RAW_AS_IT_IS)                                                             \
    LOOP(little_f32, float, uint32_t, RAW_AS_IT_IS)                                                                \
    LOOP(little_f64, double, uint64_t, RAW_AS_IT_IS)                                                               \
    LOOP(big_i16, int16_t, uint16_t, __builtin_bswap16)                                                            \
    LOOP(big_u16, uint16_t, uint16_t, __builtin_bswap16)                                                           \
    LOOP(big_i32, int32_t, uint32_t, __builtin_bswap32)                                                            \
    LOOP(big_u32, uint32_t, uint32_t, __builtin_bswap32)                                                           \
    LOOP(big_i64, int64_t, uint64_t, __builtin_bswap64)                                                            \
    LOOP(big_u64, uint64_t, uint64_t, __builtin_bswap64)                                                           \
    LOOP(big_f32, float, uint32_t, __builtin_bswap32)                                                              \
    LOOP(big_f64, double, uint64_t, __builtin_bswap64)

/* By enum ring_type. A byte has no order. */
#define RAW_LITTLE                                                                                                 \
    {                                                                                                              \
        NULL, little_i8, little_u8, little_i16, little_u16, little_i32, little_u32, little_i64, little_u64,        \
            little_f32, little_f64                                                                                 \
    }
#define RAW_BIG                                                                                                    \
    {                                                                                                              \
        NULL, little_i8, little_u8, big_i16, big_u16, big_i32, big_u32, big_i64, big_u64, big_f32, big_f64         \
    }

#endif
