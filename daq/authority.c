#include "daq/authority.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>

#include "ring/protocol.h"

#define GROUPS_MAX   65536u /* the kernel's NGROUPS_MAX */
#define NAMES_CACHED 8u
#define PASSWD_BYTES 1024

const char *authority_key(enum authority_act act)
{
    static const char *const names[AUTHORITY_ACTS] = {"arm",        "reset",       "trip",  "bypass",
                                                      "proof_test", "acknowledge", "record"};
    return act < AUTHORITY_ACTS ? names[act] : "unknown";
}

bool authority_act_of(uint32_t op, enum authority_act *act)
{
    switch (op) {
    case PROTOCOL_ARM:
        *act = AUTHORITY_ARM;
        return true;
    case PROTOCOL_RESET:
        *act = AUTHORITY_RESET;
        return true;
    case PROTOCOL_TRIP:
        *act = AUTHORITY_TRIP;
        return true;
    case PROTOCOL_BYPASS:
    case PROTOCOL_UNBYPASS:
        *act = AUTHORITY_BYPASS;
        return true;
    case PROTOCOL_PROOF_TEST:
        *act = AUTHORITY_PROOF_TEST;
        return true;
    case PROTOCOL_ACKNOWLEDGE_ALARM:
    case PROTOCOL_SHELVE:
    case PROTOCOL_UNSHELVE:
    case PROTOCOL_ACKNOWLEDGE_CONFIG:
        *act = AUTHORITY_ACKNOWLEDGE;
        return true;
    case PROTOCOL_RECORD:
        *act = AUTHORITY_RECORD;
        return true;
    default:
        return false;
    }
}

static bool names_group(const struct authority_rule *rule, gid_t gid)
{
    for (uint32_t i = 0; i < rule->groups && i < AUTHORITY_NAMES_MAX; i++) {
        if (rule->group[i] == gid) {
            return true;
        }
    }
    return false;
}

bool authority_allows(const struct authority_rule *rule, const struct authority_peer *peer, uid_t own)
{
    if (peer->uid == (uid_t)-1) {
        return rule->anybody != 0; /* the kernel did not say who it is */
    }
    if (rule->anybody != 0 || peer->uid == 0 || peer->uid == own) {
        return true;
    }
    for (uint32_t i = 0; i < rule->users && i < AUTHORITY_NAMES_MAX; i++) {
        if (rule->user[i] == peer->uid) {
            return true;
        }
    }
    for (uint32_t i = 0; i < peer->groups; i++) {
        if (names_group(rule, peer->group[i])) {
            return true;
        }
    }
    return names_group(rule, peer->gid);
}

int authority_peer_of(int socket_fd, struct authority_peer *peer)
{
    static gid_t groups[GROUPS_MAX]; /* only the pages that are needed are ever touched */
    struct ucred who = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t bytes = sizeof(who);
    *peer = (struct authority_peer){.uid = (uid_t)-1, .gid = (gid_t)-1};
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0) {
        return -errno;
    }
    peer->uid = who.uid;
    peer->gid = who.gid;
    peer->pid = who.pid;
    bytes = sizeof(groups);
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) != 0) {
        return -errno;
    }
    peer->group = groups;
    peer->groups = (uint32_t)(bytes / sizeof(gid_t));
    return 0;
}

static void look_up(uid_t uid, char name[AUTHORITY_USER_BYTES])
{
    struct passwd entry;
    struct passwd *found = NULL;
    char room[PASSWD_BYTES];
    FILE *file = fopen("/etc/passwd", "re");
    snprintf(name, AUTHORITY_USER_BYTES, "uid %u", (unsigned)uid);
    // cppcheck-suppress uninitvar ; it is fgetpwent_r that fills it
    while (file != NULL && fgetpwent_r(file, &entry, room, sizeof(room), &found) == 0) {
        if (entry.pw_uid == uid) {
            snprintf(name, AUTHORITY_USER_BYTES, "%s", entry.pw_name);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

void authority_user_name(uid_t uid, char name[AUTHORITY_USER_BYTES])
{
    static struct {
        uid_t uid;
        char name[AUTHORITY_USER_BYTES];
    } cache[NAMES_CACHED];
    static unsigned next;
    for (unsigned i = 0; i < NAMES_CACHED; i++) {
        if (cache[i].uid == uid && cache[i].name[0] != 0) {
            snprintf(name, AUTHORITY_USER_BYTES, "%s", cache[i].name);
            return;
        }
    }
    look_up(uid, name);
    cache[next].uid = uid;
    snprintf(cache[next].name, sizeof(cache[next].name), "%s", name);
    next = (next + 1) % NAMES_CACHED;
}
