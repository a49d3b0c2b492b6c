/* SPDX-License-Identifier: MIT */
/* Content goes the cheapest way that the two file systems have: shared blocks, then
 * a copy in the kernel, then through a buffer. The order of attributes matters: a
 * change of owner takes set-id bits and capabilities off, so it comes first, and
 * the times come last. */
#include "copy.h"

#include "file.h"
#include "util.h"
#include "xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

/* ---- content */

/* One way does not work between these two: try the next. */
static bool is_unable(int error)
{
	return error == EXDEV || error == EOPNOTSUPP || error == ENOSYS || error == EINVAL ||
	       error == ENOTTY || error == EBADF || error == EPERM || error == ETXTBSY;
}

/* Sharing is asked for once; most file systems can't. */
static bool share_blocks(int from, int to)
{
	static atomic_bool unable;

	if (unable)
		return false;
	if (ioctl(to, FICLONE, from) == 0)
		return true;
	unable = is_unable(errno);
	return false;
}

#define SMALL (64 << 10) /* for less, a pipe in the kernel costs more than a buffer */
#define CHUNK (8 << 20)  /* the disk is to begin while there is more to come */

/* From where both stand, up to `size`; what the kernel won't do is left to the
 * caller. 0 or -errno. */
static int copy_in_kernel(int from, int to, off_t *size)
{
	static atomic_bool unable;

	while (!unable && *size > SMALL) {
		size_t most = *size < CHUNK ? (size_t)*size : CHUNK;
		ssize_t n = copy_file_range(from, NULL, to, NULL, most, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !is_unable(errno))
			return -errno;
		if (n <= 0) {
			unable = n < 0;
			return 0;
		}
		*size -= n;
		if (*size > 0)
			(void)sync_file_range(to, lseek(to, 0, SEEK_CUR) - n, n,
					      SYNC_FILE_RANGE_WRITE);
	}
	return 0;
}

/* The stretch of data that both stand at the beginning of. */
static int copy_stretch(int from, int to, off_t size)
{
	int r = copy_in_kernel(from, to, &size);

	return r == 0 && size > 0 ? file_copy_range(from, to, size) : r;
}

/* Stretch by stretch; the holes in between stay holes. */
static int copy_sparse(int from, int to, off_t size)
{
	off_t data = 0, hole;

	while (data < size) {
		int r;

		data = lseek(from, data, SEEK_DATA);
		if (data < 0)
			break; /* ENXIO: a hole up to the end */
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0 || lseek(from, data, SEEK_SET) < 0 || lseek(to, data, SEEK_SET) < 0)
			return -errno;
		r = copy_stretch(from, to, hole - data);
		if (r < 0)
			return r;
		data = hole;
	}
	if (data < 0 && errno != ENXIO)
		return -errno;
	return ftruncate(to, size) < 0 ? -errno : 0;
}

static int copy_content(int from, int to, const struct stat *st)
{
	if (st->st_size == 0)
		return 0;
	if (share_blocks(from, to))
		return 0;
	if ((off_t)st->st_blocks * 512 < st->st_size)
		return copy_sparse(from, to, st->st_size);
	return copy_stretch(from, to, st->st_size);
}

/* ---- attributes */

/* An entry that was just made; the descriptor is -1 for what can't be opened. */
struct made {
	int fd, folder;
	const char *name;
	struct stat st; /* of an open one: what is right already is left alone */
	bool has_xattrs;
	const char *own; /* whose extended attributes it gets; NULL: the original's */
};

static int set_xattr(void *context, const char *key, const void *value, size_t size)
{
	struct made *made = context;
	char path[64 + NAME_MAX];
	int r;

	made->has_xattrs = true;
	if (made->fd >= 0) {
		r = fsetxattr(made->fd, key, value, size, 0);
	} else {
		snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", made->folder, made->name);
		r = lsetxattr(path, key, value, size, 0);
	}
	if (r == 0 || errno == EPERM || errno == EACCES || errno == ENOTSUP)
		return 0;
	return -errno;
}

/* Most have none, which an open file tells at once. */
static int copy_xattrs(int from_fd, int from, const char *name, struct made *made)
{
	if (from_fd >= 0 && flistxattr(from_fd, NULL, 0) <= 0)
		return 0;
	return xattr_each(from, name, set_xattr, made);
}

/* A file that is then ours is not set-id. */
static int give_owner(const struct made *made, const struct stat *model, mode_t *mode)
{
	int r;

	if (made->fd >= 0 && made->st.st_uid == model->st_uid && made->st.st_gid == model->st_gid)
		return 0;
	r = made->fd >= 0 ? fchown(made->fd, model->st_uid, model->st_gid)
			  : fchownat(made->folder, made->name, model->st_uid, model->st_gid,
				     AT_SYMLINK_NOFOLLOW);

	if (r == 0)
		return 0;
	if (errno != EPERM && errno != EINVAL) /* EINVAL: not in this user namespace */
		return -errno;
	if (!S_ISDIR(model->st_mode))
		*mode &= 01777;
	return 0;
}

