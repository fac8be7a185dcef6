#include "tools/smaps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define LINE_BYTES 4096

/* A number in hexadecimal (or decimal) at *at, with the character that must follow it. Moves *at behind both. */
static bool take_number(const char **at, int base, char then, uint64_t *value)
{
    char *end;
    *value = strtoull(*at, &end, base);
    bool good = end != *at && *end == then;
    *at = good ? end + 1 : *at;
    return good;
}

/* "7f00-7f01 rw-s 00001000 00:01 1234   /memfd:x (deleted)". False: not the first line of a mapping. */
static bool parse_head(const char *line, struct smaps_entry *entry)
{
    uint64_t offset;
    uint64_t major;
    uint64_t minor;
    const char *at = line;
    *entry = (struct smaps_entry){.start = 0};
    if (!take_number(&at, 16, '-', &entry->start) || !take_number(&at, 16, ' ', &entry->end) ||
        strcspn(at, " ") != 4) {
        return false;
    }
    memcpy(entry->permissions, at, 4);
    at += 5;
    if (!take_number(&at, 16, ' ', &offset) || !take_number(&at, 16, ':', &major) ||
        !take_number(&at, 16, ' ', &minor)) {
        return false;
    }
    char *end;
    entry->inode = strtoull(at, &end, 10);
    entry->device = makedev((unsigned)major, (unsigned)minor);
    end += strspn(end, " ");
    snprintf(entry->path, sizeof(entry->path), "%.*s", (int)strcspn(end, "\n"), end);
    return true;
}

/* "Key:   123 kB". */
static bool take_kb(const char *line, const char *key, uint64_t *kb)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0 || line[n] != ':') {
        return false;
    }
    *kb += strtoull(line + n + 1, NULL, 10);
    return true;
}

static void parse_field(const char *line, struct smaps_entry *entry)
{
    uint64_t page_kb = 0;
    uint64_t huge_kb = 0;
    if (take_kb(line, "KernelPageSize", &page_kb)) {
        entry->page_bytes = page_kb * 1024;
    } else if (take_kb(line, "Shared_Hugetlb", &huge_kb) || take_kb(line, "Private_Hugetlb", &huge_kb)) {
        entry->huge_kb += huge_kb;
        entry->resident_kb += huge_kb;
        entry->private_kb += line[0] == 'P' ? huge_kb : 0;
        entry->pss_kb += line[0] == 'P' ? huge_kb : 0;
    } else if (strncmp(line, "VmFlags:", 8) == 0) {
        entry->locked = strstr(line, " lo") != NULL;
    } else if (!take_kb(line, "Rss", &entry->resident_kb) && !take_kb(line, "Pss", &entry->pss_kb) &&
               !take_kb(line, "Private_Clean", &entry->private_kb) &&
               !take_kb(line, "Private_Dirty", &entry->private_kb)) {
        (void)take_kb(line, "Locked", &entry->locked_kb);
    }
}

static int append(struct smaps *smaps, const struct smaps_entry *entry)
{
    if ((smaps->count & (smaps->count - 1)) == 0) { /* full: 0, 1, 2, 4 .. */
        size_t room = smaps->count == 0 ? 1 : 2 * (size_t)smaps->count;
        struct smaps_entry *more = realloc(smaps->entry, room * sizeof(*more));
        if (more == NULL) {
            return -ENOMEM;
        }
        smaps->entry = more;
    }
    smaps->entry[smaps->count++] = *entry;
    return 0;
}

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    return fopen(path, "re");
}

static int fail(pid_t pid, int code, struct error *err)
{
    code = code == -ENOENT ? -ESRCH : code;
    if (code == -ESRCH) {
        return error_set(err, code, "has ended meanwhile");
    }
    return error_set(err, code, "cannot read /proc/%d/smaps: %s; be root or the user it runs as", pid,
                     strerror(-code));
}

/* "7f0000000000 default file=/memfd:x mapped=5 N0=3 N1=2 kernelpagesize_kB=4" */
static void take_nodes(struct smaps *smaps, const char *line)
{
    uint64_t start = strtoull(line, NULL, 16);
    const char *size = strstr(line, "kernelpagesize_kB=");
    uint64_t page_kb = size != NULL ? strtoull(size + 18, NULL, 10) : 4;
    for (uint32_t i = 0; i < smaps->count; i++) {
        struct smaps_entry *entry = &smaps->entry[i];
        if (entry->start != start) {
            continue;
        }
        entry->nodes_known = true;
        for (const char *at = strstr(line, " N"); at != NULL; at = strstr(at + 1, " N")) {
            char *end;
            unsigned long node = strtoul(at + 2, &end, 10);
            if (end != at + 2 && *end == '=' && entry->nodes < SMAPS_NODES_MAX) {
                entry->node[entry->nodes++] =
                    (struct smaps_node){.node = (uint32_t)node, .kb = strtoull(end + 1, NULL, 10) * page_kb};
            }
        }
        return;
    }
}

static void read_nodes(struct smaps *smaps, pid_t pid)
{
    static char line[LINE_BYTES];
    FILE *f = open_proc(pid, "numa_maps");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        take_nodes(smaps, line);
    }
    if (f != NULL) {
        fclose(f);
    }
}

int smaps_read(struct smaps *smaps, pid_t pid, struct error *err)
{
    static char line[LINE_BYTES];
    struct smaps_entry entry;
    int code = 0;
    *smaps = (struct smaps){.entry = NULL};
    FILE *f = open_proc(pid, "smaps");
    if (f == NULL) {
        return fail(pid, -errno, err);
    }
    errno = 0;
    while (code == 0 && fgets(line, sizeof(line), f) != NULL) {
        if (parse_head(line, &entry)) {
            code = append(smaps, &entry);
        } else if (smaps->count > 0) {
            parse_field(line, &smaps->entry[smaps->count - 1]);
        }
    }
    code = code == 0 && ferror(f) != 0 ? -errno : code;
    fclose(f);
    if (code == 0 && smaps->count == 0) {
        code = -ESRCH; /* a process that is just ending has no memory any more */
    }
    if (code != 0) {
        smaps_fini(smaps);
        return fail(pid, code, err);
    }
    read_nodes(smaps, pid);
    return 0;
}

void smaps_fini(struct smaps *smaps)
{
    free(smaps->entry);
    *smaps = (struct smaps){.entry = NULL};
}

int smaps_mentions(pid_t pid, const char *path)
{
    static char line[LINE_BYTES];
    int found = 0;
    struct smaps_entry entry;
    FILE *f = open_proc(pid, "maps");
    if (f == NULL) {
        return -errno;
    }
    while (found == 0 && fgets(line, sizeof(line), f) != NULL) {
        found = parse_head(line, &entry) && strncmp(entry.path, path, strlen(path)) == 0;
    }
    fclose(f);
    return found;
}
