/* HOST:PORT, where HOST may be a name, an IPv4 address or an IPv6 address in brackets. */
#ifndef SLUICE_PLANT_ADDRESS_H
#define SLUICE_PLANT_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

struct plant_address {
    struct sockaddr_storage storage;
    socklen_t length_bytes;
};

/* 0 or -EINVAL with a message that begins with `option`. */
int plant_address_parse(struct plant_address *address, const char *option, const char *text, char *error,
                        size_t error_bytes);

#endif
