/* Where an instance keeps what must outlive it: the audit log, the reports of trips. $SLUICE_STATE_DIR, or
 * /var/lib/sluice for root, or $XDG_STATE_HOME/sluice, or $HOME/.local/state/sluice; then /INSTANCE/NAME. Cold. */
#ifndef DAQ_STATE_DIR_H
#define DAQ_STATE_DIR_H

#include <stddef.h>

#include "ring/error.h"

/* 0, or -ENAMETOOLONG / -ENOENT (no home) with a sentence. Makes nothing. */
int state_path(char *path, size_t bytes, const char *instance, const char *name, struct error *err);

#endif
