/* SPDX-License-Identifier: MIT */
/* What is other in a container than in its image, outside of what comes and goes: by the
 * layers of its overlay, if they are in sight, else by the manifest of the whole image that
 * was taken when it was built. */
#ifndef MOONRISE_DIFF_H
#define MOONRISE_DIFF_H

#include "image.h"
#include "manifest.h"

#include <stddef.h>

enum diff_kind { DIFF_CREATED, DIFF_CHANGED, DIFF_DELETED };

/* What has changed, as bits. A new time alone is no change. */
enum { DIFF_TYPE = 1, DIFF_CONTENT = 2, DIFF_MODE = 4, DIFF_OWNER = 8, DIFF_ATTRIBUTES = 16 };

struct diff {
	const struct image *image;
	const char *root; /* of the image, as a path */
	/* Patterns of paths to leave out, with all that is below; "*" stands within a name. */
	const char *const *ignore;
	size_t ignore_count;

	/* Sorted by path. 0, or an error that ends it. */
	int (*found)(void *context, enum diff_kind kind, unsigned int what,
		     const struct entry *entry);
	void *context;

	unsigned int closed; /* folders that we may not look into */
	struct path where;   /* after an error */
	char why[128];       /* after -EBADMSG: what is wrong with the manifest */
};

/* 0 or -errno; -ENODATA when there is nothing to compare with. */
int diff_run(struct diff *diff);

#endif
