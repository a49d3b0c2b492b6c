/* SPDX-License-Identifier: MIT */
/* Some paths of a volume, set aside in a folder of it, so that they can be put back
 * as they were. Either may be cut short anywhere and is then begun again. */
#ifndef MOONRISE_SNAPSHOT_H
#define MOONRISE_SNAPSHOT_H

#include "tree.h"

#include <stddef.h>

/* `paths` are below the volume; those that are not there are remembered as such. All
 * is on disk when it returns. 0 or -errno. */
int snapshot_take(const char *volume, const char *folder, char **paths, size_t count,
		  struct tree_path *ret_path);

/* What is there now goes. 0 or -errno. */
int snapshot_restore(const char *volume, const char *folder, struct tree_path *ret_path);

#endif
