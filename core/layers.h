/* SPDX-License-Identifier: MIT */
/* The layers of an overlay that is mounted as a root, where they can be seen: what was
 * changed in a container lies in the upper one, what its image has in the lower ones. */
#ifndef MOONRISE_LAYERS_H
#define MOONRISE_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct layers {
	int upper;
	int *lower; /* the first is on top */
	size_t count;
};

/* 0; -ENODATA when the root is no overlay, or not all of its layers are in sight; or -errno. */
int layers_open(struct layers *layers, const char *root);
void layers_done(struct layers *layers);

/* The folder hides what lower layers have in it. */
bool layers_is_opaque(int layer, const char *path);

/* It hides them, and shows what they have under another name. */
bool layers_is_renamed(int layer, const char *path);

/* What the lower layers show at the path: 1 with the layer that has it, 0, or -errno. */
int layers_find(const struct layers *layers, const char *path, int *ret_layer,
		struct stat *ret_stat);

#endif
