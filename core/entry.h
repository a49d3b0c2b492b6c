/* SPDX-License-Identifier: MIT */
/* One entry of a manifest, and its line of text: see manifest.h. */
#ifndef MOONRISE_ENTRY_H
#define MOONRISE_ENTRY_H

#include "xattr.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define ENTRY_HASH 32
#define ENTRY_LINE_MAX (6 * PATH_MAX + 512)

struct entry {
	char type; /* d f l p c b s */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint64_t size; /* of a file, else 0 */
	struct timespec mtime;
	uint32_t group;     /* files that are one file have the same number; 0: it has one name */
	uint32_t device[2]; /* major, minor */
	bool has_hash;      /* of the content; not every manifest has them */
	bool has_xattrs;
	unsigned char hash[ENTRY_HASH];
	unsigned char xattrs[XATTR_DIGEST];
	char target[PATH_MAX];
	char path[PATH_MAX]; /* below the top; without "", "." or ".." in it */
};

/* The order of entries: <0, 0, >0. As strcmp, but "/" comes before any other byte. */
int entry_compare(const char *path, const char *other);

/* As it stands in a line. */
void entry_escape(const char *text, char ret_text[static 3 * PATH_MAX]);

/* The same time of modification, as far as that can be known: image layers keep whole
 * seconds, so the manifest of a template may say more than the template does. */
bool entry_same_time(const struct timespec *one, const struct timespec *other);

/* Without the newline; how long it is. `timeless` leaves out the time of modification,
 * unless that is all there is to tell whether a file was changed. */
size_t entry_encode(const struct entry *entry, bool timeless, char ret_line[static ENTRY_LINE_MAX]);

/* NULL, or what is wrong with the line. It is NUL-terminated, and written to. */
const char *entry_decode(char *line, struct entry *ret_entry);

#endif
