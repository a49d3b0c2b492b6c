/* SPDX-License-Identifier: MIT */
/* The record that a volume keeps of what was done to it, for those who only look at it: it
 * is written by, and described in, lua/moonrise/journal.lua. */
#ifndef MOONRISE_LEDGER_H
#define MOONRISE_LEDGER_H

#include <stddef.h>

#define LEDGER_NAME "journal"
#define LEDGER_FORMAT 1

struct ledger_entry {
	const char *what; /* "begin", "done", "image", ... */
	const char *name;
};

struct ledger {
	struct ledger_entry *entries; /* the last for each name of a step, sorted; then images */
	size_t count;
	char *text;
	char why[128]; /* after -EBADMSG: what is wrong */
};

/* From the volume's .moonrise. 0 or -errno: -ENOENT, -EFBIG, or -EBADMSG when it is damaged
 * or of a newer format. */
int ledger_read(int folder, struct ledger *ret_ledger);
void ledger_done(struct ledger *ledger);

#endif
