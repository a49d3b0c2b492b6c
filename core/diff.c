/* SPDX-License-Identifier: MIT */
/* By the manifest: two streams in the same order, what it says, and what is there. By the
 * layers of an overlay: what is in the upper one, and what the lower ones have there. */
#include "diff.h"

#include "describe.h"
#include "layers.h"
#include "scan.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>

struct comparison {
	struct diff *diff;
	struct manifest_reader reader;
	int before;          /* of manifest_next: 1 while the reader has an entry */
	struct path closed;  /* nothing is known of what is below */
	struct path deleted; /* and so is what is below */

	struct layers layers;
	struct path renamed; /* what is below is not looked for in the upper layer */
	bool in_renamed;     /* but where the layers are one: now */
	int layer;           /* that has what was there before; -1: all is said by its entry */
	struct entry lower;
};

/* ---- what does not count */

static bool is_ignored(const struct diff *diff, const char *path)
{
	for (size_t i = 0; i < diff->ignore_count; i++)
		if (fnmatch(diff->ignore[i], path, FNM_PATHNAME | FNM_LEADING_DIR) == 0)
			return true;
	return describe_is_left_out(diff->image, path);
}

/* Of what is scanned, as seen from the root. 0 or -ENAMETOOLONG. */
static int find_path(const struct comparison *comparison, const char *path, struct path *ret_path)
{
	ret_path->text[0] = '\0';
	if (comparison->in_renamed)
		*ret_path = comparison->renamed;
	return path_push(ret_path, path);
}

static bool is_skipped(void *context, const char *path, const struct stat *st)
{
	const struct comparison *comparison = context;
	const char *renamed = comparison->in_renamed ? "" : comparison->renamed.text;
	struct path absolute;

	(void)st;
	return find_path(comparison, path, &absolute) < 0 ||
	       (renamed[0] && path_is_within(absolute.text, renamed)) ||
	       is_ignored(comparison->diff, absolute.text);
}

static int note_closed(void *context, const char *path)
{
	struct comparison *comparison = context;

	comparison->diff->closed++;
	return find_path(comparison, path, &comparison->closed);
}

/* ---- what has changed */

/* 1, 0 or -errno; what can't be read is another. */
static int has_other_hash(const struct comparison *comparison, const struct entry *before,
			  const struct entry *now)
{
	unsigned char hash[ENTRY_HASH], other[ENTRY_HASH];
	int r = scan_hash(comparison->diff->image->root, now->path, hash);

	memcpy(other, before->hash, ENTRY_HASH);
	if (r == 0 && comparison->layer >= 0)
		r = scan_hash(comparison->layer, before->path, other);
	if (r < 0)
		return r == -EACCES ? 1 : r;
	return memcmp(hash, other, ENTRY_HASH) != 0;
}

static int has_other_content(const struct comparison *comparison, const struct entry *before,
			     const struct entry *now)
{
	if (now->type != 'f')
		return strcmp(before->target, now->target) != 0 ||
		       memcmp(before->device, now->device, sizeof(now->device)) != 0;
	if (before->size != now->size)
		return true;
	if (entry_same_time(&before->mtime, &now->mtime))
		return false;
	return has_other_hash(comparison, before, now);
}

/* Attributes that are gone do not count: image layers drop most of them. */
static bool has_other_attributes(const struct entry *before, const struct entry *now)
{
	return now->has_xattrs &&
	       (!before->has_xattrs || memcmp(before->xattrs, now->xattrs, XATTR_DIGEST) != 0);
}

/* Bits, or -errno. */
static int compare(const struct comparison *comparison, const struct entry *before,
		   const struct entry *now)
{
	int what, r;

	if (before->type != now->type)
		return DIFF_TYPE;
	r = has_other_content(comparison, before, now);
	if (r < 0)
		return r;
	what = r ? DIFF_CONTENT : 0;
	if (before->mode != now->mode)
		what |= DIFF_MODE;
	if (before->uid != now->uid || before->gid != now->gid)
		what |= DIFF_OWNER;
	if (has_other_attributes(before, now))
		what |= DIFF_ATTRIBUTES;
	return what;
}

static int report(const struct comparison *comparison, enum diff_kind kind, unsigned int what,
		  const struct entry *entry)
{
	return comparison->diff->found(comparison->diff->context, kind, what, entry);
}

static int report_changed(const struct comparison *comparison, const struct entry *before,
			  const struct entry *now, unsigned int also)
{
	int what = compare(comparison, before, now);

	if (what >= 0)
		what |= (int)also;
	return what > 0 ? report(comparison, DIFF_CHANGED, (unsigned int)what, now) : what;
}

/* ---- by the manifest */

static int report_deleted(struct comparison *comparison)
{
	const struct entry *entry = &comparison->reader.entry;
	const char *closed = comparison->closed.text, *deleted = comparison->deleted.text;
	struct path absolute = { "" };
	int r = path_push(&absolute, entry->path);

	if (r < 0 || is_ignored(comparison->diff, absolute.text) ||
	    (closed[0] && path_is_within(absolute.text, closed)) ||
	    (deleted[0] && path_is_within(absolute.text, deleted)))
		return r;
	comparison->deleted = absolute;
	return report(comparison, DIFF_DELETED, 0, entry);
}

