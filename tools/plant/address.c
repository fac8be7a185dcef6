#include "tools/plant/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

int plant_address_parse(struct plant_address *address, const char *option, const char *text, char *error,
                        size_t error_bytes)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(text, ':');
    const char *host_start = text;
    size_t host_bytes;
    char host[256];
    int failed = EAI_NONAME;

    host_bytes = colon != NULL ? (size_t)(colon - text) : 0;
    if (host_bytes >= 2 && text[0] == '[' && colon[-1] == ']') {
        host_start++;
        host_bytes -= 2;
    }
    if (host_bytes > 0 && host_bytes < sizeof(host) && colon[1] != '\0') {
        memcpy(host, host_start, host_bytes);
        host[host_bytes] = '\0';
        failed = getaddrinfo(host, colon + 1, &hints, &found);
    }
    if (failed != 0) {
        snprintf(error, error_bytes, "%s %s: expected HOST:PORT such as 127.0.0.1:9000, found: %s", option, text,
                 gai_strerror(failed));
        return -EINVAL;
    }
    memset(address, 0, sizeof(*address));
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->length_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}