/* An ACL has changed it, too. */
static int give_mode(const struct made *made, mode_t mode)
{
	if (made->fd < 0 || (!made->has_xattrs && (made->st.st_mode & 07777) == mode))
		return 0;
	return fchmod(made->fd, mode) < 0 ? -errno : 0;
}

static int give_times(const struct made *made, const struct stat *model)
{
	const struct timespec times[2] = { model->st_atim, model->st_mtim };
	int r = made->fd >= 0 ? futimens(made->fd, times)
			      : utimensat(made->folder, made->name, times, AT_SYMLINK_NOFOLLOW);

	return r < 0 ? -errno : 0;
}

static int give_attributes(int from_fd, int from, const char *name, struct made *made,
			   const struct stat *model)
{
	mode_t mode = model->st_mode & 07777;
	int r = made->fd >= 0 && fstat(made->fd, &made->st) < 0 ? -errno : 0;

	if (r == 0)
		r = give_owner(made, model, &mode);
	if (r == 0 && made->own)
		r = xattr_each(made->folder, made->own, set_xattr, made);
	else if (r == 0)
		r = copy_xattrs(from_fd, from, name, made);
	if (r == 0)
		r = give_mode(made, mode);
	return r < 0 ? r : give_times(made, model);
}

int copy_folder_attributes(int from, const struct stat *model, int to)
{
	struct made made = { .fd = to, .folder = to, .name = "." };

	return give_attributes(from, from, ".", &made, model);
}

static int remove_xattr(void *context, const char *key, const void *value, size_t size)
{
	const struct made *made = context;

	(void)value;
	(void)size;
	return fremovexattr(made->fd, key) < 0 && errno != ENODATA && errno != EPERM ? -errno : 0;
}

int copy_attributes(int from, const char *name, const struct stat *model, int to,
		    const char *to_name)
{
	auto_close int fd = openat(to, to_name, FILE_OPEN_SAFELY | O_RDONLY);
	struct made made = { .fd = fd, .folder = to, .name = to_name };
	mode_t mode = model->st_mode & 07777;
	int r;

	if (S_ISLNK(model->st_mode))
		return give_owner(&made, model, &mode);
	if (fd < 0)
		return errno == EACCES || errno == EPERM || errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &made.st) < 0)
		return -errno;
	if ((made.st.st_mode & S_IFMT) != (model->st_mode & S_IFMT))
		return 0;
	r = give_owner(&made, model, &mode);
	if (r == 0)
		r = xattr_each(to, to_name, remove_xattr, &made);
	if (r == 0)
		r = xattr_each(from, name, set_xattr, &made);
	if (r == 0)
		r = give_mode(&made, mode);
	return r == -EPERM ? 0 : r;
}

/* ---- entries */

/* Nobody gets at what is in the making, who is not going to. */
static mode_t first_mode(const struct stat *model)
{
	bool is_ours = model->st_uid == geteuid() && model->st_gid == getegid();

	return model->st_mode & (is_ours ? 0777 : 0700);
}

static int copy_file(int from, const char *name, const struct stat *model, struct made *made)
{
	auto_close int readable = openat(from, name, FILE_OPEN_SAFELY | O_RDONLY);
	struct stat st;
	int r;

	if (readable < 0)
		return errno == ENXIO || errno == ELOOP ? -EOPNOTSUPP : -errno;
	if (fstat(readable, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EOPNOTSUPP;
	auto_close int fd =
		openat(made->folder, made->name,
		       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, first_mode(model));
	if (fd < 0)
		return -errno;
	made->fd = fd;
	r = copy_content(readable, fd, &st);
	if (r == 0)
		r = give_attributes(readable, from, name, made, model);
	made->fd = -1;
	return r;
}

static int copy_link(int from, const char *name, const struct stat *model, struct made *made)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target));

	if (n < 0)
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	if ((size_t)n >= sizeof(target))
		return -ENAMETOOLONG;
	target[n] = '\0';
	if (symlinkat(target, made->folder, made->name) < 0)
		return -errno;
	return give_attributes(-1, from, name, made, model);
}

/* A fifo or a device is born with its mode: there is no chmod that follows no link. */
static int copy_node(int from, const char *name, const struct stat *model, struct made *made)
{
	if (mknodat(made->folder, made->name, model->st_mode, model->st_rdev) < 0)
		return -errno;
	return give_attributes(-1, from, name, made, model);
}

