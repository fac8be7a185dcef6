/* Who may command (daq/authority.h): names become numbers here, once. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "daq/compile.h"

#define PATH_BYTES 96

static void take_user(struct compile *c, const char *where, const char *name, struct authority_rule *to)
{
    errno = 0;
    // cppcheck-suppress getpwnamCalled ; before there is a second thread
    const struct passwd *user = getpwnam(name);
    if (user == NULL) {
        config_complain(c->file, c->errors, where,
                        "this machine knows no user '%s'%s%s; expected a user's name, or \"*\" for anybody who can "
                        "connect",
                        name, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
        return;
    }
    to->user[to->users++] = user->pw_uid;
}

static void take_group(struct compile *c, const char *where, const char *name, struct authority_rule *to)
{
    errno = 0;
    // cppcheck-suppress getgrnamCalled ; before there is a second thread
    const struct group *group = getgrnam(name);
    if (group == NULL) {
        config_complain(c->file, c->errors, where, "this machine knows no group '%s'%s%s; expected a group's name",
                        name, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
        return;
    }
    to->group[to->groups++] = group->gr_gid;
}

static void compile_act(struct compile *c, enum authority_act act, const struct config_names *from)
{
    struct authority_rule *to = &c->plan->authority.act[act];
    char path[PATH_BYTES];
    to->anybody = act == AUTHORITY_TRIP && from == NULL; /* whoever can connect may withdraw a permit */
    if (from == NULL) {
        return;
    }
    snprintf(path, sizeof(path), "authority.%s", authority_key(act));
    if (from->users_count > AUTHORITY_NAMES_MAX || from->groups_count > AUTHORITY_NAMES_MAX) {
        config_complain(c->file, c->errors, path, "expected at most %u users and %u groups; make a group of them",
                        AUTHORITY_NAMES_MAX, AUTHORITY_NAMES_MAX);
        return;
    }
    for (uint32_t i = 0; i < from->users_count; i++) {
        snprintf(path, sizeof(path), "authority.%s.users[%u]", authority_key(act), i);
        if (strcmp(from->users[i], "*") == 0) {
            to->anybody = 1;
        } else {
            take_user(c, path, from->users[i], to);
        }
    }
    for (uint32_t i = 0; i < from->groups_count; i++) {
        snprintf(path, sizeof(path), "authority.%s.groups[%u]", authority_key(act), i);
        take_group(c, path, from->groups[i], to);
    }
}

void compile_authority(struct compile *c)
{
    static const struct config_authority none = {.arm = NULL};
    const struct config_authority *from = c->config->authority != NULL ? c->config->authority : &none;
    compile_act(c, AUTHORITY_ARM, from->arm);
    compile_act(c, AUTHORITY_RESET, from->reset);
    compile_act(c, AUTHORITY_TRIP, from->trip);
    compile_act(c, AUTHORITY_BYPASS, from->bypass);
    compile_act(c, AUTHORITY_PROOF_TEST, from->proof_test);
    compile_act(c, AUTHORITY_ACKNOWLEDGE, from->acknowledge);
    compile_act(c, AUTHORITY_RECORD, from->record);
}
