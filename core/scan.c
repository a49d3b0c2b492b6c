/* SPDX-License-Identifier: MIT */
/* Files with several names are remembered by device and inode until the last of
 * their names was seen. */
#include "scan.h"

#include "file.h"
#include "manifest.h"
#include "sha256.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

/* ---- one entry */

char scan_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return 'd';
	case S_IFREG:
		return 'f';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	default:
		return 's';
	}
}

/* Leaves the time of access as it is, where that is allowed. */
static int open_quietly(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_NOATIME | FILE_OPEN_SAFELY);

	return fd < 0 && errno == EPERM ? file_open_at(folder, name) : fd < 0 ? -errno : fd;
}

int scan_hash(int folder, const char *name, unsigned char ret_hash[static ENTRY_HASH])
{
	char chunk[65536];
	struct sha256 hash;
	ssize_t n;
	auto_close int fd = open_quietly(folder, name);

	if (fd < 0)
		return fd;
	sha256_init(&hash);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			sha256_add(&hash, chunk, (size_t)n);
	}
	sha256_done(&hash, ret_hash);
	return 0;
}

static int read_target(int folder, const char *name, struct entry *entry)
{
	ssize_t n = readlinkat(folder, name, entry->target, sizeof(entry->target));

	if (n < 0)
		return errno == EINVAL ? -ESTALE : -errno;
	if ((size_t)n >= sizeof(entry->target))
		return -ENAMETOOLONG;
	entry->target[n] = '\0';
	return 0;
}

static int read_content(int folder, const char *name, const struct stat *st, bool hash,
			struct entry *entry)
{
	entry->target[0] = '\0';
	entry->device[0] = entry->device[1] = 0;
	entry->has_hash = false;
	if (S_ISLNK(st->st_mode))
		return read_target(folder, name, entry);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		entry->device[0] = major(st->st_rdev);
		entry->device[1] = minor(st->st_rdev);
	}
	if (!S_ISREG(st->st_mode) || !hash)
		return 0;
	entry->has_hash = true;
	return scan_hash(folder, name, entry->hash);
}

int scan_entry(int folder, const char *name, const struct stat *st, bool hash,
	       struct entry *ret_entry)
{
	int r = xattr_digest(folder, name, ret_entry->xattrs);

	ret_entry->has_xattrs = r == 1;
	ret_entry->type = scan_type(st->st_mode);
	ret_entry->mode = st->st_mode & 07777;
	ret_entry->uid = st->st_uid;
	ret_entry->gid = st->st_gid;
	ret_entry->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	ret_entry->mtime = st->st_mtim;
	return r < 0 ? r : read_content(folder, name, st, hash, ret_entry);
}

/* ---- files with several names */

struct known {
	struct known *next;
	dev_t device;
	ino_t inode;
	nlink_t left; /* names not seen yet */
	uint32_t group;
};

#define BUCKETS 1024

struct scanning {
	const struct scan *scan;
	struct tree_path *path;
	struct known *known[BUCKETS];
	uint32_t groups;
	struct entry entry;
};

/* 0, or -ENOMEM. */
static int group_of(struct scanning *scanning, const struct stat *st, uint32_t *ret_group)
{
	struct known **at = &scanning->known[st->st_ino % BUCKETS], *known;

	*ret_group = 0;
	if (!S_ISREG(st->st_mode) || st->st_nlink < 2)
		return 0;
	while (*at && ((*at)->inode != st->st_ino || (*at)->device != st->st_dev))
		at = &(*at)->next;
	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return -ENOMEM;
		**at = (struct known){ NULL, st->st_dev, st->st_ino, st->st_nlink,
				       ++scanning->groups };
	}
	known = *at;
	*ret_group = known->group;
	if (--known->left == 0) {
		*at = known->next;
		free(known);
	}
	return 0;
}

static void forget(struct scanning *scanning)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		while (scanning->known[i]) {
			struct known *known = scanning->known[i];

			scanning->known[i] = known->next;
			free(known);
		}
	}
}

/* ---- the walk */

struct level {
	struct scanning *scanning;
	int folder;
};

static int scan_name(void *context, const char *name);

static int scan_below(struct scanning *scanning, int folder, const char *name)
{
	auto_close int fd = tree_open_folder(folder, name);
	struct level level = { scanning, fd };

	return fd < 0 ? fd : tree_each_sorted(fd, scanning->path, scan_name, &level);
}

static bool is_left_out(const struct scanning *scanning, const struct stat *st)
{
	const struct scan *scan = scanning->scan;
	const char *path = scanning->path->text;

	return strcmp(path, MANIFEST_FOLDER) == 0 || (S_ISSOCK(st->st_mode) && !scan->sockets) ||
	       (scan->skip && scan->skip(scan->context, path, st));
}

static bool wants_hash(const struct scan *scan, const struct stat *st)
{
	return scan->hash && (scan->most == 0 || st->st_size <= scan->most);
}

static int look_at(const struct level *level, const char *name, const struct stat *st)
{
	struct scanning *scanning = level->scanning;
	struct entry *entry = &scanning->entry;
	int r = scan_entry(level->folder, name, st, wants_hash(scanning->scan, st), entry);

	if (r == 0)
		r = group_of(scanning, st, &entry->group);
	if (r < 0)
		return r;
	strcpy(entry->path, scanning->path->text);
	r = scanning->scan->add(scanning->scan->context, entry);
	return r == 0 && S_ISDIR(st->st_mode) ? scan_below(scanning, level->folder, name) : r;
}

static int scan_name(void *context, const char *name)
{
	const struct level *level = context;
	const struct scan *scan = level->scanning->scan;
	struct stat st;
	int r = 0;

	if (fstatat(level->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	else if (!is_left_out(level->scanning, &st))
		r = look_at(level, name, &st);
	if (r == -EACCES && scan->closed)
		r = scan->closed(scan->context, level->scanning->path->text);
	return r == -ENOENT ? 0 : r;
}

int scan_tree(int folder, const struct scan *scan, struct tree_path *ret_path)
{
	struct scanning scanning = { .scan = scan, .path = ret_path };
	int r;

	ret_path->text[0] = '\0';
	r = scan_below(&scanning, folder, ".");
	forget(&scanning);
	return r;
}
