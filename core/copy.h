/* SPDX-License-Identifier: MIT */
/* Entries of a tree copied with all that belongs to them: owner, mode, times,
 * extended attributes (ACLs and file capabilities are such), holes, and, within one
 * copy, hard links. Nothing is followed, and nothing but regular files is opened.
 *
 * A process that may not give files away, or may not set an attribute, leaves that
 * out: it runs its daemons under its own uid, too. */
#ifndef MOONRISE_COPY_H
#define MOONRISE_COPY_H

#include "tree.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Anything but a folder or a socket, as `to_name`, which must not be there. `model`
 * is what the original's owner, mode and times are taken from. 0 or -errno;
 * -EOPNOTSUPP when the original turned into something else. After an error nothing
 * is left. Unless `own` is NULL, extended attributes are those of that one in `to`. */
int copy_entry(int from, const char *name, const struct stat *model, int to, const char *to_name,
	       const char *own);

/* Owner, mode and extended attributes of a file, a folder or a link that is there,
 * and of the same type; others of these are taken off it. What this process may not
 * open stays as it is. */
int copy_attributes(int from, const char *name, const struct stat *model, int to,
		    const char *to_name);

/* What a folder got its owner, mode, times and attributes from; when it is filled,
 * since filling it changes its times. `from` and `to` are open for reading. */
int copy_folder_attributes(int from, const struct stat *model, int to);

/* ---- whole trees */

/* Which files of several names were copied, and to where. */
struct copy_links {
	struct copy_link *slots;
	size_t room, count;
};

struct copy {
	int top;                /* what `path` starts at */
	struct tree_path *path; /* of the copy; after an error, where that was */
	struct copy_links links;
	uint64_t entries, bytes;
};

/* With all that is in it; sockets are left out. `path` is that of `to_name` already.
 * 0 or -errno. */
int copy_tree(struct copy *copy, int from, const char *name, int to, const char *to_name);

/* The file of several names has a copy at the path below copy->top, from before. */
int copy_know(struct copy *copy, const struct stat *original, const char *path);
void copy_done(struct copy *copy);

#endif
