/* SPDX-License-Identifier: MIT */
/* Who is quick renames a file, maybe more than once, before we have looked at it: so
 * inotify's words are followed from the name that it had to the one that it has. */
#ifndef MOONRISE_FOLLOW_MOVE_H
#define MOONRISE_FOLLOW_MOVE_H

#include <stdbool.h>
#include <stdint.h>

struct follow_move {
	struct follow_move *next;
	char *from, *to;
	uint32_t cookie; /* of a move of which the second half has not come yet */
	bool is_late;    /* nor had it the last time */
};

/* IN_MOVED_FROM or IN_MOVED_TO, and the whole path. */
void follow_move_hear(uint32_t mask, uint32_t cookie, const char *path);

/* All of them, in their order. Where `cookie` is not 0, the file is under way, or has
 * gone to where we do not see it. */
const struct follow_move *follow_move_first(void);

/* But not those of which the other half may be the next that is heard. */
void follow_move_forget(void);

#endif
