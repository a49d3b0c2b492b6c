/* SPDX-License-Identifier: MIT */
/* The manifests that are taken when an image is built: of its template, and of all of it.
 * Both lie in the template's .moonrise. */
#ifndef MOONRISE_DESCRIBE_H
#define MOONRISE_DESCRIBE_H

#include "image.h"
#include "manifest.h"
#include "tree.h"

#define DESCRIBE_NAME "image"
#define DESCRIBE_PATH MANIFEST_FOLDER "/" DESCRIBE_NAME

struct description {
	char id[MANIFEST_ID_MAX + 1];
	uint64_t count;
	struct tree_path where; /* after an error, below what was described */
};

/* `id` is NULL for one made of the content. 0 or -errno. */
int describe_template(const struct image *image, const char *id,
		      struct description *ret_description);

/* All but what comes and goes: see describe_is_left_out. `id` is that of the template. */
int describe_image(const struct image *image, const char *id, struct description *ret_description);

/* The kernel's file systems, /run and /tmp, what is mounted or made by container engines, the
 * volume, and what moonrise itself keeps in the template. `path` is as seen from the root. */
bool describe_is_left_out(const struct image *image, const char *path);

#endif
