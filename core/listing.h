/* SPDX-License-Identifier: MIT */
/* Lists of paths, as people write them: one a line, "#" in front of a comment, and
 * patterns with "*", "?" and "[...]", where a backslash takes their meaning away. A
 * path that ends in "/" is that of a folder, which is made when there is none. */
#ifndef MOONRISE_LISTING_H
#define MOONRISE_LISTING_H

#include "image.h"

#include <stdbool.h>
#include <stddef.h>

/* What is wrong with what was asked for. All of it is said before anything is done. */
struct faults {
	size_t count;
	bool denied;                    /* some are that we may not change the image */
	void (*tell)(const char *text); /* NULL: the log */
};

/* Where something was asked for: a line of a file, or the command line (line 0). */
struct origin {
	const char *file;
	unsigned int line;
};

__attribute__((format(printf, 3, 4))) void fault(struct faults *faults, struct origin origin,
						 const char *fmt, ...);

struct wanted {
	char *path; /* normalized */
	struct origin origin;
	bool folder; /* it ended in "/" */
};

struct listing {
	struct wanted *wanted;
	size_t count, room;
};

/* Add what the pattern or path stands for in the image. What is wrong with it is a
 * fault; 0 or -errno for what else goes wrong. */
int listing_add(struct listing *listing, const struct image *image, const char *text,
		struct origin origin, struct faults *faults);

/* Each line of the file. `file` must outlive the listing. */
int listing_read(struct listing *listing, const struct image *image, const char *file,
		 struct faults *faults);
void listing_done(struct listing *listing);

#endif
