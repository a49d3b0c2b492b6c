/* SPDX-License-Identifier: MIT */
/* The folder has the copies by number, and for each number a link that leads to the
 * path, of which only the target is read. */
#include "snapshot.h"

#include "copy.h"
#include "file.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

struct snapshot {
	const char *volume;
	int folder;
	struct tree_path *path;
};

static int find(const struct snapshot *s, const char *path, struct place *ret_place)
{
	char full[PATH_MAX];

	(void)snprintf(s->path->text, sizeof(s->path->text), "%s", path);
	if (snprintf(full, sizeof(full), "%s/%s", s->volume, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	return walk_to(full, WALK_STAY, ret_place);
}

static int copy_to(int from, const char *name, int to, const char *to_name)
{
	struct tree_path path = { "" };
	struct copy copy = { .top = to, .path = &path };
	int r;

	snprintf(path.text, sizeof(path.text), "%s", to_name);
	r = copy_tree(&copy, from, name, to, to_name);
	copy_done(&copy);
	return r;
}

static int take_one(const struct snapshot *s, const char *path, size_t number)
{
	auto_place struct place place = NO_PLACE;
	char name[32], link[40];
	int r = find(s, path, &place);

	snprintf(name, sizeof(name), "%zu", number);
	snprintf(link, sizeof(link), "%zu.path", number);
	if (r == 0)
		r = copy_to(place.folder, place.name, s->folder, name);
	if (r < 0 && r != -ENOENT)
		return r;
	return symlinkat(path, s->folder, link) < 0 ? -errno : 0;
}

static int make_folder(const char *path, struct tree_path *ret_path)
{
	int r = tree_remove(path, ret_path);

	if (r == 0)
		r = file_make_folder(path, &(struct file_attr){ 0700, FILE_KEEP_ID, FILE_KEEP_ID });
	return r < 0 ? r : file_open_folder(path);
}

int snapshot_take(const char *volume, const char *folder, char **paths, size_t count,
		  struct tree_path *ret_path)
{
	auto_close int fd = make_folder(folder, ret_path);
	struct snapshot s = { volume, fd, ret_path };
	mode_t mask = umask(0);
	int r = fd < 0 ? fd : 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = take_one(&s, paths[i], i + 1);
	umask(mask);
	if (r < 0)
		return r;
	ret_path->text[0] = '\0';
	return syncfs(fd) < 0 ? -errno : 0;
}

static bool exchange(int folder, const char *a, const char *b)
{
	return syscall(SYS_renameat2, folder, a, folder, b, 2 /* RENAME_EXCHANGE */) == 0;
}

/* The copy of the copy takes the place of what is there. */
static int put_back(const struct snapshot *s, const char *name, const struct place *place)
{
	char temporary[NAME_MAX + 1];
	struct tree_path below = { "" };
	int r;

	file_temporary_name(place->name, temporary);
	r = tree_remove_at(place->folder, temporary, &below);
	if (r == 0)
		r = copy_to(s->folder, name, place->folder, temporary);
	if (r == -ENOENT) /* it was not there */
		return tree_remove_at(place->folder, place->name, &below);
	if (r < 0)
		return r;
	if (exchange(place->folder, temporary, place->name))
		return tree_remove_at(place->folder, temporary, &below);
	r = tree_remove_at(place->folder, place->name, &below);
	if (r == 0 && renameat(place->folder, temporary, place->folder, place->name) < 0)
		r = -errno;
	return r;
}

/* 1 when there was one of that number, 0 or -errno. */
static int restore_one(const struct snapshot *s, size_t number)
{
	auto_place struct place place = NO_PLACE;
	char path[PATH_MAX], name[32], link[40];
	ssize_t n;
	int r;

	snprintf(name, sizeof(name), "%zu", number);
	snprintf(link, sizeof(link), "%zu.path", number);
	n = readlinkat(s->folder, link, path, sizeof(path) - 1);
	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	path[n] = '\0';
	r = find(s, path, &place);
	if (r == 0)
		r = put_back(s, name, &place);
	return r < 0 ? r : 1;
}

int snapshot_restore(const char *volume, const char *folder, struct tree_path *ret_path)
{
	auto_close int fd = file_open_folder(folder);
	struct snapshot s = { volume, fd, ret_path };
	mode_t mask = umask(0);
	int r = fd < 0 ? fd : 1;

	ret_path->text[0] = '\0';
	for (size_t number = 1; r == 1; number++)
		r = restore_one(&s, number);
	umask(mask);
	if (r < 0)
		return r;
	ret_path->text[0] = '\0';
	return syncfs(fd) < 0 ? -errno : 0;
}
