/* Every way from one end to the other, both ends in one thread: what is sent arrives, and what is not what was to
 * come is found. iceoryx needs its daemon and is left to bench_ring_json; so are the two that wait in the system.
 */
#include <criterion/criterion.h>

#include "bench/peer.h"

static const struct peer *const peers[] = {&peer_ours_observer,  &peer_ours_gating,   &peer_floor_counter,
                                           &peer_rte_ring_zc,    &peer_rte_ring_copy, &peer_ck_ring_value,
                                           &peer_ck_ring_pointer};
#define PEERS (sizeof(peers) / sizeof(peers[0]))

static const uint32_t sizes[] = {64, 1500, 9000, 65472};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void *open_link(const struct peer *peer, struct link_spec *spec)
{
    struct error err = {{0}};
    bool small_only = peer == &peer_rte_ring_copy || peer == &peer_ck_ring_value;
    if (small_only && spec->size_bytes != PAYLOAD_SMALL_BYTES) {
        cr_assert_null(peer->open(spec, &err));
        cr_assert_neq(err.text[0], 0);
        return NULL;
    }
    void *link = peer->open(spec, &err);
    cr_assert_not_null(link, "%s: %s", peer->name, err.text);
    return link;
}

/* Several times round the ring, in steps that do not divide it. */
static void pass_frames(const struct peer *peer, struct link_spec *spec)
{
    void *link = open_link(peer, spec);
    if (link == NULL) {
        return;
    }
    struct tally tally = {0};
    uint64_t frames = 3 * bench_slots(bench_lines(spec->size_bytes)) + 7;
    for (uint64_t next = 0; next < frames;) {
        uint32_t sent = peer->send(link, next, spec->batch);
        cr_assert_gt(sent, 0, "%s is full", peer->name);
        next += sent;
        for (uint32_t got = 0; got < sent;) {
            uint32_t n = peer->receive(link, 0, &tally, 5);
            cr_assert_gt(n, 0, "%s of %u bytes: frame %lu did not come", peer->name, spec->size_bytes, tally.next);
            got += n;
        }
        cr_assert_eq(tally.next, next);
    }
    cr_assert_eq(tally.frames, tally.next);
    cr_assert_eq(tally.wrong, 0);
    cr_assert_eq(tally.lost, 0);
    cr_assert_eq(peer->receive(link, 0, &tally, 5), 0, "nothing was sent");
    peer->close(link);
}

Test(peers, frames_arrive_whole_and_in_order)
{
    payload_init();
    for (size_t p = 0; p < PEERS; p++) {
        for (size_t s = 0; s < SIZES; s++) {
            for (uint32_t batch = 1; batch <= 32; batch += 31) {
                struct link_spec spec = {.size_bytes = sizes[s], .batch = batch, .readers = 1, .seed = 99};
                pass_frames(peers[p], &spec);
            }
        }
    }
}

Test(peers, a_frame_that_is_not_the_next_one_is_wrong)
{
    for (size_t p = 0; p < PEERS; p++) {
        struct link_spec spec = {.size_bytes = 64, .batch = 1, .readers = 1, .seed = 99};
        void *link = open_link(peers[p], &spec);
        struct tally tally = {0};
        cr_assert_eq(peers[p]->send(link, 1, 1), 1);
        peers[p]->receive(link, 0, &tally, 1);
        cr_assert_eq(tally.wrong, 1, "%s", peers[p]->name);
        cr_assert_eq(tally.frames, 0, "%s", peers[p]->name);
        peers[p]->close(link);
    }
}

/* Those that lose nothing say that they are full; the observer goes on, and the reader knows how many it lost. */
Test(peers, a_reader_that_does_not_read)
{
    for (size_t p = 0; p < PEERS; p++) {
        struct link_spec spec = {.size_bytes = 64, .batch = 1, .readers = 1, .seed = 99};
        void *link = open_link(peers[p], &spec);
        struct tally tally = {0};
        uint64_t frames = 2 * bench_slots(64);
        uint64_t sent = 0;
        while (sent < frames && peers[p]->send(link, sent, 1) == 1) {
            sent++;
        }
        while (peers[p]->receive(link, 0, &tally, 64) > 0) {
        }
        bool observer = peers[p] == &peer_ours_observer;
        cr_assert_eq(sent == frames, observer, "%s %s", peers[p]->name, peers[p]->mode);
        cr_assert_eq(tally.lost > 0, observer, "%s %s", peers[p]->name, peers[p]->mode);
        cr_assert_eq(tally.frames + tally.lost, sent, "%s %s", peers[p]->name, peers[p]->mode);
        cr_assert_eq(tally.wrong, 0);
        peers[p]->close(link);
    }
}
