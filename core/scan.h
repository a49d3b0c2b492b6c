/* SPDX-License-Identifier: MIT */
/* A tree as entries of a manifest, in their order. No link is followed, nothing but
 * files is opened, and each file system object is seen once. */
#ifndef MOONRISE_SCAN_H
#define MOONRISE_SCAN_H

#include "entry.h"
#include "tree.h"

#include <sys/stat.h>

struct scan {
	bool hash;    /* read the files ... */
	off_t most;   /* ... that are no larger; 0: whatever their size */
	bool sockets; /* give them, too */

	/* true: leave this one out, and what is below. May be NULL. */
	bool (*skip)(void *context, const char *path, const struct stat *st);
	/* What to do when we may not look: 0, and the scan goes on behind it, or an error. May
	 * be NULL. */
	int (*closed)(void *context, const char *path);
	/* 0, or an error that ends the scan. */
	int (*add)(void *context, const struct entry *entry);
	void *context;
};

/* Of all below the folder but .moonrise at its top. 0 or -errno, and then ret_path says
 * where. What vanishes meanwhile was never there. Memory: the names of the folders that lead to an
 * entry. */
int scan_tree(int folder, const struct scan *scan, struct tree_path *ret_path);

/* Fill in all but path and group. 0 or -errno; -ESTALE when it is not what `st` says. */
int scan_entry(int folder, const char *name, const struct stat *st, bool hash,
	       struct entry *ret_entry);

/* 'd', 'f', ...: see entry.h. */
char scan_type(mode_t mode);

/* The content of the file. 0 or -errno. */
int scan_hash(int folder, const char *name, unsigned char ret_hash[static ENTRY_HASH]);

#endif
