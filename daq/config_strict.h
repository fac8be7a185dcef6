/* libcyaml takes a number's leading digits and throws the rest away ("600ms" is 600), reads a leading 0 as octal
 * and any unknown word as true. Beside a valve that is not good enough: every scalar is looked at once more. Cold.
 */
#ifndef DAQ_CONFIG_STRICT_H
#define DAQ_CONFIG_STRICT_H

#include "daq/config.h"

struct cyaml_schema_field; /* cyaml/cyaml.h */

/* Complains about every number and boolean in the document that is not written as exactly that. `tables` are all
 * the schema's field lists; a key has the same type wherever it stands. */
void config_strict(const struct config_file *file, const struct cyaml_schema_field *const *tables,
                   unsigned table_count, struct config_errors *errors);

#endif
