/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include "file.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int push_name(struct tree_path *path, const char *name)
{
	size_t length = strlen(path->text), more = strlen(name);

	if (length + 1 + more >= sizeof(path->text))
		return -ENAMETOOLONG;
	if (length > 0)
		path->text[length++] = '/';
	memcpy(path->text + length, name, more + 1);
	return 0;
}

static void pop_name(struct tree_path *path)
{
	char *slash = strrchr(path->text, '/');

	*(slash ? slash : path->text) = '\0';
}

static void cleanup_closedir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

int tree_open_folder(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Call `entry` for each name as readdir gives them. */
static int read_names(int folder, int (*entry)(void *context, const char *name), void *context)
{
	auto_close int fd = tree_open_folder(folder, ".");
	__attribute__((cleanup(cleanup_closedir))) DIR *dir = NULL;
	int r = 0;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	fd = -1; /* dir's now */
	while (r == 0) {
		struct dirent *found;

		errno = 0;
		found = readdir(dir);
		if (!found)
			return -errno;
		if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
			r = entry(context, found->d_name);
	}
	return r;
}

struct visitor {
	struct tree_path *path;
	int (*entry)(void *context, const char *name);
	void *context;
};

static int visit(void *context, const char *name)
{
	const struct visitor *visitor = context;
	int r = push_name(visitor->path, name);

	if (r == 0)
		r = visitor->entry(visitor->context, name);
	if (r == 0)
		pop_name(visitor->path);
	return r;
}

int tree_each(int folder, struct tree_path *path, int (*entry)(void *context, const char *name),
	      void *context)
{
	struct visitor visitor = { path, entry, context };

	return read_names(folder, visit, &visitor);
}

struct names {
	char *text; /* one after the other, each with its NUL */
	size_t length, capacity, count;
};

static int keep_name(void *context, const char *name)
{
	struct names *names = context;
	size_t size = strlen(name) + 1;

	if (names->length + size > names->capacity) {
		size_t capacity = 2 * names->capacity + 4096;
		char *text = realloc(names->text, capacity);

		if (!text)
			return -ENOMEM;
		names->text = text;
		names->capacity = capacity;
	}
	memcpy(names->text + names->length, name, size);
	names->length += size;
	names->count++;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int visit_sorted(const struct names *names, struct visitor *visitor)
{
	auto_free char **sorted = malloc((names->count + 1) * sizeof(*sorted));
	char *name = names->text;
	int r = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < names->count; i++, name += strlen(name) + 1)
		sorted[i] = name;
	qsort(sorted, names->count, sizeof(*sorted), compare_names);
	for (size_t i = 0; r == 0 && i < names->count; i++)
		r = visit(visitor, sorted[i]);
	return r;
}

int tree_each_sorted(int folder, struct tree_path *path,
		     int (*entry)(void *context, const char *name), void *context)
{
	struct visitor visitor = { path, entry, context };
	struct names names = { 0 };
	int r = read_names(folder, keep_name, &names);

	if (r == 0)
		r = visit_sorted(&names, &visitor);
	free(names.text);
	return r;
}

struct removal {
	int folder;
	struct tree_path *path;
};

static int remove_entry(void *context, const char *name)
{
	const struct removal *removal = context;

	return tree_remove_at(removal->folder, name, removal->path);
}

static int remove_folder(int folder, const char *name, struct tree_path *path)
{
	auto_close int fd = tree_open_folder(folder, name);
	struct removal below = { fd, path };
	int r = fd < 0 ? fd : tree_each(fd, path, remove_entry, &below);

	if (r < 0)
		return r;
	return unlinkat(folder, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int tree_remove_at(int folder, const char *name, struct tree_path *path)
{
	int r = unlinkat(folder, name, 0) < 0 ? -errno : 0;

	if (r == -EISDIR)
		r = remove_folder(folder, name, path);
	return r == -ENOENT ? 0 : r;
}

int tree_remove(const char *path, struct tree_path *ret_path)
{
	auto_place struct place place = NO_PLACE;
	int r = walk_to(path, WALK_STAY, &place);

	ret_path->text[0] = '\0';
	if (r == 0)
		r = tree_remove_at(place.folder, place.name, ret_path);
	if (r == 0)
		r = file_sync_names(place.folder);
	return r == -ENOENT ? 0 : r;
}
