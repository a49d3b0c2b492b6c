/* SPDX-License-Identifier: MIT */
/* Rounds of two passes over the template. The first makes what is missing under
 * temporary names; then all of it is put on disk at once, which is many times
 * faster than file by file; the second pass gives the names. So a name always
 * stands for a whole file that is on disk, whenever the power goes. A missing
 * folder is filled under its temporary name and gets its own when it is complete.
 *
 * What a crash has left under temporary names is not trusted: a folder is
 * continued, a file is made anew. A round is bounded, so that not all is lost when
 * a large populate is cut short. */
#include "populate.h"

#include "file.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define ROUND_ENTRIES 20000
#define ROUND_BYTES (512ULL << 20)

struct job {
	enum { COUNT, MAKE, PUBLISH } pass;
	dev_t device;     /* of the volume: what the one sync covers */
	uint64_t entries; /* of this round: made */
	uint64_t bytes;
	bool missing; /* MAKE: there is something to publish */
	bool left;    /* PUBLISH: something is for the next round */
	struct populate_report *report;
};

/* A folder of the template and its counterpart; `to` is -1 when that is missing
 * and only counted. */
struct pair {
	struct job *job;
	int from, to;
};

static int visit_pair(struct job *job, int from, int to);

static int visit_below(const struct pair *pair, const char *name, int to)
{
	auto_close int from = tree_open_folder(pair->from, name);

	return from < 0 ? from : visit_pair(pair->job, from, to);
}

static bool is_round_over(const struct job *job)
{
	return job->entries >= ROUND_ENTRIES || job->bytes >= ROUND_BYTES;
}

/* ---- count */

static int count(const struct pair *pair, const char *name, const struct stat *model)
{
	pair->job->report->entries++;
	if (S_ISREG(model->st_mode))
		pair->job->report->bytes += (uint64_t)model->st_size;
	return S_ISDIR(model->st_mode) ? visit_below(pair, name, -1) : 0;
}

/* ---- make */

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

/* A mount inside the volume is not covered by the round's sync. */
static int sync_elsewhere(int fd, dev_t device)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_dev != device && fsync(fd) < 0 ? -errno : 0;
}

