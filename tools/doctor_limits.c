/* What this user may do: a server that is started as somebody else may do other things. */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "tools/doctor.h"

#define LIMITS "/proc/self/limits"
#define STATUS "/proc/self/status"

#ifndef CAP_BPF
#define CAP_BPF 39
#endif

static const struct {
    const char *name;
    unsigned bit;
} wanted[] = {{"sys_nice", CAP_SYS_NICE}, {"ipc_lock", CAP_IPC_LOCK},   {"net_admin", CAP_NET_ADMIN},
              {"net_raw", CAP_NET_RAW},   {"sys_rawio", CAP_SYS_RAWIO}, {"bpf", CAP_BPF}};

static bool has(uint64_t mask, unsigned bit)
{
    return (mask & UINT64_C(1) << bit) != 0;
}

/* A limit, or the capability that stands above it; mask NULL: not known. */
static void look_limit(struct doctor *d, enum doctor_key key, const char *name, uint64_t least,
                       const uint64_t *mask, unsigned bit)
{
    char text[8192];
    uint64_t value;
    if (mask != NULL && has(*mask, bit)) {
        doctor_find(d, key, DOCTOR_OK, "this user may, by a capability");
        return;
    }
    int n = doctor_read(d, LIMITS, text, sizeof(text));
    if (n < 0 || !doctor_parse_limit(text, name, &value)) {
        doctor_unreadable(d, key, LIMITS, n < 0 ? n : -EBADMSG);
    } else if (value >= least) {
        doctor_find(d, key, DOCTOR_OK, "this user may, by a limit");
    } else {
        doctor_find(d, key, DOCTOR_WARNING, "this user may not: %s is %llu", name, (unsigned long long)value);
    }
}

static void look_capabilities(struct doctor *d, const uint64_t *mask, int code)
{
    char lacking[128] = "";
    size_t n = 0;
    if (mask == NULL) {
        doctor_unreadable(d, DOCTOR_CAPABILITIES, STATUS, code);
        return;
    }
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (!has(*mask, wanted[i].bit)) {
            n += (size_t)snprintf(lacking + n, sizeof(lacking) - n, "%s%s", n > 0 ? ", " : "", wanted[i].name);
        }
    }
    if (n == 0) {
        doctor_find(d, DOCTOR_CAPABILITIES, DOCTOR_OK, "this user has them");
    } else {
        bool nice = has(*mask, CAP_SYS_NICE) && has(*mask, CAP_IPC_LOCK);
        doctor_find(d, DOCTOR_CAPABILITIES, nice ? DOCTOR_NOTE : DOCTOR_WARNING, "this user lacks %s", lacking);
    }
}

void doctor_look_limits(struct doctor *d)
{
    char text[16384];
    uint64_t mask;
    int n = doctor_read(d, STATUS, text, sizeof(text));
    bool known = n > 0 && doctor_parse_field(text, "CapEff:", 16, &mask);
    const uint64_t *caps = known ? &mask : NULL;
    look_limit(d, DOCTOR_MEMLOCK, "Max locked memory", DOCTOR_LIMIT_NO_MORE, caps, CAP_IPC_LOCK);
    look_limit(d, DOCTOR_RTPRIO, "Max realtime priority", 98, caps, CAP_SYS_NICE);
    look_capabilities(d, caps, n < 0 ? n : -EBADMSG);
}
