/* SPDX-License-Identifier: MIT */
/* Extended attributes that belong to a file wherever it is: what users set, ACLs
 * and file capabilities. Labels that the host gives (SELinux, IMA) and what overlay
 * file systems note for themselves do not. */
#ifndef MOONRISE_XATTR_H
#define MOONRISE_XATTR_H

#include <stdbool.h>
#include <stddef.h>

#define XATTR_DIGEST 16

bool xattr_belongs(const char *name);

/* Call `each` with the name and value of each that belongs to the file, sorted by
 * name. Links are not followed. Stops at the first error; 0 or -errno. */
int xattr_each(int folder, const char *name,
	       int (*each)(void *context, const char *key, const void *value, size_t size),
	       void *context);

/* 1 with a digest of all that belong to the file, 0 when it has none, or -errno. */
int xattr_digest(int folder, const char *name, unsigned char ret_digest[static XATTR_DIGEST]);

#endif
