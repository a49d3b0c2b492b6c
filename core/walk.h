/* SPDX-License-Identifier: MIT */
/* From a path to the folder that holds its last name. Links are followed here,
 * one by one, and never by the kernel; so a volume can be fenced: a link that
 * lies in it may lead anywhere inside, but not out. */
#ifndef MOONRISE_WALK_H
#define MOONRISE_WALK_H

#include <limits.h>
#include <stdbool.h>

/* What was found. Work on it with the *at() calls and AT_SYMLINK_NOFOLLOW or
 * O_NOFOLLOW: whoever owns the folder may swap the name at any time. */
struct place {
	int folder;              /* O_PATH */
	char name[NAME_MAX + 1]; /* need not exist; "." for "/" and for a path that ends in ".." */
	bool fenced;             /* the folder lies in a volume */
};

enum walk_last {
	WALK_STAY,    /* the name itself, link or not */
	WALK_FOLLOW,  /* where the link leads */
	WALK_TRUSTED, /* the same, but refuse a link that lies in a volume */
};

/* 0 or -errno; -ELOOP for a link that is refused, and for a circle of links. */
int walk_to(const char *path, enum walk_last last, struct place *ret_place);
void place_done(struct place *place);

#define auto_place __attribute__((cleanup(place_done)))
#define NO_PLACE             \
	{                    \
		.folder = -1 \
	}

/* From now on no link in this folder leads out of it. 0 or -errno. */
int walk_fence(const char *path);

/* The n-th fenced folder, NULL after the last. */
const char *walk_fenced(int n);

/* Forget all fences. */
void walk_done(void);

#endif
