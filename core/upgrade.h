/* SPDX-License-Identifier: MIT */
/* One walk through the manifests of all that was ever laid into a volume, and of what
 * is to be laid now: side by side, as sorted streams. */
#ifndef MOONRISE_UPGRADE_H
#define MOONRISE_UPGRADE_H

#include "manifest.h"
#include "populate.h"

#include <stdbool.h>

#define UPGRADE_NEW 0  /* the template's */
#define UPGRADE_BASE 1 /* the last one that was laid completely */
#define UPGRADE_CUT 2  /* and more: those whose laying was not finished */
#define UPGRADE_CUT_MAX 4
#define UPGRADE_STREAMS (UPGRADE_CUT + UPGRADE_CUT_MAX)

struct upgrade_stream {
	struct manifest_reader reader;
	bool used;     /* there is such a manifest, and it stands at its beginning */
	bool live;     /* reader.entry is to be looked at ... */
	bool here;     /* ... now */
	char path[64]; /* for messages */
	bool in_template;
};

/* r, after noting that it is this manifest that can't be used. */
int upgrade_at(struct populate *p, const struct upgrade_stream *stream, int r);

/* From the template to the volume; in a rehearsal, only count and tell. `made` is called
 * when all is made and what is left is mostly to wait for the disk. 0 or -errno. */
int upgrade_walk(struct populate *p, struct upgrade_stream **streams, int from, int to,
		 bool rehearsal, int (*made)(void *context), void *context);

#endif
