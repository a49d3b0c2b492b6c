/* SPDX-License-Identifier: MIT */
/* How a template or a volume stands: by its notes alone, so no init has to run. */
#ifndef MOONRISE_STANDING_H
#define MOONRISE_STANDING_H

#include "ledger.h"
#include "manifest.h"

#include <stdbool.h>
#include <stdint.h>

#define STANDING_UNFINISHED 4

/* What a manifest lists. */
struct standing_list {
	bool there;
	char id[MANIFEST_ID_MAX + 1];
	uint64_t all, files, folders, links, bytes;
	char why[128]; /* it is damaged */
};

struct standing {
	const char *path;
	int top, notes; /* the folder, and its .moonrise */
	bool is_volume;
	struct standing_list list;  /* of the template, or as it was laid into the volume */
	struct standing_list image; /* of all of the image */
	char unfinished[STANDING_UNFINISHED][MANIFEST_ID_MAX + 1]; /* images; "": none */
	struct ledger ledger;
};

/* 0, also when something in it is damaged; -ENODATA when the folder is neither, or another
 * -errno. */
int standing_look(struct standing *standing, const char *path);
void standing_done(struct standing *standing);

bool standing_is_damaged(const struct standing *standing);

/* To the standard output. 0 or -errno. */
int standing_print(const struct standing *standing);
int standing_print_json(const struct standing *standing);

#endif
