/* SPDX-License-Identifier: MIT */
/* Whole trees, walked by descriptors: no link is followed anywhere in them. */
#ifndef MOONRISE_TREE_H
#define MOONRISE_TREE_H

#include <limits.h>

/* Where a walk is, as a path below its top; after an error, where that was. */
struct tree_path {
	char text[PATH_MAX];
};

/* Call `entry` for each name in the folder but "." and ".."; stops at the first
 * error. `context` is the caller's. 0 or -errno. */
int tree_each(int folder, struct tree_path *path, int (*entry)(void *context, const char *name),
	      void *context);

/* The same, sorted by bytes: all names of the folder are kept in memory for it. */
int tree_each_sorted(int folder, struct tree_path *path,
		     int (*entry)(void *context, const char *name), void *context);

/* For reading, and never through a link: a descriptor or -errno. */
int tree_open_folder(int folder, const char *name);

/* Remove the name and all below it; nothing there is fine. 0 or -errno. */
int tree_remove_at(int folder, const char *name, struct tree_path *path);
int tree_remove(const char *path, struct tree_path *ret_path);

#endif
