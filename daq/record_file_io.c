/* Bytes of a recording's file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daq/record_set.h"

int record_file_open(const char *path, struct error *err)
{
    struct stat st;
    /* A pipe of that name must not hold us up. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int code = -errno;
        return error_set(err, code, "cannot open %s: %s", path, strerror(-code));
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return error_set(err, -EPROTO,
                         "%s: expected a recording's file (*%s) or a directory of them, found neither", path,
                         RECORD_SUFFIX);
    }
    return fd;
}

uint64_t record_file_read(int fd, void *to, uint64_t bytes, uint64_t offset)
{
    uint64_t done = 0;
    while (done < bytes) {
        ssize_t n = pread(fd, (uint8_t *)to + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        done += (uint64_t)n;
    }
    return done;
}

bool record_block_whole(int fd, const struct record_file_header *header, const struct record_index *index,
                        uint8_t *piece)
{
    struct record_block lead;
    uint32_t crc = 0;
    if (record_file_read(fd, &lead, sizeof(lead), index->offset) != sizeof(lead) ||
        !record_lead_check(header, &lead) || lead.number != index->number || lead.bytes != index->bytes) {
        return false;
    }
    for (uint64_t done = 0; done < lead.payload_bytes;) {
        uint64_t rest = lead.payload_bytes - done;
        uint64_t n = rest < RECORD_PIECE_BYTES ? rest : RECORD_PIECE_BYTES;
        if (record_file_read(fd, piece, n, index->offset + RECORD_LEAD_BYTES + done) != n) {
            return false;
        }
        crc = record_crc(crc, piece, n);
        done += n;
    }
    return crc == lead.payload_crc;
}
