/* SPDX-License-Identifier: MIT */
/* The record that a volume keeps of what was done to it, for those who only look at it: it
 * is written by, and described in, lua/moonrise/journal.lua. */
#ifndef MOONRISE_LEDGER_H
#define MOONRISE_LEDGER_H

#include <stddef.h>

#define LEDGER_NAME "journal"
#define LEDGER_FORMAT 1

struct ledger_entry {
	const char *what;  /* as it stands there: "begin" */
	const char *name;  /* of a step, or the image's id */
	const char *image; /* of "upgraded": by which one */
};

/* What counts in the end: "begin" or "done" for each step of `once`, then, for each step of
 * `upgrade`, "upgraded" and "keep" (it was begun), then each "image" in its order. */
struct ledger {
	struct ledger_entry *entries;
	size_t count;
	char *text;
	char why[128]; /* after -EBADMSG: what is wrong */
};

/* From the volume's .moonrise. 0 or -errno: -ENOENT, -EFBIG, or -EBADMSG when it is damaged
 * or of a newer format. */
int ledger_read(int folder, struct ledger *ret_ledger);
void ledger_done(struct ledger *ledger);

#endif
