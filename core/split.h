/* SPDX-License-Identifier: MIT */
/* What is to outlive the container moves from an image to a template, and a link to the
 * volume stays where it was: while the image is built. First all is looked at, and what is
 * wrong is said; then it is done, in steps that can be cut short anywhere and done again. */
#ifndef MOONRISE_SPLIT_H
#define MOONRISE_SPLIT_H

#include "image.h"
#include "listing.h"
#include "tree.h"

#include <stdint.h>

enum step_kind {
	STEP_MAKE, /* an empty folder in the template */
	STEP_MOVE, /* to the template */
	STEP_DROP, /* the template has the same */
	STEP_FOLD, /* the folder is empty now; the template's becomes as it was */
	STEP_LINK, /* to the volume */
};

struct step {
	enum step_kind kind;
	bool copied; /* but has not its name yet */
	char *path;
};

struct split {
	const struct image *image;
	struct step *steps; /* in their order */
	size_t count, room;
	bool is_durable;   /* a power cut, too, leaves each path whole somewhere */
	struct path where; /* after an error */
};

/* The steps that are left to do. Faults are said and counted. 0 or -errno. */
int split_plan(struct split *split, const struct listing *listing, struct faults *faults);

/* 0 or -errno. */
int split_run(struct split *split);
void split_done(struct split *split);

#endif
