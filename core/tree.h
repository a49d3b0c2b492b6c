/* SPDX-License-Identifier: MIT */
/* Whole trees, walked by descriptors: no link is followed anywhere in them. */
#ifndef MOONRISE_TREE_H
#define MOONRISE_TREE_H

#include <limits.h>
#include <stdint.h>

/* What was done, and after an error where: a path below the tree's top. */
struct tree_report {
	uint64_t entries;
	uint64_t bytes;
	char path[PATH_MAX];
};

/* Make in `volume` what is in `template` and not in the volume, each entry in
 * one piece, with mode, owner (where this process may give files away) and
 * times. What is there stays, whatever it is. 0 or -errno. */
int tree_populate(const char *template, const char *volume, struct tree_report *ret_report);

/* Only count what tree_populate would make. */
int tree_missing(const char *template, const char *volume, struct tree_report *ret_report);

/* Remove the path and all below it; nothing there is fine. */
int tree_remove(const char *path, struct tree_report *ret_report);

#endif
