/* Who may command. Names of users and groups in the configuration become numbers once, before anything starts; a
 * client is known by what the kernel says of the other end of its socket. Root and the server's own user always
 * may: they could stop the server anyway. Cold.
 */
#ifndef DAQ_AUTHORITY_H
#define DAQ_AUTHORITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ring/error.h"

#define AUTHORITY_NAMES_MAX  32u /* users, and groups, of one key */
#define AUTHORITY_USER_BYTES 32u

enum authority_act {
    AUTHORITY_ARM = 0,
    AUTHORITY_RESET = 1,
    AUTHORITY_TRIP = 2,
    AUTHORITY_BYPASS = 3, /* and its end */
    AUTHORITY_PROOF_TEST = 4,
    AUTHORITY_ACKNOWLEDGE = 5, /* alarms (shelving too) and the configuration */
    AUTHORITY_RECORD = 6,
    AUTHORITY_ACTS = 7
};

struct authority_rule {
    uint32_t anybody; /* 1: whoever can connect */
    uint32_t users;
    uint32_t groups;
    uid_t user[AUTHORITY_NAMES_MAX];
    gid_t group[AUTHORITY_NAMES_MAX];
};

struct authority_plan {
    struct authority_rule act[AUTHORITY_ACTS];
};

/* The other end of a connection, as it was when it connected. */
struct authority_peer {
    uid_t uid;
    gid_t gid;
    pid_t pid;
    const gid_t *group; /* supplementary ones */
    uint32_t groups;
};

/* The key of the configuration: "arm" .. Any thread. */
const char *authority_key(enum authority_act act);

/* A request's act. False: no command (ring/protocol.h). Pure. */
bool authority_act_of(uint32_t op, enum authority_act *act);

/* Pure. `own`: the server's user. */
bool authority_allows(const struct authority_rule *rule, const struct authority_peer *peer, uid_t own);

/* Fills *peer; its groups stand in room that the next call takes. 0 or -errno, the peer then without groups. Main
 * thread. */
int authority_peer_of(int socket_fd, struct authority_peer *peer);

/* The name of a user as /etc/passwd has it, else its number. Asks no directory service, which might take its time.
 * Main thread. */
void authority_user_name(uid_t uid, char name[AUTHORITY_USER_BYTES]);

#endif
