/* SPDX-License-Identifier: MIT */
/* Two streams in the same order: what the manifest says, and what is there. */
#include "diff.h"

#include "describe.h"
#include "scan.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>

struct comparison {
	struct diff *diff;
	struct manifest_reader reader;
	int before;         /* of manifest_next: 1 while the reader has an entry */
	struct path closed; /* nothing is known of what is below */
};

/* ---- what does not count */

static bool is_ignored(const struct diff *diff, const char *path)
{
	for (size_t i = 0; i < diff->ignore_count; i++)
		if (fnmatch(diff->ignore[i], path, FNM_PATHNAME | FNM_LEADING_DIR) == 0)
			return true;
	return describe_is_left_out(diff->image, path);
}

static bool is_skipped(void *context, const char *path, const struct stat *st)
{
	const struct comparison *comparison = context;
	struct path absolute = { "" };

	(void)st;
	return path_push(&absolute, path) < 0 || is_ignored(comparison->diff, absolute.text);
}

static int note_closed(void *context, const char *path)
{
	struct comparison *comparison = context;

	comparison->closed.text[0] = '\0';
	comparison->diff->closed++;
	return path_push(&comparison->closed, path);
}

/* ---- what has changed */

static int has_other_content(const struct comparison *comparison, const struct entry *before,
			     const struct entry *now)
{
	unsigned char hash[ENTRY_HASH];
	int r;

	if (now->type != 'f')
		return strcmp(before->target, now->target) != 0 ||
		       memcmp(before->device, now->device, sizeof(now->device)) != 0;
	if (before->size != now->size)
		return true;
	if (entry_same_time(&before->mtime, &now->mtime))
		return false;
	r = scan_hash(comparison->diff->image->root, now->path, hash);
	if (r < 0 && r != -EACCES)
		return r;
	return r < 0 || !before->has_hash || memcmp(hash, before->hash, ENTRY_HASH) != 0;
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

/* ---- the two streams */

static int report(const struct comparison *comparison, enum diff_kind kind, unsigned int what,
		  const struct entry *entry)
{
	return comparison->diff->found(comparison->diff->context, kind, what, entry);
}

static int report_deleted(const struct comparison *comparison)
{
	const struct entry *entry = &comparison->reader.entry;
	const char *closed = comparison->closed.text;
	struct path absolute = { "" };
	int r = path_push(&absolute, entry->path);

	if (r < 0 || is_ignored(comparison->diff, absolute.text) ||
	    (closed[0] && path_is_within(absolute.text, closed)))
		return r;
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
	int what, r = catch_up(comparison, now->path);

	if (r < 0)
		return r;
	if (comparison->before == 0 || strcmp(before->path, now->path) != 0)
		return report(comparison, DIFF_CREATED, 0, now);
	what = compare(comparison, before, now);
	if (what > 0)
		what = report(comparison, DIFF_CHANGED, (unsigned int)what, now);
	if (what == 0)
		comparison->before = manifest_next(&comparison->reader);
	return what;
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

static int compare_all(struct comparison *comparison)
{
	struct diff *diff = comparison->diff;
	struct scan scan = {
		.sockets = true,
		.skip = is_skipped,
		.closed = note_closed,
		.add = look_at,
		.context = comparison,
	};
	struct tree_path path;
	int r;

	comparison->before = manifest_next(&comparison->reader);
	if (comparison->before < 0)
		return comparison->before;
	r = scan_tree(diff->image->root, &scan, &path);
	if (r == 0)
		r = catch_up(comparison, NULL);
	else
		(void)path_push(&diff->where, path.text);
	return r;
}

int diff_run(struct diff *diff)
{
	struct comparison comparison = { .diff = diff };
	int r = open_manifest(&comparison);

	if (r == 0) {
		r = compare_all(&comparison);
		manifest_close(&comparison.reader);
	}
	if (r == -EBADMSG)
		strcpy(diff->why, comparison.reader.why);
	return r;
}
