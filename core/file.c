/* SPDX-License-Identifier: MIT */
/* A draft is a file in the making: opened, filled, given mode and owner, put on
 * disk, and only then renamed. */
#include "file.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COPY_CHUNK 65536

/* ---- parts */

void file_temporary_name(const char *name, char ret_name[static NAME_MAX + 1])
{
	static const char suffix[] = ".moonrise-new";
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	if (strlen(name) <= NAME_MAX - sizeof(suffix)) {
		snprintf(ret_name, NAME_MAX + 1, ".%s%s", name, suffix);
		return;
	}
	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
	snprintf(ret_name, NAME_MAX + 1, ".%.*s-%016" PRIx64 "%s",
		 (int)(NAME_MAX - sizeof(suffix) - 17), name, hash, suffix);
}

int file_open_temporary(int folder, const char *temporary, mode_t mode)
{
	int fd = -1;

	for (int try = 0; try < 2 && fd < 0; try++) {
		fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    mode);
		if (fd < 0 && (errno != EEXIST || unlinkat(folder, temporary, 0) < 0))
			return -errno;
	}
	return fd < 0 ? -EEXIST : fd;
}

int file_publish(int folder, const char *temporary, const char *name, bool replace)
{
	struct stat st;

	if (!replace) {
		if (syscall(SYS_renameat2, folder, temporary, folder, name,
			    1 /* RENAME_NOREPLACE */) == 0)
			return 0;
		if (errno != EINVAL && errno != ENOSYS)
			return -errno;
		/* This file system can't; then the moment in between must do. */
		if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return -EEXIST;
	}
	return renameat(folder, temporary, folder, name) < 0 ? -errno : 0;
}

int file_sync_names(int folder)
{
	auto_close int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == EACCES ? 0 : -errno; /* we may write in it, but not read it */
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

int file_write_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int file_copy_range(int from, int to, off_t size)
{
	char chunk[COPY_CHUNK];

	while (size > 0) {
		size_t most = size < (off_t)sizeof(chunk) ? (size_t)size : sizeof(chunk);
		ssize_t n = read(from, chunk, most);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		r = file_write_all(to, chunk, (size_t)n);
		if (r < 0)
			return r;
		size -= n;
	}
	return 0;
}

/* ---- reading */

static int check_regular(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) ? 0 : -EOPNOTSUPP;
}

static int open_at(int folder, const char *name, int flags, mode_t mode)
{
	auto_close int fd = openat(folder, name, flags | FILE_OPEN_SAFELY, mode);
	int r;

	if (fd < 0)
		return errno == ENXIO ? -EOPNOTSUPP : -errno;
	r = check_regular(fd);
	return r < 0 ? r : keep_fd(&fd);
}

static int open_regular(const struct place *place, int flags, mode_t mode)
{
	return open_at(place->folder, place->name, flags, mode);
}

int file_open_at(int folder, const char *name)
{
	return open_at(folder, name, O_RDONLY, 0);
}

int file_open(const char *path)
{
	auto_place struct place place = NO_PLACE;
	int r = walk_to(path, WALK_FOLLOW, &place);

	return r < 0 ? r : open_regular(&place, O_RDONLY, 0);
}

int file_open_folder(const char *path)
{
	auto_place struct place place = NO_PLACE;
	int fd, r = walk_to(path, WALK_FOLLOW, &place);

	if (r < 0)
		return r;
	fd = openat(place.folder, place.name, O_RDONLY | O_DIRECTORY | FILE_OPEN_SAFELY);
	return fd < 0 ? -errno : fd;
}

