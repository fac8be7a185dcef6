/* Who may command: users, groups, anybody; and what the kernel says of the other end. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daq/authority.h"
#include "ring/protocol.h"

#define SERVER 990

static const gid_t some[] = {100, 200, 300};

static struct authority_peer peer(uid_t uid, gid_t gid, uint32_t groups)
{
    return (struct authority_peer){.uid = uid, .gid = gid, .group = some, .groups = groups};
}

Test(authority, nobody_is_named)
{
    struct authority_rule rule = {.anybody = 0};
    struct authority_peer stranger = peer(1000, 1000, 3);
    struct authority_peer root = peer(0, 0, 0);
    struct authority_peer own = peer(SERVER, 5, 0);
    cr_assert(!authority_allows(&rule, &stranger, SERVER));
    cr_assert(authority_allows(&rule, &root, SERVER), "root could stop the server anyway");
    cr_assert(authority_allows(&rule, &own, SERVER));
    rule.anybody = 1;
    cr_assert(authority_allows(&rule, &stranger, SERVER));
}

Test(authority, users_and_groups)
{
    struct authority_rule rule = {.users = 2, .user = {7, 1000}, .groups = 2, .group = {50, 300}};
    struct authority_peer named = peer(1000, 1, 0);
    struct authority_peer first = peer(1001, 50, 0);
    struct authority_peer last = peer(1001, 1, 3);
    struct authority_peer other = peer(1001, 1, 2);
    cr_assert(authority_allows(&rule, &named, SERVER));
    cr_assert(authority_allows(&rule, &first, SERVER));
    cr_assert(authority_allows(&rule, &last, SERVER), "the last of its groups");
    cr_assert(!authority_allows(&rule, &other, SERVER), "beyond the count there is nothing");
}

Test(authority, who_is_not_known_may_what_anybody_may)
{
    struct authority_rule rule = {.users = 1, .user = {(uid_t)-1}};
    struct authority_peer unknown = peer((uid_t)-1, (gid_t)-1, 0);
    cr_assert(!authority_allows(&rule, &unknown, SERVER));
    cr_assert(!authority_allows(&rule, &unknown, (uid_t)-1));
    rule.anybody = 1;
    cr_assert(authority_allows(&rule, &unknown, SERVER));
}

Test(authority, every_command_has_a_key_and_nothing_else_has)
{
    enum authority_act act;
    for (uint32_t op = 0; op < 64; op++) {
        bool command =
            (op >= PROTOCOL_ARM && op <= PROTOCOL_TRIP) || (op >= PROTOCOL_BYPASS && op <= PROTOCOL_RECORD);
        cr_assert_eq(authority_act_of(op, &act), command, "op %u", op);
        cr_assert(!command || act < AUTHORITY_ACTS);
    }
    cr_assert_str_eq(authority_key(AUTHORITY_PROOF_TEST), "proof_test");
}

Test(authority, what_the_kernel_says)
{
    int fds[2];
    struct authority_peer got;
    gid_t groups[64];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    cr_assert_eq(authority_peer_of(fds[0], &got), 0);
    cr_assert_eq(got.uid, geteuid());
    cr_assert_eq(got.gid, getegid());
    cr_assert_eq(got.pid, getpid());
    int n = getgroups(64, groups);
    cr_assert_eq(got.groups, (uint32_t)n);
    cr_assert_eq(memcmp(got.group, groups, (size_t)n * sizeof(gid_t)), 0);
    cr_assert_neq(authority_peer_of(STDIN_FILENO, &got), 0);
    cr_assert_eq(got.uid, (uid_t)-1);
    cr_assert_eq(got.groups, 0);
}

Test(authority, names)
{
    char name[AUTHORITY_USER_BYTES];
    for (int i = 0; i < 3; i++) { /* the second time from memory */
        authority_user_name(0, name);
        cr_assert_str_eq(name, "root");
        for (uid_t uid = 4000000000u; uid < 4000000012u; uid++) {
            char number[AUTHORITY_USER_BYTES];
            snprintf(number, sizeof(number), "uid %u", (unsigned)uid);
            authority_user_name(uid, name);
            cr_assert_str_eq(name, number);
        }
    }
}
