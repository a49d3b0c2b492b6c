/* SPDX-License-Identifier: MIT */
/* Two streams in the same order: what was laid down, and what is there. */
#include "changes.h"

#include "cred.h"
#include "file.h"
#include "manifest.h"
#include "present.h"
#include "scan.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct comparison {
	struct changes *changes;
	int volume;
	bool with_owner;
	int more; /* of manifest_next: 1 while the reader has an entry */
	struct manifest_reader laid;
};

/* On to the first that was laid and is not before the path; NULL: to the end. */
static int catch_up(struct comparison *c, const char *path)
{
	const char *laid = c->laid.entry.path;

	while (c->more == 1 && (!path || entry_compare(laid, path) < 0)) {
		c->changes->tell(c->changes->context, "removed", laid);
		c->more = manifest_next(&c->laid);
	}
	return c->more < 0 ? c->more : 0;
}

static int compare(struct comparison *c, const struct entry *now)
{
	struct present present;
	int r = present_look(&present, c->volume, now->path);

	if (r == 0)
		r = present_has_content(&present, &c->laid.entry);
	if (r == 1)
		r = present_has_attributes(&present, &c->laid.entry, c->with_owner);
	if (r == 0)
		c->changes->tell(c->changes->context, "changed", now->path);
	return r < 0 ? r : 0;
}

static int look_at(void *context, const struct entry *now)
{
	struct comparison *c = context;
	int r = catch_up(c, now->path);

	if (r < 0)
		return r;
	if (c->more == 0 || strcmp(c->laid.entry.path, now->path) != 0) {
		c->changes->tell(c->changes->context, "created", now->path);
		return 0;
	}
	r = compare(c, now);
	if (r == 0)
		c->more = manifest_next(&c->laid);
	return r < 0 ? r : c->more < 0 ? c->more : 0;
}

static int compare_all(struct comparison *c)
{
	struct scan scan = { .sockets = true, .add = look_at, .context = c };
	int r;

	c->more = manifest_next(&c->laid);
	r = scan_tree(c->volume, &scan, &c->changes->path);
	return r < 0 ? r : catch_up(c, NULL);
}

int changes_run(struct changes *changes)
{
	auto_free struct comparison *c = calloc(1, sizeof(*c));
	auto_close int volume = file_open_folder(changes->volume);
	auto_close int notes = volume < 0 ? volume : tree_open_folder(volume, MANIFEST_FOLDER);
	int r;

	if (!c)
		return -ENOMEM;
	if (notes < 0)
		return notes == -ENOENT ? -ENODATA : notes;
	c->changes = changes;
	c->volume = volume;
	c->with_owner = cred_effective() & UINT64_C(1) << CAP_CHOWN;
	r = manifest_open(&c->laid, notes, MANIFEST_NAME);
	if (r == 0) {
		r = compare_all(c);
		manifest_close(&c->laid);
	}
	if (r == -EBADMSG) {
		strcpy(changes->path.text, MANIFEST_PATH);
		strcpy(changes->why, c->laid.why);
	}
	return r == -ENOENT ? -ENODATA : r;
}
