/* SPDX-License-Identifier: MIT */
/* What lies in a volume under a name, looked at no closer than a question needs:
 * most files answer by size and time of modification. */
#ifndef MOONRISE_PRESENT_H
#define MOONRISE_PRESENT_H

#include "entry.h"

#include <stdbool.h>
#include <sys/stat.h>

struct present {
	int folder;
	const char *name;
	bool there;
	bool read_it; /* size and time are not enough here */
	struct stat st;

	bool has_hash, has_digest, has_xattrs;
	unsigned char hash[ENTRY_HASH];
	unsigned char xattrs[XATTR_DIGEST];
};

/* 0 or -errno; nothing there is fine. */
int present_look(struct present *present, int folder, const char *name);

/* Is it what the entry says? 1, 0 or -errno. Of the owner, and of extended attributes that
 * are not there, only when this process may give files away. */
int present_has_content(struct present *present, const struct entry *entry);
int present_has_attributes(struct present *present, const struct entry *entry, bool with_owner);

/* Parts of these, for what is there. The mode without the set-id bits, which a change
 * of owner takes off. */
bool present_has_owner(const struct present *present, const struct entry *entry, bool with_owner);
bool present_has_mode(const struct present *present, const struct entry *entry);

/* Two entries of templates: the same bytes as far as they tell? */
bool present_same_content(const struct entry *a, const struct entry *b);
bool present_same_attributes(const struct entry *a, const struct entry *b);

/* They look the same, but are not. */
bool present_deceives(const struct entry *a, const struct entry *b);

#endif
