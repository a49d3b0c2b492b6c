/* SPDX-License-Identifier: MIT */
/* What the files of upgrade share: upgrade.c walks and compares, upgrade_act.c acts. */
#ifndef MOONRISE_UPGRADE_INSIDE_H
#define MOONRISE_UPGRADE_INSIDE_H

#include "lay.h"
#include "merge.h"
#include "present.h"
#include "upgrade.h"

/* A folder that the walk is in. */
struct level {
	size_t length;             /* of the path so far that leads to it */
	struct lay_folder *folder; /* NULL: nothing below it is touched */
	bool opened;
	bool ours;     /* in the making */
	bool removed;  /* empty, it goes */
	bool dressed;  /* it gets the template's attributes */
	bool replaced; /* empty, a file takes its place */
	struct stat model;
};

struct walk {
	struct populate *p;
	struct lay lay;
	struct upgrade_stream **streams;
	char path[PATH_MAX]; /* of the deepest level */
	struct level *levels;
	size_t depth, room;
	struct lay_first *firsts; /* of files with several names, by group */
	size_t first_count;
	bool cut;        /* something was begun and not finished */
	bool with_owner; /* this process may give files away */
};

/* One path in all streams. */
struct spot {
	const char *path, *name;
	const struct entry *new, *base; /* NULL: not in there */
	bool any_folder;
	struct level *parent;
	struct present present;
	struct merge m;
};

/* The level takes the caller's hold on the folder. NULL: no memory. */
struct level *upgrade_push(struct walk *w, const char *path, struct lay_folder *folder);

/* 1 when the folder is open, 0 when it is none (any more), or -errno. */
int upgrade_enter(struct walk *w, struct level *level);

/* The folder that is there is entered; what it is to become is for when it is left. */
struct level *upgrade_stay_in(struct walk *w, struct spot *spot);

/* 0 or -errno. */
int upgrade_act(struct walk *w, struct spot *spot, enum merge_verdict verdict);

#endif