/* On to the first of the manifest that is not before the path; NULL: to its end. */
static int catch_up(struct comparison *comparison, const char *path)
{
	int r = 0;

	while (comparison->before == 1 &&
	       (!path || entry_compare(comparison->reader.entry.path, path) < 0)) {
		r = report_deleted(comparison);
		if (r < 0)
			return r;
		comparison->before = manifest_next(&comparison->reader);
	}
	return comparison->before < 0 ? comparison->before : 0;
}

static int look_at(void *context, const struct entry *now)
{
	struct comparison *comparison = context;
	const struct entry *before = &comparison->reader.entry;
	int r = catch_up(comparison, now->path);

	if (r < 0)
		return r;
	if (comparison->before == 0 || strcmp(before->path, now->path) != 0)
		return report(comparison, DIFF_CREATED, 0, now);
	r = report_changed(comparison, before, now, 0);
	if (r == 0)
		comparison->before = manifest_next(&comparison->reader);
	return r;
}

static int open_manifest(struct comparison *comparison)
{
	const struct image *image = comparison->diff->image;
	struct path path = image->template;
	int r = path_push(&path, DESCRIBE_PATH);

	if (r == 0)
		r = manifest_open(&comparison->reader, image->root, path_relative(path.text));
	return r == -ENOENT || r == -ENOTDIR ? -ENODATA : r;
}

static int compare_all(struct comparison *comparison, int folder,
		       int (*add)(void *context, const struct entry *now))
{
	struct scan scan = {
		.sockets = true,
		.skip = is_skipped,
		.closed = note_closed,
		.add = add,
		.context = comparison,
	};
	struct tree_path path;
	int r = scan_tree(folder, &scan, &path);

	if (r < 0 && !comparison->diff->where.text[0])
		(void)find_path(comparison, path.text, &comparison->diff->where);
	return r;
}

static int diff_by_manifest(struct comparison *comparison)
{
	int r = open_manifest(comparison);

	if (r == 0) {
		comparison->layer = -1;
		comparison->before = manifest_next(&comparison->reader);
		r = comparison->before < 0 ? comparison->before : 0;
		if (r == 0)
			r = compare_all(comparison, comparison->diff->image->root, look_at);
		if (r == 0)
			r = catch_up(comparison, NULL);
		manifest_close(&comparison->reader);
	}
	if (r == -EBADMSG)
		strcpy(comparison->diff->why, comparison->reader.why);
	return r;
}

/* ---- by the layers of an overlay */

static int describe_lower(struct comparison *comparison, const char *path, const struct stat *st)
{
	struct entry *lower = &comparison->lower;

	strcpy(lower->path, path);
	return scan_entry(comparison->layer, path, st, false, lower);
}

/* A folder that was removed and made again, or that has the name of another one now, hides
 * what the image has in it. */
static unsigned int is_new_folder(const struct comparison *comparison, const struct entry *now)
{
	int upper = comparison->layers.upper;
	bool is = comparison->lower.type == 'd' && now->type == 'd' &&
		  (layers_is_opaque(upper, now->path) || layers_is_renamed(upper, now->path));

	return is ? DIFF_CONTENT : 0;
}

static int compare_entry(struct comparison *comparison, const struct entry *now)
{
	bool removed = now->type == 'c' && now->device[0] == 0 && now->device[1] == 0;
	struct stat st;
	int r = layers_find(&comparison->layers, now->path, &comparison->layer, &st);

	if (r <= 0)
		return r < 0 || removed ? r : report(comparison, DIFF_CREATED, 0, now);
	r = describe_lower(comparison, now->path, &st);
	if (r < 0)
		return r;
	if (removed)
		return report(comparison, DIFF_DELETED, 0, &comparison->lower);
	return report_changed(comparison, &comparison->lower, now, is_new_folder(comparison, now));
}

static int look_at_renamed(void *context, const struct entry *found)
{
	struct comparison *comparison = context;
	struct entry now = *found;
	struct path path;
	int r = find_path(comparison, found->path, &path);

	if (r < 0)
		return r;
	strcpy(now.path, path_relative(path.text));
	return compare_entry(comparison, &now);
}

/* What a folder brought along stays in the lower layers, under the name that it had there;
 * so the whole is looked at. */
static int compare_renamed(struct comparison *comparison, const struct entry *now)
{
	int r, root = comparison->diff->image->root;

	comparison->renamed.text[0] = '\0';
	r = path_push(&comparison->renamed, now->path);
	if (r < 0)
		return r;
	auto_close int fd = tree_open_folder(root, now->path);
	if (fd < 0)
		return fd;
	comparison->in_renamed = true;
	r = compare_all(comparison, fd, look_at_renamed);
	comparison->in_renamed = false;
	return r;
}

static int look_at_upper(void *context, const struct entry *now)
{
	struct comparison *comparison = context;
	int r = compare_entry(comparison, now);

	if (r == 0 && now->type == 'd' && layers_is_renamed(comparison->layers.upper, now->path))
		r = compare_renamed(comparison, now);
	return r;
}

int diff_run(struct diff *diff)
{
	struct comparison comparison = { .diff = diff, .layer = -1 };
	int r = layers_open(&comparison.layers, diff->root);

	if (r == -ENODATA)
		return diff_by_manifest(&comparison);
	if (r == 0)
		r = compare_all(&comparison, comparison.layers.upper, look_at_upper);
	layers_done(&comparison.layers);
	return r;
}
