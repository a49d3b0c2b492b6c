/* SPDX-License-Identifier: MIT */
/* Log files that a service insists on writing: what is written to them comes out as
 * its lines. A pattern names them; inotify tells when they grow, go and come, so
 * nothing is done as long as nothing happens. A file that has been moved or deleted
 * is read to its end before the next one with its name. */
#ifndef MOONRISE_FOLLOW_H
#define MOONRISE_FOLLOW_H

#include "output.h"
#include "tail.h"

struct follow;

/* Follow the files that an absolute pattern names, with *, ? and [a-z] in any part of
 * it. What is in them now is old; a file that comes later is new from its beginning.
 * They and their folders need not exist. Their lines go to `output`, or the container's stdout.
 * NULL: errno. */
struct follow *follow_new(const char *pattern, const char *name, struct tail *tail,
			  struct output *output);
void follow_free(struct follow *follow); /* NULL is fine */

/* At the end: say what is in the files now, turning the loop until that is done or
 * `end` has come. */
void follow_flush(const struct output_end *end);

#endif
