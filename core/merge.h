/* SPDX-License-Identifier: MIT */
/* What becomes of one entry of a volume when its template is another than the one
 * that was laid down last: from the two templates' entries and what the user has.
 * The rules and nothing else. The manual has them as a table: moonrise-boot(5),
 * "Upgrades". */
#ifndef MOONRISE_MERGE_H
#define MOONRISE_MERGE_H

#include <stdbool.h>

/* Content: type and bytes, or the target of a link. Attributes: owner, mode and
 * extended attributes. "Laid" is what we put there, by the last template or by one
 * whose laying was cut short. */
struct merge {
	bool first;           /* no template was ever laid down completely */
	bool in_new;          /* the template has it */
	bool in_base;         /* the last one had it */
	bool in_all;          /* so have all that were cut short */
	bool other_type;      /* it was, say, a file in the last one and is a folder */
	bool content_changed; /* by the image, against the last one */
	bool attributes_changed;

	bool ours;                      /* it lies in a folder that is still in the making */
	bool there;                     /* the volume has something by that name ... */
	bool content_new, content_laid; /* ... which is as the template has it, as it was laid */
	bool attributes_new, attributes_laid;
};

enum merge_verdict {
	MERGE_NOTHING,
	MERGE_MAKE,
	MERGE_REPLACE,    /* content and attributes */
	MERGE_CONTENT,    /* the content; the attributes are the user's */
	MERGE_ATTRIBUTES, /* only these */
	MERGE_REMOVE,
	MERGE_KEEP,     /* the template has it no more, but the user changed it */
	MERGE_CONFLICT, /* both have changed it, or both have made it */
};

enum merge_verdict merge_decide(const struct merge *m);

#endif
