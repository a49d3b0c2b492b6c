/* SPDX-License-Identifier: MIT */
/* One file that grows, and whose lines come out: what is new in it is read, as far
 * as there is room for it. A line without an end stays in the file until its end
 * comes, so nothing is held in memory. */
#ifndef MOONRISE_FOLLOW_FILE_H
#define MOONRISE_FOLLOW_FILE_H

#include "speaker.h"

#include <stdbool.h>
#include <sys/stat.h>

struct follow_file {
	struct follow_file *next;
	struct follow_file *older; /* had the name before, and is read to its end first */
	char *path;
	int fd;
	dev_t device;
	ino_t inode;
	int watch;            /* its number with inotify */
	off_t position, size; /* up to where it was said; how long it was last time */
	char mark[32];        /* the last bytes before the position */
	size_t mark_length;
	bool has_more;          /* perhaps */
	bool is_gone;           /* its name leads to another file, or to none */
	bool is_closed;         /* by who wrote to it, and not written to since */
	bool is_after_hole;     /* NUL bytes here were never written */
	struct speaker speaker; /* set by the caller */
};

/* Takes the descriptor over. NULL: no memory. */
struct follow_file *follow_file_new(int fd, const char *path, const struct stat *st);
void follow_file_free(struct follow_file *file);

/* It may have become longer, or shorter, which may not show any more later. */
void follow_file_changed(struct follow_file *file);

/* Says a piece of what is new; with is_end also a line that has no end. false: there
 * was no room for it. has_more becomes false at the end of the file. */
bool follow_file_read(struct follow_file *file, bool is_end);

#endif
