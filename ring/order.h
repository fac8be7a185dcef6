/* The two orderings that an acquire or a release alone does not give, for whoever writes and reads shared memory
 * without a lock. x86-64 keeps loads in order, and stores in order, so that it is the compiler that must not move
 * them; elsewhere a fence is needed. Hot.
 */
#ifndef RING_ORDER_H
#define RING_ORDER_H

/* Between reading what a word guards (a claim, a version) and looking at that word again. */
static inline void ring_reads_before(void)
{
#if defined(__x86_64__)
    __asm__ volatile("" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

/* Between a word that says "from here on I write" and what is written: an exchange or a sequentially consistent
 * store orders what stands before it, not what stands behind it (AArch64). */
static inline void ring_writes_behind(void)
{
#if defined(__x86_64__)
    __asm__ volatile("" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

#endif
