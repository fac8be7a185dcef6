/* Run with heapwatch preloaded: enters the heap after the hook and must be ended for it. The first argument says by
 * which function; `none` ends well. Exit 2: heapwatch is not there.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *volatile sink; /* keeps the compiler from taking a pair of malloc and free away */

static void enter_heap(const char *how, void *before)
{
    void *p = NULL;
    if (strcmp(how, "malloc") == 0) {
        sink = malloc(100);
    } else if (strcmp(how, "calloc") == 0) {
        sink = calloc(10, 10);
    } else if (strcmp(how, "realloc") == 0) {
        sink = realloc(before, 200);
    } else if (strcmp(how, "free") == 0) {
        free(before);
    } else if (strcmp(how, "aligned_alloc") == 0) {
        sink = aligned_alloc(64, 128);
    } else if (strcmp(how, "posix_memalign") == 0) {
        sink = posix_memalign(&p, 64, 128) == 0 ? p : NULL;
    } else if (strcmp(how, "strdup") == 0) { /* from inside libc */
        sink = strdup(how);
    }
}

int main(int argc, char **argv)
{
    void (*hook)(void) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "sluice_test_sealed");
    memcpy(&hook, &symbol, sizeof(hook));
    if (argc != 2 || hook == NULL) {
        fputs("heapwatch-negative: wants one argument and heapwatch in LD_PRELOAD\n", stderr);
        return 2;
    }
    void *before = malloc(100);
    sink = before;
    hook();
    enter_heap(argv[1], before);
    _Exit(0);
}
