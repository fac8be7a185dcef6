#include "tools/export/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daq/compile.h"
#include "daq/config.h"
#include "net/packet.h"
#include "net/plan.h"

struct origin_config {
    struct config_file file;
};

/* Errors are of no interest: what a newer release wrote is then as if it was not there. */
static bool load(struct origin_config *config, const char *text, size_t bytes)
{
    struct config_errors *errors = calloc(1, sizeof(*errors));
    int fd = memfd_create("config", MFD_CLOEXEC);
    bool loaded = false;
    if (errors != NULL && fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes && lseek(fd, 0, SEEK_SET) == 0) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        loaded = config_load(&config->file, path, errors) == 0 && config->file.config != NULL;
    }
    if (fd >= 0) {
        close(fd);
    }
    free(errors);
    return loaded;
}

struct origin_config *origin_load(const struct record_set *set)
{
    size_t bytes = 0;
    const char *text = record_config(set, &bytes);
    struct origin_config *config = bytes > 0 && bytes <= CONFIG_BYTES_MAX ? calloc(1, sizeof(*config)) : NULL;
    if (config != NULL && !load(config, text, bytes)) {
        origin_free(config);
        return NULL;
    }
    return config;
}

void origin_free(struct origin_config *config)
{
    if (config != NULL) {
        config_unload(&config->file);
        free(config);
    }
}

static const struct config_source *find_source(const struct origin_config *config, const struct ring_stream *stream)
{
    for (uint32_t i = 0; config != NULL && i < config->file.config->sources_count; i++) {
        const struct config_source *source = &config->file.config->sources[i];
        if (source->name != NULL && strncmp(source->name, stream->name, sizeof(stream->name)) == 0) {
            return source;
        }
    }
    return NULL;
}

/* ADDRESS, ADDRESS:PORT or :PORT; what is not there stays 0. */
static void take_end(const char *text, uint32_t *address, uint16_t *port)
{
    char whole[64];
    uint32_t found_address = 0;
    uint16_t found_port = 0;
    if (text == NULL || strlen(text) > 40) {
        return;
    }
    snprintf(whole, sizeof(whole), "%s%s", text[0] == ':' ? "0.0.0.0" : "", text);
    if (compile_address(whole, &found_address, &found_port, false)) {
        *address = found_address != 0 ? found_address : *address;
        *port = found_port != 0 ? found_port : *port;
    }
}

void origin_find(const struct origin_config *config, const struct ring_stream *stream, struct origin *origin)
{
    const struct config_source *source = find_source(config, stream);
    bool packets = strncmp(stream->source, "dpdk", sizeof(stream->source)) == 0 ||
                   strncmp(stream->source, "afxdp", sizeof(stream->source)) == 0;
    *origin = (struct origin){
        .form = packets || strncmp(stream->source, "udp", sizeof(stream->source)) == 0 ? ORIGIN_UDP : ORIGIN_OTHER};
    if (source == NULL) {
        return;
    }
    origin->told = true;
    origin->header_at_byte =
        source->stream != NULL && source->stream->at_byte != NULL ? *source->stream->at_byte : 0;
    if (packets && source->packet != NULL) {
        if (source->packet->payload != NULL && *source->packet->payload == PACKET_ETHERNET) {
            origin->form = ORIGIN_ETHERNET;
        }
        take_end(source->packet->to, &origin->to, &origin->to_port);
        take_end(source->packet->from, &origin->from, &origin->from_port);
    } else if (origin->form == ORIGIN_UDP) {
        take_end(source->listen, &origin->to, &origin->to_port);
        take_end(source->group, &origin->to, &origin->to_port);
        take_end(source->from, &origin->from, &origin->from_port);
    }
}
