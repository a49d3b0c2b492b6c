/* SPDX-License-Identifier: MIT */
/* A log file that we write, and move out of the way when it is full: FILE becomes
 * FILE.1, which had become FILE.2 before, and the last one goes. Between lines only.
 *
 * Links in the path are followed once, when it is opened. Whoever may write in the folder
 * could lay one there later, and have us move, make and give away files anywhere. */
#ifndef MOONRISE_LOGFILE_H
#define MOONRISE_LOGFILE_H

#include "walk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct logfile {
	char *path; /* for messages */
	struct place place;
	int fd;
	int64_t size, max; /* max 0: it is never full */
	unsigned keep;     /* how many old ones there are at most */
	char last;         /* the last byte that was written */
	bool has_failed;   /* the last time */
	int complaint;     /* the last error that was said */
};

/* Appends to what is there. -errno. `path` is copied. */
int logfile_open(const char *path, int64_t max, unsigned keep, struct logfile *ret_file);
void logfile_close(struct logfile *file);

/* How many bytes were written, which may be fewer, or -errno. An error is said, once
 * until it works again. */
ssize_t logfile_write(struct logfile *file, const char *data, size_t size);

#endif
