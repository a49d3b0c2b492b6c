/* SPDX-License-Identifier: MIT */
/* Populating goes entry by entry. What is missing is made under a temporary name,
 * dressed (owner, mode, times) and then given its own; so is a whole folder, with
 * all below it. What a crash has left is found under the temporary name: a file is
 * made anew, a folder is continued. */
#include "tree.h"

#include "file.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int open_folder(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- a path that follows where we are */

static int push_name(struct tree_report *report, const char *name)
{
	size_t length = strlen(report->path), more = strlen(name);

	if (length + 1 + more >= sizeof(report->path))
		return -ENAMETOOLONG;
	if (length > 0)
		report->path[length++] = '/';
	memcpy(report->path + length, name, more + 1);
	return 0;
}

static void pop_name(struct tree_report *report)
{
	char *slash = strrchr(report->path, '/');

	*(slash ? slash : report->path) = '\0';
}

/* ---- each entry of a folder */

struct visit {
	int (*entry)(const struct visit *visit, const char *name);
	int from; /* the folder whose entries are visited */
	int to;   /* populate: its counterpart; -1: there is none */
	bool dry; /* populate: count only */
	struct tree_report *report;
};

static inline void cleanup_closedir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

/* Stops at the first error, with the report's path left at it. */
static int visit_entries(const struct visit *visit)
{
	int r = 0, fd = open_folder(visit->from, ".");
	__attribute__((cleanup(cleanup_closedir))) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return fd < 0 ? fd : -errno;
	while (r == 0) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(dir);
		if (!entry)
			return -errno;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = push_name(visit->report, entry->d_name);
		if (r == 0)
			r = visit->entry(visit, entry->d_name);
		if (r == 0)
			pop_name(visit->report);
	}
	return r;
}

/* ---- populate */

/* The owner, where that is allowed: a process that may not give files away runs
 * its daemons under its own uid, too. A file that is then ours is not set-id. */
static int dress(int folder, const char *name, int fd, const struct stat *model)
{
	const struct timespec times[2] = { model->st_atim, model->st_mtim };
	mode_t mode = model->st_mode & 07777;

	if (fchownat(folder, name, model->st_uid, model->st_gid, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != EPERM && errno != EINVAL) /* EINVAL: not in this user namespace */
			return -errno;
		if (!S_ISDIR(model->st_mode))
			mode &= 01777;
	}
	if (fd >= 0 && fchmod(fd, mode) < 0)
		return -errno;
	return utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int make_file(int from, int to, const char *name, const char *temporary,
		     const struct stat *model)
{
	auto_close int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (source < 0)
		return -errno;
	auto_close int target = file_open_temporary(to, temporary, 0600);
	if (target < 0)
		return target;
	r = file_copy_content(source, target);
	if (r == 0)
		r = dress(to, temporary, target, model);
	return r == 0 && fsync(target) < 0 ? -errno : r;
}

static int make_link(int from, int to, const char *name, const char *temporary)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, to, temporary) < 0 ? -errno : 0;
}

/* Anything but a folder. */
static int make_entry(const struct visit *visit, const char *name, const struct stat *model)
{
	char temporary[NAME_MAX + 1];
	int r;

	file_temporary_name(name, temporary);
	if (S_ISREG(model->st_mode)) {
		r = make_file(visit->from, visit->to, name, temporary, model);
	} else {
		(void)unlinkat(visit->to, temporary, 0);
		if (S_ISLNK(model->st_mode))
			r = make_link(visit->from, visit->to, name, temporary);
		else
			r = mknodat(visit->to, temporary, model->st_mode, model->st_rdev) < 0
				    ? -errno
				    : 0;
		if (r == 0)
			r = dress(visit->to, temporary, -1, model);
	}
	if (r == 0)
		r = file_publish(visit->to, temporary, name, false);
	if (r < 0)
		(void)unlinkat(visit->to, temporary, 0);
	return r;
}

static int populate_entry(const struct visit *visit, const char *name);

/* `to` is -1 when the folder is missing and only counted. */
static int populate_folder(const struct visit *visit, const char *name, int to)
{
	auto_close int from = open_folder(visit->from, name);
	struct visit below = *visit;

	if (from < 0)
		return from;
	below.from = from;
	below.to = to;
	return visit_entries(&below);
}

