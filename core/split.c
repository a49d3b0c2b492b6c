/* SPDX-License-Identifier: MIT */
/* First everything moves to its place in the template, by a rename or, where the file
 * system can't (a folder from a lower layer of an overlay), as a copy under a temporary
 * name. Then copies get their names, and then the originals go: all copies while all originals
 * are there, since files in several of them may be one file. Whenever this is cut short, a path is
 * in the image or in the template, whole. */
#include "split.h"

#include "copy.h"
#include "file.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>

#define OVERLAY_MAGIC 0x794c7630

/* The folder of a path, and its last name. */
struct spot {
	int folder;
	const char *name;
};

static void cleanup_spot(struct spot *spot)
{
	cleanup_close(&spot->folder);
}

#define auto_spot __attribute__((cleanup(cleanup_spot)))

static int open_spot(const struct image *image, const char *path, bool moved, struct spot *ret_spot)
{
	struct path folder;
	int r = image_path(image, path, moved, &folder);

	if (r < 0)
		return r;
	path_pop(&folder);
	ret_spot->name = path_name(path);
	ret_spot->folder = openat(image->root, path_relative(folder.text),
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return ret_spot->folder < 0 ? -errno : 0;
}

/* ---- the folders that lead to a path */

/* The template's folder does not look as if something had been done in it. */
static int keep_times(int folder, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	return futimens(folder, times) < 0 ? -errno : 0;
}

/* As the counterpart on the other side is, if there is one and it is a folder. */
static int dress_folder(const struct image *image, const char *path, bool moved, int to)
{
	struct path there;
	struct stat model;
	int r = image_path(image, path, moved, &there);

	if (r < 0)
		return r;
	auto_close int from = tree_open_folder(image->root, path_relative(there.text));
	if (from < 0 || fstat(from, &model) < 0)
		return 0;
	return copy_folder_attributes(from, &model, to);
}

/* Unless it is there. */
static int make_folder(const struct image *image, const char *path, bool moved)
{
	auto_spot struct spot spot = { .folder = -1 };
	char temporary[NAME_MAX + 1];
	struct stat st, above;
	int r = open_spot(image, path, moved, &spot);

	if (r < 0 || fstatat(spot.folder, spot.name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return r;
	if (fstat(spot.folder, &above) < 0)
		return -errno;
	file_temporary_name(spot.name, temporary);
	if (mkdirat(spot.folder, temporary, 0755) < 0 && errno != EEXIST)
		return -errno;
	auto_close int fd = tree_open_folder(spot.folder, temporary);
	if (fd < 0)
		return fd;
	r = dress_folder(image, path, !moved, fd);
	if (r == 0)
		r = file_publish(spot.folder, temporary, spot.name, false);
	return r == 0 && moved ? keep_times(spot.folder, &above) : r;
}

static int make_folders(const struct image *image, const char *path, bool moved)
{
	struct path at = { "" };
	int r = 0;

	for (const char *end = strchr(path + 1, '/'); r == 0 && end; end = strchr(end + 1, '/')) {
		snprintf(at.text, sizeof(at.text), "%.*s", (int)(end - path), path);
		r = make_folder(image, at.text, moved);
	}
	return r;
}

/* ---- what would not work elsewhere */

struct tidy {
	int folder;
	struct path *path; /* of the folder, as it is seen from the root */
	int depth;         /* of the folder in what moves; -1: outside */
	bool several;      /* a file of several names was seen */
};

/* Where a relative target leads from the folder, as text; false when that is still in
 * what moves. */
static bool leads_out(const struct tidy *tidy, const char *target, struct path *ret_path)
{
	int depth = tidy->depth;
	bool out = depth < 0;

	*ret_path = *tidy->path;
	while (*target) {
		size_t length = strcspn(target, "/");
		char name[NAME_MAX + 2];

		snprintf(name, sizeof(name), "%.*s", (int)length, target);
		target += length + strspn(target + length, "/");
		if (strcmp(name, "..") == 0) {
			path_pop(ret_path);
			out |= --depth < 0;
		} else if (name[0] && strcmp(name, ".") != 0) {
			if (path_push(ret_path, name) < 0)
				return false;
			depth++;
		}
	}
	if (ret_path->text[0] == '\0')
		strcpy(ret_path->text, "/");
	return out;
}

/* The same link with another target. */
static int change_link(int folder, const char *name, const char *target, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	char temporary[NAME_MAX + 1];

	file_temporary_name(name, temporary);
	(void)unlinkat(folder, temporary, 0);
	if (symlinkat(target, folder, temporary) < 0)
		return -errno;
	if (fchownat(folder, temporary, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(folder, temporary, times, AT_SYMLINK_NOFOLLOW) < 0 ||
	    renameat(folder, temporary, folder, name) < 0) {
		int error = -errno;

		(void)unlinkat(folder, temporary, 0);
		return error;
	}
	return 0;
}

/* A relative link that leads out of what moves would lead astray from the volume. */
static int tidy_link(const struct tidy *tidy, const char *name, const struct stat *st)
{
	struct path target, absolute;
	ssize_t n = readlinkat(tidy->folder, name, target.text, sizeof(target.text) - 1);

	if (n < 0)
		return -errno;
	target.text[n] = '\0';
	if (target.text[0] == '/' || !leads_out(tidy, target.text, &absolute))
		return 0;
	return change_link(tidy->folder, name, absolute.text, st);
}

static int tidy_folder(struct tidy *above, const char *name, const struct stat *st);

static int tidy_name(void *context, const char *name)
{
	struct tidy *tidy = context;
	struct stat st;

	if (fstatat(tidy->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return tidy_folder(tidy, name, &st);
	if (S_ISLNK(st.st_mode))
		return tidy_link(tidy, name, &st);
	if (S_ISSOCK(st.st_mode)) {
		log_warning("%s/%s is a socket and is left out", tidy->path->text, name);
		return unlinkat(tidy->folder, name, 0) < 0 ? -errno : 0;
	}
	tidy->several |= S_ISREG(st.st_mode) && st.st_nlink > 1;
	return 0;
}

static int tidy_folder(struct tidy *above, const char *name, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	auto_close int fd = tree_open_folder(above->folder, name);
	struct tidy tidy = { fd, above->path, above->depth + 1, false };
	struct tree_path unused = { "" };
	struct stat now;
	int r = fd < 0 ? fd : path_push(above->path, name);

	if (r == 0)
		r = tree_each_sorted(fd, &unused, tidy_name, &tidy);
	if (r < 0)
		return r;
	path_pop(above->path);
	above->several |= tidy.several;
	if (fstat(fd, &now) < 0)
		return -errno;
	if (now.st_mtim.tv_sec != st->st_mtim.tv_sec || now.st_mtim.tv_nsec != st->st_mtim.tv_nsec)
		return futimens(fd, times) < 0 ? -errno : 0;
	return 0;
}

/* ---- moving */

struct moving {
	const struct image *image;
	struct copy copy;
	struct tree_path copied; /* copy.path */
	bool overlay;
};

static int copy_aside(struct moving *moving, const struct step *step, const struct spot *from,
		      const struct spot *to)
{
	char temporary[NAME_MAX + 1];
	struct tree_path unused = { "" };
	struct path path;
	int r = image_path(moving->image, step->path, true, &path);

	file_temporary_name(to->name, temporary);
	path_pop(&path);
	if (r == 0)
		r = path_push(&path, temporary);
	if (r == 0)
		r = tree_remove_at(to->folder, temporary, &unused);
	if (r < 0)
		return r;
	strcpy(moving->copied.text, path_relative(path.text));
	return copy_tree(&moving->copy, from->folder, from->name, to->folder, temporary);
}

/* A copy-up makes several files of one with several names; so they are copied. */
static int move(struct moving *moving, struct step *step)
{
	struct path folder = { "" };
	auto_spot struct spot from = { .folder = -1 }, to = { .folder = -1 };
	struct tidy tidy = { .path = &folder, .depth = -1 };
	struct stat st;
	int r = make_folders(moving->image, step->path, true);

	if (r == 0)
		r = open_spot(moving->image, step->path, false, &from);
	if (r == 0)
		r = open_spot(moving->image, step->path, true, &to);
	if (r < 0)
		return r;
	(void)path_append(&folder, step->path);
	path_pop(&folder);
	tidy.folder = from.folder;
	r = tidy_name(&tidy, from.name);
	if (r < 0 || fstat(to.folder, &st) < 0)
		return r < 0 ? r : -errno;
	step->copied = moving->overlay && tidy.several;
	if (!step->copied && renameat(from.folder, from.name, to.folder, to.name) < 0) {
		if (errno != EXDEV)
			return -errno;
		step->copied = true;
	}
	if (step->copied)
		r = copy_aside(moving, step, &from, &to);
	return r < 0 ? r : keep_times(to.folder, &st);
}

/* ---- the other steps */

static int drop(const struct image *image, struct step *step)
{
	auto_spot struct spot spot = { .folder = -1 };
	struct tree_path unused = { "" };
	int r = open_spot(image, step->path, false, &spot);

	return r < 0 ? r : tree_remove_at(spot.folder, spot.name, &unused);
}

static int publish(const struct image *image, const struct step *step)
{
	auto_spot struct spot spot = { .folder = -1 };
	char temporary[NAME_MAX + 1];
	struct stat st;
	int r = open_spot(image, step->path, true, &spot);

	if (r < 0)
		return r;
	file_temporary_name(spot.name, temporary);
	if (fstat(spot.folder, &st) < 0)
		return -errno;
	r = file_publish(spot.folder, temporary, spot.name, false);
	return r < 0 ? r : keep_times(spot.folder, &st);
}

/* What was copied is here still. */
static int drop_copied(const struct image *image, struct step *step)
{
	return step->copied ? drop(image, step) : 0;
}

static int make(const struct image *image, struct step *step)
{
	int r = make_folders(image, step->path, true);

	return r < 0 ? r : make_folder(image, step->path, true);
}

static int fold(const struct image *image, struct step *step)
{
	auto_spot struct spot from = { .folder = -1 }, to = { .folder = -1 };
	struct stat model;
	int r = open_spot(image, step->path, false, &from);

	if (r == 0)
		r = open_spot(image, step->path, true, &to);
	if (r < 0)
		return r;
	auto_close int source = tree_open_folder(from.folder, from.name);
	auto_close int target = tree_open_folder(to.folder, to.name);
	if (source < 0 || target < 0)
		return source < 0 ? source : target;
	if (fstat(source, &model) < 0)
		return -errno;
	r = copy_folder_attributes(source, &model, target);
	if (r < 0)
		return r;
	return unlinkat(from.folder, from.name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int leave_link(const struct image *image, struct step *step)
{
	auto_spot struct spot spot = { .folder = -1 };
	struct path target = image->data;
	int r = make_folders(image, step->path, false);

	if (r == 0)
		r = path_append(&target, step->path);
	if (r == 0)
		r = open_spot(image, step->path, false, &spot);
	if (r < 0)
		return r;
	return symlinkat(target.text, spot.folder, spot.name) < 0 ? -errno : 0;
}

/* ---- all of them */

/* A copy of a file of several names is there from a run that was cut short. */
static int know(struct moving *moving, struct step *step)
{
	struct path path;
	struct stat st;
	int r = image_path(moving->image, step->path, true, &path);

	if (r == 0)
		r = image_stat(moving->image, step->path, false, &st);
	if (r < 0 || !S_ISREG(st.st_mode) || st.st_nlink < 2)
		return r;
	return copy_know(&moving->copy, &st, path_relative(path.text));
}

static int begin(struct moving *moving, struct step *step)
{
	if (step->kind == STEP_MOVE)
		return move(moving, step);
	return step->kind == STEP_DROP ? know(moving, step) : 0;
}

static int publish_copied(struct moving *moving, struct step *step)
{
	return step->copied ? publish(moving->image, step) : 0;
}

static int finish(struct moving *moving, struct step *step)
{
	static int (*const rest[])(const struct image *image, struct step *step) = {
		[STEP_MAKE] = make, [STEP_MOVE] = drop_copied, [STEP_DROP] = drop,
		[STEP_FOLD] = fold, [STEP_LINK] = leave_link,
	};

	return rest[step->kind](moving->image, step);
}

static int each_step(struct split *split, struct moving *moving,
		     int (*act)(struct moving *moving, struct step *step))
{
	for (size_t i = 0; i < split->count; i++) {
		int r = act(moving, &split->steps[i]);

		if (r < 0) {
			(void)path_append(&split->where, split->steps[i].path);
			return r;
		}
	}
	return 0;
}

/* The template, and where the volume is to be mounted. */
static int make_tops(const struct image *image, bool data)
{
	int r = make_folders(image, image->template.text, false);

	if (r == 0)
		r = make_folder(image, image->template.text, false);
	if (r == 0 && data)
		r = make_folders(image, image->data.text, false);
	if (r == 0 && data)
		r = make_folder(image, image->data.text, false);
	return r;
}

int split_run(struct split *split)
{
	struct moving moving = { .image = split->image };
	mode_t mask = umask(0);
	struct statfs fs;
	int r = fstatfs(split->image->root, &fs) < 0 ? -errno
						     : make_tops(split->image, split->count > 0);

	moving.overlay = r == 0 && fs.f_type == OVERLAY_MAGIC;
	moving.copy.top = split->image->root;
	moving.copy.path = &moving.copied;
	if (r < 0)
		(void)path_append(&split->where, split->image->template.text);
	if (r == 0)
		r = each_step(split, &moving, begin);
	if (r == 0)
		r = each_step(split, &moving, publish_copied);
	if (r == 0 && split->is_durable && syncfs(split->image->root) < 0)
		r = -errno;
	if (r == 0)
		r = each_step(split, &moving, finish);
	copy_done(&moving.copy);
	umask(mask);
	return r;
}