static int make_file(const struct pair *pair, const char *name, const char *temporary,
		     const struct stat *model)
{
	auto_close int from = openat(pair->from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (from < 0)
		return -errno;
	auto_close int to = file_open_temporary(pair->to, temporary, 0600);
	if (to < 0)
		return to;
	r = file_copy_content(from, to);
	if (r == 0)
		r = dress(pair->to, temporary, to, model);
	return r < 0 ? r : sync_elsewhere(to, pair->job->device);
}

static int make_link(const struct pair *pair, const char *name, const char *temporary,
		     const struct stat *model)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(pair->from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (symlinkat(target, pair->to, temporary) < 0)
		return -errno;
	return dress(pair->to, temporary, -1, model);
}

static int make_node(const struct pair *pair, const char *temporary, const struct stat *model)
{
	if (mknodat(pair->to, temporary, model->st_mode, model->st_rdev) < 0)
		return -errno;
	return dress(pair->to, temporary, -1, model);
}

/* Anything but a folder. */
static int make_entry(const struct pair *pair, const char *name, const char *temporary,
		      const struct stat *model)
{
	struct job *job = pair->job;
	int r = tree_remove_at(pair->to, temporary, &job->report->path);

	if (r < 0 || is_round_over(job))
		return r;
	if (S_ISREG(model->st_mode))
		r = make_file(pair, name, temporary, model);
	else if (S_ISLNK(model->st_mode))
		r = make_link(pair, name, temporary, model);
	else
		r = make_node(pair, temporary, model);
	if (r < 0)
		(void)unlinkat(pair->to, temporary, 0);
	job->entries++;
	job->bytes += (uint64_t)model->st_size;
	return r;
}

static int make_folder(const struct pair *pair, const char *name, const char *temporary)
{
	struct job *job = pair->job;

	(void)unlinkat(pair->to, temporary, 0); /* not a folder: from another template */
	if (!is_round_over(job)) {
		if (mkdirat(pair->to, temporary, 0700) == 0)
			job->entries++;
		else if (errno != EEXIST)
			return -errno;
	}
	auto_close int to = tree_open_folder(pair->to, temporary);
	if (to < 0)
		return to == -ENOENT && is_round_over(job) ? 0 : to;
	return visit_below(pair, name, to);
}

static int make(const struct pair *pair, const char *name, const struct stat *model)
{
	char temporary[NAME_MAX + 1];

	pair->job->missing = true;
	file_temporary_name(name, temporary);
	if (S_ISDIR(model->st_mode))
		return make_folder(pair, name, temporary);
	return make_entry(pair, name, temporary, model);
}

/* ---- publish */

static int publish_name(const struct pair *pair, const char *name, const char *temporary)
{
	int r = file_publish(pair->to, temporary, name, false);

	if (r == 0)
		pair->job->report->entries++;
	if (r == -ENOENT) { /* not made in this round */
		pair->job->left = true;
		return 0;
	}
	if (r == -EEXIST) /* somebody else was faster */
		return tree_remove_at(pair->to, temporary, &pair->job->report->path);
	return r;
}

static int publish_folder(const struct pair *pair, const char *name, const char *temporary,
			  const struct stat *model)
{
	auto_close int to = tree_open_folder(pair->to, temporary);
	struct job *job = pair->job;
	bool left_before = job->left, left_inside;
	int r;

	if (to < 0 && to != -ENOENT)
		return to;
	job->left = to < 0;
	r = to < 0 ? 0 : visit_below(pair, name, to);
	left_inside = job->left;
	job->left = left_before || left_inside;
	if (r == 0 && !left_inside)
		r = dress(pair->to, temporary, to, model);
	return r < 0 || left_inside ? r : publish_name(pair, name, temporary);
}

static int publish(const struct pair *pair, const char *name, const struct stat *model)
{
	char temporary[NAME_MAX + 1];

	file_temporary_name(name, temporary);
	if (S_ISDIR(model->st_mode))
		return publish_folder(pair, name, temporary, model);
	return publish_name(pair, name, temporary);
}

/* ---- the walk */

static int visit_missing(const struct pair *pair, const char *name, const struct stat *model)
{
	static int (*const passes[])(const struct pair *, const char *, const struct stat *) = {
		[COUNT] = count,
		[MAKE] = make,
		[PUBLISH] = publish,
	};

	return passes[pair->job->pass](pair, name, model);
}

static int visit_entry(void *context, const char *name)
{
	const struct pair *pair = context;
	struct stat model, present;

	if (fstatat(pair->from, name, &model, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISSOCK(model.st_mode)) /* belongs to a process that is gone */
		return 0;
	if (pair->to < 0)
		return visit_missing(pair, name, &model);
	if (fstatat(pair->to, name, &present, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? visit_missing(pair, name, &model) : -errno;
	if (!S_ISDIR(model.st_mode) || !S_ISDIR(present.st_mode))
		return 0;
	auto_close int to = tree_open_folder(pair->to, name);
	return to < 0 ? to : visit_below(pair, name, to);
}

static int visit_pair(struct job *job, int from, int to)
{
	struct pair pair = { job, from, to };

	return tree_each(from, &job->report->path, visit_entry, &pair);
}

static int sync_volume(int volume)
{
	return syncfs(volume) < 0 ? -errno : 0;
}

/* 1 when there is more to do, 0, or -errno. */
static int round_trip(struct job *job, int from, int to)
{
	int r;

	job->pass = MAKE;
	job->entries = job->bytes = 0;
	job->missing = job->left = false;
	r = visit_pair(job, from, to);
	if (r < 0 || !job->missing)
		return r;
	r = sync_volume(to);
	if (r < 0)
		return r;
	job->pass = PUBLISH;
	r = visit_pair(job, from, to);
	if (r == 0 && job->left && job->entries == 0)
		return -EAGAIN; /* somebody changes the template under us */
	return r < 0 ? r : job->left;
}

static int fill(struct job *job, int from, int to)
{
	struct stat st;
	mode_t mask = umask(0);
	int r = fstat(to, &st) < 0 ? -errno : 1;

	job->device = st.st_dev;
	while (r == 1)
		r = round_trip(job, from, to);
	umask(mask);
	return r == 0 && job->report->entries > 0 ? sync_volume(to) : r;
}

static int run(const char *template, const char *volume, bool count_only,
	       struct populate_report *ret_report)
{
	struct job job = { .pass = COUNT, .report = ret_report };
	auto_close int from = file_open_folder(template);
	auto_close int to = file_open_folder(volume);

	*ret_report = (struct populate_report){ 0 };
	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	return count_only ? visit_pair(&job, from, to) : fill(&job, from, to);
}

int populate(const char *template, const char *volume, struct populate_report *ret_report)
{
	return run(template, volume, false, ret_report);
}

int populate_missing(const char *template, const char *volume, struct populate_report *ret_report)
{
	return run(template, volume, true, ret_report);
}
