/* The text format of HdrHistogram: shares that rise, counts that end at all of them, values that are there. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"
#include "tools/hgrm.h"

static struct histogram h;

struct lines {
    uint32_t count;
    double value, share;
    unsigned long long seen;
    char mean[256], max[256];
};

/* Reads what was printed back, line by line; nothing in it may fall. */
static struct lines read_back(double unit_ns)
{
    struct lines lines = {0};
    char line[256];
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    hgrm_print(&h, unit_ns, 5, file);
    rewind(file);
    cr_assert_not_null(fgets(line, sizeof(line), file));
    cr_assert_eq(strspn(line, " "), 7);
    cr_assert_not_null(strstr(line, "Value     Percentile TotalCount 1/(1-Percentile)"), "%s", line);
    cr_assert_not_null(fgets(line, sizeof(line), file));
    while (fgets(line, sizeof(line), file) != NULL && line[0] != '#') {
        char *at = line;
        double value = strtod(at, &at);
        double share = strtod(at, &at);
        unsigned long long seen = strtoull(at, &at, 10);
        cr_assert_geq(value, lines.value);
        cr_assert_geq(share, lines.share);
        cr_assert_geq(seen, lines.seen);
        cr_assert_leq(share, 1.0);
        if (share < 1) {
            cr_assert_float_eq(strtod(at, &at) * (1 - share), 1, 0.01);
        }
        lines = (struct lines){.count = lines.count + 1, .value = value, .share = share, .seen = seen};
    }
    snprintf(lines.mean, sizeof(lines.mean), "%s", line);
    cr_assert_not_null(fgets(lines.max, sizeof(lines.max), file));
    fclose(file);
    return lines;
}

Test(hgrm, an_empty_one)
{
    memset(&h, 0, sizeof(h));
    struct lines lines = read_back(1000);
    cr_assert_eq(lines.count, 0);
    cr_assert_not_null(strstr(lines.max, "Total count    =            0]"), "%s", lines.max);
}

Test(hgrm, one_value_is_every_percentile)
{
    memset(&h, 0, sizeof(h));
    hist_record(&h, 12345);
    struct lines lines = read_back(1000);
    cr_assert_float_eq(lines.value, 12.345, 1e-9);
    cr_assert_float_eq(lines.share, 1, 1e-12);
    cr_assert_eq(lines.seen, 1);
    cr_assert_not_null(strstr(lines.mean, "12.345"), "%s", lines.mean);
}

Test(hgrm, percentiles_are_those_of_the_histogram)
{
    struct test_random random = {7};
    memset(&h, 0, sizeof(h));
    for (uint32_t i = 0; i < 100000; i++) {
        hist_record(&h, 500 + test_random_below(&random, 100000));
    }
    hist_record(&h, 50000000);
    struct lines lines = read_back(1);
    cr_assert_eq(lines.seen, 100001);
    cr_assert_float_eq(lines.value, 50000000, 1e-6);
    cr_assert_gt(lines.count, 50); /* five to each half of what is left */
    double deviation = 100000 / sqrt(12.0);
    cr_assert_float_eq(hgrm_deviation_ns(&h), sqrt(deviation * deviation + 50000000.0 * 50000000.0 / 100001), 4000);
}
