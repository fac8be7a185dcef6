/* Preloaded into a server (LD_PRELOAD): from the seal on, a thread that enters the heap says so and ends. The seal
 * tells us through sluice_test_sealed() (control/seal.c). glibc's own entry points stand behind ours.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *libc_malloc(size_t bytes) __asm__("__libc_malloc");
extern void *libc_calloc(size_t count, size_t bytes) __asm__("__libc_calloc");
extern void *libc_realloc(void *old, size_t bytes) __asm__("__libc_realloc");
extern void *libc_memalign(size_t alignment, size_t bytes) __asm__("__libc_memalign");
extern void libc_free(void *p) __asm__("__libc_free");

void sluice_test_sealed(void);

/* initial-exec: the first use of this variable must not itself enter the heap. */
static __thread bool sealed __attribute__((tls_model("initial-exec")));

void sluice_test_sealed(void)
{
    static const char text[] = "heapwatch: watching a sealed thread\n";
    sealed = true;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
}

static void look(const char *function)
{
    static const char text[] = "heapwatch: a sealed thread called ";
    if (sealed) {
        (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
        (void)!write(STDERR_FILENO, function, strlen(function));
        (void)!write(STDERR_FILENO, "\n", 1);
        abort(); /* the seal kills it for the system call in there, if nothing else does */
    }
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the header's are __ptr and __size */
void *malloc(size_t bytes)
{
    look("malloc");
    return libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    look("calloc");
    return libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    look("realloc");
    return libc_realloc(old, bytes);
}

void free(void *p)
{
    look("free");
    libc_free(p);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    look("aligned_alloc");
    return libc_memalign(alignment, bytes);
}

int posix_memalign(void **p, size_t alignment, size_t bytes)
{
    look("posix_memalign");
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) {
        return EINVAL;
    }
    void *got = libc_memalign(alignment, bytes);
    if (got == NULL) {
        return ENOMEM;
    }
    *p = got;
    return 0;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
