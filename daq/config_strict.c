#include "daq/config_strict.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static bool is_whole(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');
    size_t n = strlen(digits);
    return n > 0 && strspn(digits, "0123456789") == n && (n == 1 || digits[0] != '0');
}

static bool is_hex(const char *text)
{
    size_t n = strlen(text);
    return n > 2 && n <= 18 && strncmp(text, "0x", 2) == 0 && strspn(text + 2, "0123456789abcdefABCDEF") == n - 2;
}

static bool is_number(const char *text)
{
    char *end;
    size_t n = strlen(text);
    (void)strtod(text, &end);
    return n > 0 && strspn(text, "0123456789+-.eE") == n && end == text + n;
}

static bool is_boolean(const char *text)
{
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

/* What everybody writes so: addresses on a bus, ids of frames. Of a time or a count it would be a slip. */
static bool may_be_hex(const char *key)
{
    return strcmp(key, "bus_address") == 0 || strcmp(key, "ids") == 0;
}

/* What is wrong with the text of a scalar of this type, or NULL. */
static const char *expected(const char *key, cyaml_type_e type, const char *text)
{
    switch (type) {
    case CYAML_INT:
        return is_whole(text) ? NULL : "a whole decimal number (the unit is in the key's name)";
    case CYAML_UINT:
        if (!may_be_hex(key)) {
            return is_whole(text) ? NULL : "a whole decimal number (the unit is in the key's name)";
        }
        return is_whole(text) || is_hex(text) ? NULL : "a whole number, decimal or as 0x1f";
    case CYAML_FLOAT:
        return is_number(text) ? NULL : "a decimal number";
    case CYAML_BOOL:
        return is_boolean(text) ? NULL : "true or false";
    default:
        return NULL;
    }
}

static const cyaml_schema_value_t *type_of(const cyaml_schema_field_t *const *tables, unsigned count,
                                           const char *key)
{
    for (unsigned t = 0; t < count; t++) {
        for (const cyaml_schema_field_t *f = tables[t]; f->key != NULL; f++) {
            if (strcmp(f->key, key) == 0) {
                const cyaml_schema_value_t *value = &f->value;
                while (value->type == CYAML_SEQUENCE || value->type == CYAML_SEQUENCE_FIXED) {
                    value = value->sequence.entry;
                }
                return value;
            }
        }
    }
    return NULL;
}

static void check_scalar(const struct config_file *file, const char *key, const cyaml_schema_value_t *type,
                         const yaml_node_t *node, struct config_errors *errors)
{
    if (node == NULL || node->type != YAML_SCALAR_NODE) {
        return;
    }
    const char *text = (const char *)node->data.scalar.value;
    const char *wanted = expected(key, type->type, text);
    if (wanted != NULL) {
        config_complain_at(file, errors, (unsigned)node->start_mark.line + 1, (unsigned)node->start_mark.column + 1,
                           "%s: expected %s, found '%.60s'", key, wanted, text);
    }
}

/* A scalar, or a sequence of them, or one of such sequences. */
static void check_value(const struct config_file *file, const char *key, const cyaml_schema_value_t *type,
                        yaml_node_t *node, struct config_errors *errors)
{
    yaml_document_t *document = file->document;
    check_scalar(file, key, type, node, errors);
    if (node == NULL || node->type != YAML_SEQUENCE_NODE) {
        return;
    }
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        yaml_node_t *item = yaml_document_get_node(document, *i);
        check_scalar(file, key, type, item, errors);
        if (item == NULL || item->type != YAML_SEQUENCE_NODE) {
            continue;
        }
        for (yaml_node_item_t *k = item->data.sequence.items.start; k < item->data.sequence.items.top; k++) {
            check_scalar(file, key, type, yaml_document_get_node(document, *k), errors);
        }
    }
}

void config_strict(const struct config_file *file, const cyaml_schema_field_t *const *tables, unsigned table_count,
                   struct config_errors *errors)
{
    yaml_document_t *document = file->document;
    if (document == NULL) {
        return;
    }
    for (yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++) {
        if (node->type != YAML_MAPPING_NODE) {
            continue;
        }
        for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
            const yaml_node_t *key = yaml_document_get_node(document, p->key);
            yaml_node_t *value = yaml_document_get_node(document, p->value);
            const char *name =
                key != NULL && key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "";
            const cyaml_schema_value_t *type = type_of(tables, table_count, name);
            if (type == NULL || value == NULL) {
                continue;
            }
            check_value(file, name, type, value, errors);
        }
    }
}