int copy_entry(int from, const char *name, const struct stat *model, int to, const char *to_name,
	       const char *own)
{
	struct made made = { .fd = -1, .folder = to, .name = to_name, .own = own };
	int r;

	if (S_ISREG(model->st_mode))
		r = copy_file(from, name, model, &made);
	else if (S_ISLNK(model->st_mode))
		r = copy_link(from, name, model, &made);
	else if (S_ISDIR(model->st_mode) || S_ISSOCK(model->st_mode))
		return -EOPNOTSUPP;
	else
		r = copy_node(from, name, model, &made);
	if (r < 0 && r != -EEXIST)
		(void)unlinkat(to, to_name, 0);
	return r;
}

/* ---- files of several names: a hash table that doubles when it is half full */

struct copy_link {
	dev_t device;
	ino_t number;
	char *path; /* NULL: free */
};

static struct copy_link *find_slot(struct copy_link *slots, size_t room, dev_t device, ino_t number)
{
	size_t at = (size_t)(number * 0x9e3779b97f4a7c15ULL ^ device) & (room - 1);

	while (slots[at].path && (slots[at].device != device || slots[at].number != number))
		at = (at + 1) & (room - 1);
	return &slots[at];
}

static int grow(struct copy_links *links)
{
	size_t room = links->room ? links->room * 2 : 64;
	struct copy_link *slots = calloc(room, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < links->room; i++) {
		const struct copy_link *old = &links->slots[i];

		if (old->path)
			*find_slot(slots, room, old->device, old->number) = *old;
	}
	free(links->slots);
	links->slots = slots;
	links->room = room;
	return 0;
}

/* The slot for this file, free when it is seen for the first time; NULL: no memory. */
static struct copy_link *reserve(struct copy_links *links, const struct stat *st)
{
	if (links->count * 2 >= links->room && grow(links) < 0)
		return NULL;
	return find_slot(links->slots, links->room, st->st_dev, st->st_ino);
}

static int remember(struct copy *copy, struct copy_link *slot, const struct stat *st,
		    const char *path)
{
	slot->path = strdup(path);
	if (!slot->path)
		return -ENOMEM;
	slot->device = st->st_dev;
	slot->number = st->st_ino;
	copy->links.count++;
	return 0;
}

int copy_know(struct copy *copy, const struct stat *original, const char *path)
{
	struct copy_link *slot = reserve(&copy->links, original);

	if (!slot)
		return -ENOMEM;
	return slot->path ? 0 : remember(copy, slot, original, path);
}

void copy_done(struct copy *copy)
{
	for (size_t i = 0; i < copy->links.room; i++)
		free(copy->links.slots[i].path);
	free(copy->links.slots);
	copy->links = (struct copy_links){ 0 };
}

/* ---- trees */

struct pair {
	struct copy *copy;
	int from, to;
};

static int copy_below(void *context, const char *name)
{
	const struct pair *pair = context;

	return copy_tree(pair->copy, pair->from, name, pair->to, name);
}

static int copy_folder(struct copy *copy, int from, const char *name, int to, const char *to_name,
		       const struct stat *model)
{
	struct pair pair = { .copy = copy };
	int r;

	if (mkdirat(to, to_name, 0700) < 0)
		return -errno;
	auto_close int source = tree_open_folder(from, name);
	auto_close int target = tree_open_folder(to, to_name);
	if (source < 0 || target < 0)
		return source < 0 ? source : target;
	pair.from = source;
	pair.to = target;
	r = tree_each(source, copy->path, copy_below, &pair);
	return r < 0 ? r : copy_folder_attributes(source, model, target);
}

static int copy_one_of_several(struct copy *copy, int from, const char *name, int to,
			       const char *to_name, const struct stat *model)
{
	struct copy_link *slot = reserve(&copy->links, model);
	int r;

	if (!slot)
		return -ENOMEM;
	if (slot->path)
		return linkat(copy->top, slot->path, to, to_name, 0) < 0 ? -errno : 0;
	r = copy_entry(from, name, model, to, to_name, NULL);
	return r < 0 ? r : remember(copy, slot, model, copy->path->text);
}

int copy_tree(struct copy *copy, int from, const char *name, int to, const char *to_name)
{
	struct stat model;
	int r;

	if (fstatat(from, name, &model, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISSOCK(model.st_mode)) /* belongs to a process that is gone */
		return 0;
	if (S_ISDIR(model.st_mode))
		r = copy_folder(copy, from, name, to, to_name, &model);
	else if (model.st_nlink > 1)
		r = copy_one_of_several(copy, from, name, to, to_name, &model);
	else
		r = copy_entry(from, name, &model, to, to_name, NULL);
	copy->entries += r == 0;
	if (r == 0 && S_ISREG(model.st_mode))
		copy->bytes += (uint64_t)model.st_size;
	return r;
}
