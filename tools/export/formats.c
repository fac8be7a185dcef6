#include <string.h>
#include <strings.h>

#include "tools/export/export.h"

static const struct export_ops *const formats[] = {&export_hdf5, &export_pcapng, &export_mcap,
                                                   &export_csv,  &export_raw,    &export_vdif};

const struct export_ops *export_find(const char *name)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strcmp(formats[i]->name, name) == 0) {
            return formats[i];
        }
    }
    return NULL;
}

const struct export_ops *export_of_file(const char *path)
{
    const char *dot = strrchr(path, '.');
    const char *suffix = dot != NULL ? dot + 1 : "";
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const struct export_ops *ops = formats[i];
        if (strcasecmp(suffix, ops->suffix) == 0 ||
            (ops->suffix2 != NULL && strcasecmp(suffix, ops->suffix2) == 0) ||
            (ops->suffix3 != NULL && strcasecmp(suffix, ops->suffix3) == 0)) {
            return ops;
        }
    }
    return NULL;
}

const char *export_names(void)
{
    return "hdf5, pcapng, mcap, csv, raw, vdif";
}
