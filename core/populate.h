/* SPDX-License-Identifier: MIT */
/* A volume gets what its template has, and follows the template when that changes:
 * see merge.h for what becomes of what the user has changed.
 *
 * In <volume>/.moonrise, "manifest" is the template that was laid down completely,
 * and "manifest-1" and so on are those whose laying was begun and not finished. */
#ifndef MOONRISE_POPULATE_H
#define MOONRISE_POPULATE_H

#include "lay.h"
#include "manifest.h"

struct populate {
	const char *template, *volume;
	enum { POPULATE_KEEP, POPULATE_REPLACE, POPULATE_FAIL } on_conflict;
	bool rehearsal; /* change nothing, only tell */
	void (*tell)(void *context, enum lay_news news, const char *path);
	void *context;

	/* What came of it. */
	char old_id[MANIFEST_ID_MAX + 1]; /* "": nothing was laid down before */
	char new_id[MANIFEST_ID_MAX + 1];
	uint64_t entries, bytes; /* made */
	uint64_t conflicts;
	uint64_t free_entries, free_bytes;
	bool is_small;         /* -ENOSPC was seen before anything was changed */
	struct tree_path path; /* after an error, where it was in the volume ... */
	bool at_template;      /* ... or else */
	char why[160];         /* and more of the reason, or "" */
};

/* 0 or -errno; -EUCLEAN: there are conflicts, and they were to be none. */
int populate_run(struct populate *p);

/* The name of the note of UPGRADE_BASE and so on: see upgrade.h. */
const char *populate_note(int stream);

#endif
