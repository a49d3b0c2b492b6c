/* SPDX-License-Identifier: MIT */
/* A volume gets what its template has and it has not: each entry in one piece,
 * with mode, owner (where this process may give files away) and times. What is
 * there stays, whatever it is. */
#ifndef MOONRISE_POPULATE_H
#define MOONRISE_POPULATE_H

#include "tree.h"

#include <stdint.h>

struct populate_report {
	uint64_t entries;
	uint64_t bytes;
	struct tree_path path; /* after an error, where it was */
};

/* 0 or -errno. */
int populate(const char *template, const char *volume, struct populate_report *ret_report);

/* Only count what `populate` would make. */
int populate_missing(const char *template, const char *volume, struct populate_report *ret_report);

#endif
