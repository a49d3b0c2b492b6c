/* SPDX-License-Identifier: MIT */
/* What belongs to one number in a volume is given to another one: when a user or group
 * has not the same number in every image. */
#ifndef MOONRISE_OWNERS_H
#define MOONRISE_OWNERS_H

#include "tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct owners_move {
	bool is_group;
	uint32_t from, to;
	uint64_t count; /* given */
};

struct owners {
	const char *volume;
	struct owners_move *moves;
	size_t count;
	uint64_t left; /* what could not be given */

	struct tree_path path; /* after an error, where that was ... */
	char why[128];         /* ... and more of the reason, or "" */
};

/* No move may take to a number that another one of the same kind takes from: then this can
 * be cut short, and done again. The manifests in the volume say the new numbers, too, and
 * all is on disk. What is mounted in the volume is left alone. 0 or -errno. */
int owners_give(struct owners *owners);

/* Call `found` for each number below 65536 that something in the volume belongs to. */
int owners_list(struct owners *owners, void (*found)(uint32_t number));

#endif
