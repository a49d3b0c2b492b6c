/* SPDX-License-Identifier: MIT */
/* What its user has made of a volume: in what it differs from the template that was
 * laid down last. */
#ifndef MOONRISE_CHANGES_H
#define MOONRISE_CHANGES_H

#include "tree.h"

struct changes {
	const char *volume;
	/* "created", "changed" or "removed", sorted by path; of a folder that was created
	 * or removed also what is in it. A new time alone is no change. */
	void (*tell)(void *context, const char *what, const char *path);
	void *context;
	struct tree_path path; /* after an error, where it was ... */
	char why[160];         /* ... and more of the reason, or "" */
};

/* 0 or -errno; -ENODATA when no template was laid down. */
int changes_run(struct changes *changes);

#endif
