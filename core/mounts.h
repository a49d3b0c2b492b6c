/* SPDX-License-Identifier: MIT */
/* What is mounted below a folder: not part of what it holds. */
#ifndef MOONRISE_MOUNTS_H
#define MOONRISE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

struct mounts {
	char **paths; /* as seen from the root that they were read for: "/proc" */
	size_t count;
};

/* Those of this process below `root`, without `root` itself; none without /proc.
 * 0 or -errno. */
int mounts_read(const char *root, struct mounts *ret_mounts);
void mounts_done(struct mounts *mounts);

/* The options of the file system that is mounted at `root` itself, to be freed; NULL when
 * it is none of this type. They are separated by commas, and escaped one by one. */
char *mounts_options(const char *root, const char *type);
void mounts_unescape(char *text);

/* The path is one of them, or lies in one. */
bool mounts_cover(const struct mounts *mounts, const char *path);

/* One at the path or below it, or NULL. */
const char *mounts_within(const struct mounts *mounts, const char *path);

#endif
