/* The fuzz programs without libFuzzer, so that they run with every compiler and in every test run: each file of the
 * corpus as it is, then seeded mutations of it. The same inputs every time; it finds what came back, the fuzz stage
 * finds what is new.
 *
 *   fuzzshort_NAME CORPUS_DIRECTORY MAX_BYTES MUTATIONS
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"

#define FILES_MAX 64u
#define EDITS_MAX 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* NOLINT(readability-identifier-naming) */

struct input {
    uint8_t *bytes;
    size_t size;
};

/* 0, or -1: nothing there that can be read. */
static int load(struct input *input, const char *directory, const char *name, size_t max)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return -1;
    }
    input->bytes = malloc(max);
    input->size = input->bytes != NULL ? fread(input->bytes, 1, max, f) : 0;
    fclose(f);
    return input->size > 0 ? 0 : -1;
}

static unsigned load_all(struct input inputs[FILES_MAX], const char *directory, size_t max)
{
    unsigned count = 0;
    struct dirent **names;
    int n = scandir(directory, &names, NULL, alphasort); /* in the same order everywhere */
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.' && count < FILES_MAX &&
            load(&inputs[count], directory, names[i]->d_name, max) == 0) {
            count++;
        }
        free(names[i]);
    }
    if (n >= 0) {
        free(names);
    }
    return count;
}

/* A few bytes changed, a piece cut out or doubled. */
static size_t mutate(struct test_random *random, uint8_t *bytes, size_t size, size_t max)
{
    for (uint64_t edits = 1 + test_random_below(random, EDITS_MAX); edits > 0 && size > 1; edits--) {
        size_t at = test_random_below(random, size);
        size_t n = 1 + test_random_below(random, size - at);
        switch (test_random_below(random, 4)) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << test_random_below(random, 8));
            break;
        case 1:
            bytes[at] = (uint8_t)test_random_next(random);
            break;
        case 2: /* cut; something always stays */
            n = n < size ? n : size - 1;
            memmove(bytes + at, bytes + at + n, size - at - n);
            size -= n;
            break;
        default: /* doubled */
            n = n < max - size ? n : max - size;
            memmove(bytes + at + n, bytes + at, size - at);
            size += n;
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    static struct input inputs[FILES_MAX];
    struct test_random random = {1};
    size_t max = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    unsigned long mutations = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    uint8_t *bytes = max > 0 ? malloc(max) : NULL;
    unsigned count = bytes != NULL ? load_all(inputs, argv[1], max) : 0;
    if (count == 0) {
        fprintf(stderr, "expected CORPUS_DIRECTORY MAX_BYTES MUTATIONS with at least one file in the directory\n");
        return 2;
    }
    for (unsigned i = 0; i < count; i++) {
        (void)LLVMFuzzerTestOneInput(inputs[i].bytes, inputs[i].size);
    }
    for (unsigned long n = 0; n < mutations; n++) {
        const struct input *from = &inputs[test_random_below(&random, count)];
        memcpy(bytes, from->bytes, from->size);
        (void)LLVMFuzzerTestOneInput(bytes, mutate(&random, bytes, from->size, max));
    }
    printf("%u files of the corpus and %lu mutations of them\n", count, mutations);
    for (unsigned i = 0; i < count; i++) {
        free(inputs[i].bytes);
    }
    free(bytes);
    return 0;
}
