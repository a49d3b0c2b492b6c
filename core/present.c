/* SPDX-License-Identifier: MIT */
#include "present.h"

#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int present_look(struct present *present, int folder, const char *name)
{
	*present = (struct present){ .folder = folder, .name = name };
	present->there = fstatat(folder, name, &present->st, AT_SYMLINK_NOFOLLOW) == 0;
	return present->there || errno == ENOENT ? 0 : -errno;
}

static int has_hash(struct present *present, const struct entry *entry)
{
	if (!entry->has_hash)
		return 0;
	if (!present->has_hash) {
		int r = scan_hash(present->folder, present->name, present->hash);

		if (r < 0)
			return r == -EACCES ? 0 : r;
		present->has_hash = true;
	}
	return memcmp(present->hash, entry->hash, ENTRY_HASH) == 0;
}

static int has_target(const struct present *present, const struct entry *entry)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(present->folder, present->name, target, sizeof(target));

	if (n < 0)
		return -errno;
	return (size_t)n == strlen(entry->target) && memcmp(target, entry->target, (size_t)n) == 0;
}

int present_has_content(struct present *present, const struct entry *entry)
{
	const struct stat *st = &present->st;

	if (!present->there || entry->type != scan_type(st->st_mode))
		return 0;
	switch (entry->type) {
	case 'f':
		if ((uint64_t)st->st_size != entry->size)
			return 0;
		if (entry_same_time(&st->st_mtim, &entry->mtime) && !present->read_it)
			return 1;
		return has_hash(present, entry);
	case 'l':
		return has_target(present, entry);
	case 'c':
	case 'b':
		return major(st->st_rdev) == entry->device[0] &&
		       minor(st->st_rdev) == entry->device[1];
	default:
		return 1;
	}
}

/* Who may not give files away may not set all of them, and leaves out what it may not. */
static int has_xattrs(struct present *present, const struct entry *entry, bool with_owner)
{
	if (!present->has_digest) {
		int r = xattr_digest(present->folder, present->name, present->xattrs);

		if (r < 0)
			return r == -EACCES ? 0 : r;
		present->has_digest = true;
		present->has_xattrs = r == 1;
	}
	if (!present->has_xattrs)
		return !entry->has_xattrs || !with_owner;
	return entry->has_xattrs && memcmp(present->xattrs, entry->xattrs, XATTR_DIGEST) == 0;
}

bool present_has_owner(const struct present *present, const struct entry *entry, bool with_owner)
{
	return !with_owner ||
	       (present->st.st_uid == entry->uid && present->st.st_gid == entry->gid);
}

/* A file that could not be given away is not set-id. */
static bool has_mode(const struct present *present, const struct entry *entry, bool with_owner)
{
	mode_t mode = present->st.st_mode & 07777;

	return entry->type == 'l' || mode == entry->mode ||
	       (!with_owner && mode == (entry->mode & 01777));
}

int present_has_attributes(struct present *present, const struct entry *entry, bool with_owner)
{
	if (!present->there || !present_has_owner(present, entry, with_owner) ||
	    !has_mode(present, entry, with_owner))
		return 0;
	return has_xattrs(present, entry, with_owner);
}

bool present_has_mode(const struct present *present, const struct entry *entry)
{
	return (present->st.st_mode & 01777) == (entry->mode & 01777);
}

static bool same_hash(const struct entry *a, const struct entry *b)
{
	return memcmp(a->hash, b->hash, ENTRY_HASH) == 0;
}

bool present_same_content(const struct entry *a, const struct entry *b)
{
	if (a->type != b->type || a->size != b->size || strcmp(a->target, b->target) != 0 ||
	    memcmp(a->device, b->device, sizeof(a->device)) != 0)
		return false;
	if (a->type != 'f')
		return true;
	return a->has_hash && b->has_hash ? same_hash(a, b) : entry_same_time(&a->mtime, &b->mtime);
}

bool present_same_attributes(const struct entry *a, const struct entry *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       a->has_xattrs == b->has_xattrs &&
	       (!a->has_xattrs || memcmp(a->xattrs, b->xattrs, XATTR_DIGEST) == 0);
}

bool present_deceives(const struct entry *a, const struct entry *b)
{
	return a->type == 'f' && b->type == 'f' && a->size == b->size && a->has_hash &&
	       b->has_hash && entry_same_time(&a->mtime, &b->mtime) && !same_hash(a, b);
}
