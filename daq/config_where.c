#include "daq/config_where.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

void *config_where_load(const char *text, size_t bytes, bool *more)
{
    yaml_parser_t parser;
    yaml_document_t *document = calloc(1, sizeof(*document));
    if (document == NULL || yaml_parser_initialize(&parser) == 0) {
        free(document);
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    int ok = yaml_parser_load(&parser, document);
    yaml_document_t second;
    *more = false;
    if (ok != 0) {
        bool parsed = yaml_parser_load(&parser, &second) != 0;
        *more = !parsed || yaml_document_get_root_node(&second) != NULL;
        if (parsed) {
            yaml_document_delete(&second);
        }
    }
    yaml_parser_delete(&parser);
    if (ok == 0) {
        free(document);
        return NULL;
    }
    return document;
}

void config_where_free(void *document)
{
    if (document != NULL) {
        yaml_document_delete(document);
        free(document);
    }
}

/* The value under a key of a mapping; *key_node gets the key, whose place is what a reader looks for. */
static yaml_node_t *find_key(yaml_document_t *document, yaml_node_t *mapping, const char *key, size_t bytes,
                             yaml_node_t **key_node)
{
    if (mapping->type != YAML_MAPPING_NODE) {
        return NULL;
    }
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top; p++) {
        yaml_node_t *k = yaml_document_get_node(document, p->key);
        if (k != NULL && k->type == YAML_SCALAR_NODE && k->data.scalar.length == bytes &&
            memcmp(k->data.scalar.value, key, bytes) == 0) {
            *key_node = k;
            return yaml_document_get_node(document, p->value);
        }
    }
    return NULL;
}

static yaml_node_t *find_item(yaml_document_t *document, yaml_node_t *sequence, unsigned long index)
{
    if (sequence->type != YAML_SEQUENCE_NODE) {
        return NULL;
    }
    yaml_node_item_t *item = sequence->data.sequence.items.start + index;
    return item < sequence->data.sequence.items.top ? yaml_document_get_node(document, *item) : NULL;
}

void config_where(void *document, const char *path, unsigned *line, unsigned *column)
{
    yaml_document_t *d = document;
    yaml_node_t *node = d != NULL ? yaml_document_get_root_node(d) : NULL;
    while (node != NULL && *path != 0) {
        yaml_node_t *place = NULL;
        if (*path == '[') {
            char *end;
            node = find_item(d, node, strtoul(path + 1, &end, 10));
            place = node;
            path = *end == ']' ? end + 1 : end;
        } else {
            size_t bytes = strcspn(path, ".[");
            node = find_key(d, node, path, bytes, &place);
            path += bytes;
        }
        path += *path == '.';
        if (place != NULL) {
            *line = (unsigned)place->start_mark.line + 1;
            *column = (unsigned)place->start_mark.column + 1;
        }
    }
}

static bool at_or_behind(const yaml_mark_t *mark, unsigned line, unsigned column)
{
    return mark->line + 1 > line || (mark->line + 1 == line && mark->column + 1 >= column);
}

void config_where_key(void *document, const char *key, unsigned *line, unsigned *column)
{
    yaml_document_t *d = document;
    const yaml_node_t *best = NULL;
    for (yaml_node_t *node = d->nodes.start; node < d->nodes.top; node++) {
        if (node->type != YAML_MAPPING_NODE) {
            continue;
        }
        for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
            const yaml_node_t *k = yaml_document_get_node(d, p->key);
            if (k != NULL && k->type == YAML_SCALAR_NODE && strcmp((const char *)k->data.scalar.value, key) == 0 &&
                at_or_behind(&k->start_mark, *line, *column) &&
                (best == NULL || k->start_mark.index < best->start_mark.index)) {
                best = k;
            }
        }
    }
    if (best != NULL) {
        *line = (unsigned)best->start_mark.line + 1;
        *column = (unsigned)best->start_mark.column + 1;
    }
}