int file_stat(const char *path, bool follow_last, struct stat *ret_stat)
{
	auto_place struct place place = NO_PLACE;
	int r = walk_to(path, follow_last ? WALK_FOLLOW : WALK_STAY, &place);

	if (r < 0)
		return r;
	return fstatat(place.folder, place.name, ret_stat, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int file_space(const char *path, struct statvfs *ret_space)
{
	auto_close int fd = file_open_folder(path);

	if (fd < 0)
		return fd;
	return fstatvfs(fd, ret_space) < 0 ? -errno : 0;
}

int file_can_write(const char *folder)
{
	auto_place struct place place = NO_PLACE;
	int r = walk_to(folder, WALK_FOLLOW, &place);

	if (r < 0)
		return r;
	return faccessat(place.folder, place.name, W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int file_sync(const char *folder)
{
	auto_close int fd = file_open_folder(folder);

	if (fd < 0)
		return fd;
	return syncfs(fd) < 0 ? -errno : 0;
}

/* ---- writing */

struct content {
	const char *data;
	size_t size;
	int fd; /* -1: data and size */
};

static int fill(int fd, const struct content *content)
{
	if (content->fd < 0)
		return file_write_all(fd, content->data, content->size);
	if (lseek(content->fd, 0, SEEK_SET) < 0)
		return -errno;
	return file_copy_range(content->fd, fd, INT64_MAX);
}

static bool wants_owner(const struct file_attr *attr)
{
	return attr->uid != FILE_KEEP_ID || attr->gid != (gid_t)FILE_KEEP_ID;
}

/* What is asked for must succeed; the old owner is kept where that is allowed,
 * and a file that changes hands loses its set-id bits. */
static int settle(int fd, const struct stat *old, const struct file_attr *attr)
{
	int mode = attr->mode;

	if (old) {
		bool kept = fchown(fd, old->st_uid, old->st_gid) == 0;

		if (mode < 0)
			mode = old->st_mode & (kept ? 07777 : 01777);
	}
	if (wants_owner(attr) && fchown(fd, attr->uid, attr->gid) < 0)
		return -errno;
	return mode >= 0 && fchmod(fd, (mode_t)mode) < 0 ? -errno : 0;
}

static int put_draft(int fd, const struct place *place, const char *temporary,
		     const struct stat *old, const struct content *content,
		     const struct file_attr *attr)
{
	int r = fill(fd, content);

	if (r == 0)
		r = settle(fd, old, attr);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = file_publish(place->folder, temporary, place->name, true);
	return r;
}

static int put_atomic(const struct place *place, const struct stat *old,
		      const struct content *content, const struct file_attr *attr)
{
	char temporary[NAME_MAX + 1];
	bool mode_follows = old || attr->mode >= 0;
	int r;

	file_temporary_name(place->name, temporary);
	auto_close int fd =
		file_open_temporary(place->folder, temporary, mode_follows ? 0600 : 0666);
	if (fd < 0)
		return fd;
	r = put_draft(fd, place, temporary, old, content, attr);
	if (r < 0) {
		(void)unlinkat(place->folder, temporary, 0);
		return r;
	}
	return file_sync_names(place->folder);
}

static int put_in_place(const struct place *place, const struct content *content,
			const struct file_attr *attr)
{
	auto_close int fd = open_regular(place, O_WRONLY, 0);
	off_t size;
	int r;

	if (fd < 0)
		return fd;
	r = settle(fd, NULL, attr);
	if (r == 0)
		r = fill(fd, content);
	if (r < 0)
		return r;
	size = lseek(fd, 0, SEEK_CUR);
	if (size < 0 || ftruncate(fd, size) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* The name is a mount point, or the folder is not ours to change. */
static bool is_fixed(int error)
{
	return error == -EBUSY || error == -EACCES || error == -EPERM || error == -EROFS;
}

static int put(const char *path, const struct content *content, const struct file_attr *attr)
{
	auto_place struct place place = NO_PLACE;
	struct stat old;
	bool exists;
	int r = walk_to(path, WALK_FOLLOW, &place);

	if (r < 0)
		return r;
	exists = fstatat(place.folder, place.name, &old, AT_SYMLINK_NOFOLLOW) == 0;
	if (!exists && errno != ENOENT)
		return -errno;
	if (exists && !S_ISREG(old.st_mode))
		return S_ISDIR(old.st_mode) ? -EISDIR : -EOPNOTSUPP;
	r = put_atomic(&place, exists ? &old : NULL, content, attr);
	return exists && is_fixed(r) ? put_in_place(&place, content, attr) : r;
}

int file_write(const char *path, const void *data, size_t size, const struct file_attr *attr)
{
	struct content content = { .data = data, .size = size, .fd = -1 };

	return put(path, &content, attr);
}

int file_copy(const char *from, const char *to, const struct file_attr *attr)
{
	auto_close int fd = file_open(from);
	struct content content = { .fd = fd };
	struct file_attr with_mode = *attr;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (with_mode.mode < 0)
		with_mode.mode = st.st_mode & 0777;
	return put(to, &content, &with_mode);
}

int file_open_append(const char *path)
{
	auto_place struct place place = NO_PLACE;
	int r = walk_to(path, WALK_FOLLOW, &place);

	return r < 0 ? r : file_open_append_at(place.folder, place.name);
}

int file_open_append_at(int folder, const char *name)
{
	return open_at(folder, name, O_WRONLY | O_APPEND | O_CREAT, 0666);
}

int file_open_new_at(int folder, const char *name)
{
	return open_at(folder, name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL, 0600);
}

int file_lock(int fd, bool shared)
{
	return flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0 ? -errno : 0;
}

int file_note(int fd, const char *text)
{
	return ftruncate(fd, 0) < 0 ? -errno : file_write_all(fd, text, strlen(text));
}

int file_watcher(void)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int file_watch(int watcher, const char *folder)
{
	uint32_t events = IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF |
			  IN_MOVE_SELF | IN_ONLYDIR;
	int number = inotify_add_watch(watcher, folder, events);

	return number < 0 ? -errno : number;
}

void file_unwatch(int watcher, int number)
{
	(void)inotify_rm_watch(watcher, number);
}

static int append_and_sync(int fd, const void *data, size_t size)
{
	off_t old = lseek(fd, 0, SEEK_END);
	int r = file_write_all(fd, data, size);

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		(void)ftruncate(fd, old);
	return r;
}

int file_append(const char *path, const void *data, size_t size, const struct file_attr *attr)
{
	auto_place struct place place = NO_PLACE;
	bool is_new = false;
	int r = walk_to(path, WALK_FOLLOW, &place);

	if (r < 0)
		return r;
	auto_close int fd = open_regular(&place, O_WRONLY | O_APPEND, 0);
	if (fd == -ENOENT) {
		fd = open_regular(&place, O_WRONLY | O_APPEND | O_CREAT | O_EXCL,
				  attr->mode >= 0 ? 0600 : 0666);
		is_new = true;
	}
	if (fd < 0)
		return fd;
	r = settle(fd, NULL, attr);
	if (r == 0)
		r = append_and_sync(fd, data, size);
	return r == 0 && is_new ? file_sync_names(place.folder) : r;
}

/* ---- names */

int file_move(const char *from, const char *to)
{
	auto_place struct place old = NO_PLACE, new = NO_PLACE;
	int r = walk_to(from, WALK_STAY, &old);

	if (r == 0)
		r = walk_to(to, WALK_STAY, &new);
	if (r == 0 && renameat(old.folder, old.name, new.folder, new.name) < 0)
		r = -errno;
	if (r == 0)
		r = file_sync_names(new.folder);
	return r < 0 ? r : file_sync_names(old.folder);
}

int file_link(const char *target, const char *path)
{
	auto_place struct place place = NO_PLACE;
	char temporary[NAME_MAX + 1];
	int r = walk_to(path, WALK_STAY, &place);

	if (r < 0)
		return r;
	file_temporary_name(place.name, temporary);
	(void)unlinkat(place.folder, temporary, 0);
	if (symlinkat(target, place.folder, temporary) < 0)
		return -errno;
	r = file_publish(place.folder, temporary, place.name, true);
	if (r < 0) {
		(void)unlinkat(place.folder, temporary, 0);
		return r;
	}
	return file_sync_names(place.folder);
}

static int make_folder(const struct place *place, const char *temporary,
		       const struct file_attr *attr)
{
	int r = 0;

	if (mkdirat(place->folder, temporary, attr->mode >= 0 ? 0700 : 0777) < 0)
		return -errno;
	auto_close int fd =
		openat(place->folder, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		r = -errno;
	if (r == 0)
		r = settle(fd, NULL, attr);
	if (r == 0)
		r = file_publish(place->folder, temporary, place->name, false);
	if (r < 0)
		(void)unlinkat(place->folder, temporary, AT_REMOVEDIR);
	return r;
}

int file_make_folder(const char *path, const struct file_attr *attr)
{
	auto_place struct place place = NO_PLACE;
	char temporary[NAME_MAX + 1];
	struct stat st;
	int r = walk_to(path, WALK_FOLLOW, &place);

	if (r < 0)
		return r;
	if (fstatat(place.folder, place.name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	file_temporary_name(place.name, temporary);
	(void)unlinkat(place.folder, temporary, AT_REMOVEDIR);
	r = make_folder(&place, temporary, attr);
	return r < 0 ? r : file_sync_names(place.folder);
}

int file_remove(const char *path)
{
	auto_place struct place place = NO_PLACE;
	int r = walk_to(path, WALK_STAY, &place);

	if (r < 0)
		return r;
	if (unlinkat(place.folder, place.name, 0) < 0 &&
	    (errno != EISDIR || unlinkat(place.folder, place.name, AT_REMOVEDIR) < 0))
		return -errno;
	return file_sync_names(place.folder);
}

int file_change_owner(const char *path, uid_t uid, gid_t gid)
{
	auto_place struct place place = NO_PLACE;
	int r = walk_to(path, WALK_TRUSTED, &place);

	if (r < 0)
		return r;
	return fchownat(place.folder, place.name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int file_change_mode(const char *path, int mode)
{
	auto_place struct place place = NO_PLACE;
	int r = walk_to(path, WALK_TRUSTED, &place);

	if (r < 0)
		return r;
	return fchmodat(place.folder, place.name, (mode_t)mode, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
											 : 0;
}