static int make_folder(const struct visit *visit, const char *name, const struct stat *model)
{
	char temporary[NAME_MAX + 1];
	int r;

	file_temporary_name(name, temporary);
	(void)unlinkat(visit->to, temporary, 0); /* not a folder: from another template */
	if (mkdirat(visit->to, temporary, 0700) < 0 && errno != EEXIST)
		return -errno;
	auto_close int to = open_folder(visit->to, temporary);
	if (to < 0)
		return to;
	r = populate_folder(visit, name, to);
	if (r == 0)
		r = dress(visit->to, temporary, to, model);
	if (r == 0)
		r = file_sync_names(to);
	return r < 0 ? r : file_publish(visit->to, temporary, name, false);
}

static int continue_folder(const struct visit *visit, const char *name)
{
	auto_close int to = open_folder(visit->to, name);
	uint64_t before = visit->report->entries;
	int r = to < 0 ? to : populate_folder(visit, name, to);

	return r == 0 && visit->report->entries > before && !visit->dry ? file_sync_names(to) : r;
}

static int populate_missing(const struct visit *visit, const char *name, const struct stat *model)
{
	visit->report->entries++;
	if (S_ISREG(model->st_mode))
		visit->report->bytes += (uint64_t)model->st_size;
	if (visit->dry)
		return S_ISDIR(model->st_mode) ? populate_folder(visit, name, -1) : 0;
	if (S_ISDIR(model->st_mode))
		return make_folder(visit, name, model);
	return make_entry(visit, name, model);
}

static int populate_entry(const struct visit *visit, const char *name)
{
	struct stat model, present;

	if (fstatat(visit->from, name, &model, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISSOCK(model.st_mode)) /* belongs to a process that is gone */
		return 0;
	if (visit->to < 0)
		return populate_missing(visit, name, &model);
	if (fstatat(visit->to, name, &present, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? populate_missing(visit, name, &model) : -errno;
	if (S_ISDIR(model.st_mode) && S_ISDIR(present.st_mode))
		return continue_folder(visit, name);
	return 0;
}

static int populate(const char *template, const char *volume, bool dry,
		    struct tree_report *ret_report)
{
	auto_close int from = file_open_folder(template);
	auto_close int to = file_open_folder(volume);
	struct visit visit = { populate_entry, from, to, dry, ret_report };
	mode_t mask = umask(0);
	int r;

	*ret_report = (struct tree_report){ 0 };
	r = from < 0 ? from : to < 0 ? to : visit_entries(&visit);
	if (r == 0 && !dry)
		r = file_sync_names(to);
	umask(mask);
	return r;
}

int tree_populate(const char *template, const char *volume, struct tree_report *ret_report)
{
	return populate(template, volume, false, ret_report);
}

int tree_missing(const char *template, const char *volume, struct tree_report *ret_report)
{
	return populate(template, volume, true, ret_report);
}

/* ---- remove */

static int remove_folder(const struct visit *visit, const char *name)
{
	auto_close int folder = open_folder(visit->from, name);
	struct visit below = *visit;
	int r;

	if (folder < 0)
		return folder;
	below.from = folder;
	r = visit_entries(&below);
	if (r < 0)
		return r;
	return unlinkat(visit->from, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int remove_entry(const struct visit *visit, const char *name)
{
	int r = unlinkat(visit->from, name, 0) < 0 ? -errno : 0;

	if (r == -EISDIR)
		r = remove_folder(visit, name);
	if (r == -ENOENT) /* somebody else was faster */
		return 0;
	visit->report->entries++;
	return r;
}

int tree_remove(const char *path, struct tree_report *ret_report)
{
	auto_place struct place place = NO_PLACE;
	struct visit visit = { .entry = remove_entry, .to = -1, .report = ret_report };
	int r = walk_to(path, WALK_STAY, &place);

	*ret_report = (struct tree_report){ 0 };
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	visit.from = place.folder;
	r = remove_entry(&visit, place.name);
	return r < 0 ? r : file_sync_names(place.folder);
}
