/* Numbers as text. Pure. */
#ifndef EXPORT_NUMBER_H
#define EXPORT_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NUMBER_BYTES 32u

/* The shortest decimal that reads back to the same double; "" for NaN and infinities. Letters written. */
size_t number_text(double value, char to[NUMBER_BYTES]);

#define TIME_TEXT_BYTES 40u
/* "2026-11-26T14:30:00.123456789Z". Letters written. */
size_t time_text(uint64_t utc_ns, char to[TIME_TEXT_BYTES]);

enum time_kind {
    TIME_IS_NONE = 0,
    TIME_IS_FROM_BEGIN = 1, /* ns */
    TIME_IS_UTC = 2,        /* ns since 1970 */
    TIME_IS_TAI = 3         /* ns since 1970 */
};

/* "12.5", "+12.5"; "2026-11-26T14:30:00.5Z"; "@1795703437000000000". TIME_IS_NONE: it is no such time. */
enum time_kind time_parse(const char *text, uint64_t *ns);

#endif
