/* SPDX-License-Identifier: MIT */
/* An image in the making: its root, the template in it, and the links that stand where
 * something was moved to the template from. They lead to the volume, which is not there
 * yet; so who follows them here goes on in the template. */
#ifndef MOONRISE_IMAGE_H
#define MOONRISE_IMAGE_H

#include "mounts.h"
#include "path.h"

#include <sys/stat.h>

struct image {
	int root;
	struct path template, data; /* as seen from the root */
	struct mounts mounts;
};

/* `template` and `data` are absolute. 0 or -errno. */
int image_open(struct image *image, const char *root, const char *template, const char *data);
void image_close(struct image *image);

/* Template and volume are two folders that do not lie in each other: else there would
 * be no end. */
bool image_is_apart(const struct image *image);

struct image_place {
	bool moved;       /* it lies in the template, under the same path */
	struct path path; /* no link in it but perhaps the last name */
};

/* Follow all links but the last one. What is missing stays in the path as it is. 0;
 * -ELOOP for a circle, -ENOTDIR, or another -errno. */
int image_resolve(const struct image *image, const char *path, struct image_place *ret_place);

/* The place of the path, in the template if `moved`, as a path from the root. */
int image_path(const struct image *image, const char *path, bool moved, struct path *ret_path);

/* 0 or -errno; no link is followed. */
int image_stat(const struct image *image, const char *path, bool moved, struct stat *ret_stat);

/* true when a link stands there that leads to where the path is in the volume. */
bool image_is_linked(const struct image *image, const char *path);

#endif
