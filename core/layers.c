/* SPDX-License-Identifier: MIT */
/* Which folders they are is told by the options of the mount. */
#include "layers.h"

#include "mounts.h"
#include "path.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* ---- finding them */

static int open_layer(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -ENODATA : fd;
}

static int add_lower(struct layers *layers, const char *path)
{
	int *lower = realloc(layers->lower, (layers->count + 1) * sizeof(*lower));
	int fd;

	if (!lower)
		return -ENOMEM;
	layers->lower = lower;
	fd = open_layer(path);
	if (fd >= 0)
		lower[layers->count++] = fd;
	return fd < 0 ? fd : 0;
}

/* The next path of a list; a backslash takes the meaning of what follows it away. */
static char *next_path(char **list, char separator)
{
	char *path = *list, *in = path, *out = path;

	if (!path)
		return NULL;
	while (*in && *in != separator) {
		if (*in == '\\' && in[1])
			in++;
		*out++ = *in++;
	}
	*list = *in ? in + 1 : NULL;
	*out = '\0';
	return path;
}

static int add_lowers(struct layers *layers, char *list)
{
	char *path;
	int r = 0;

	while (r == 0 && (path = next_path(&list, ':')))
		if (path[0]) /* "::" is in front of layers that hold data only */
			r = add_lower(layers, path);
	return r;
}

static int use_option(struct layers *layers, char *option)
{
	char *value = strchr(option, '=');

	if (!value)
		return 0;
	mounts_unescape(++value);
	if (strncmp(option, "lowerdir", strlen("lowerdir")) == 0)
		return add_lowers(layers, value);
	if (strncmp(option, "upperdir=", strlen("upperdir=")) != 0)
		return 0;
	layers->upper = open_layer(next_path(&value, '\0'));
	return layers->upper < 0 ? layers->upper : 0;
}

int layers_open(struct layers *layers, const char *root)
{
	auto_free char *options = mounts_options(root, "overlay");
	char *rest = options, *option;
	int r = 0;

	*layers = (struct layers){ .upper = -1 };
	while (r == 0 && (option = strsep(&rest, ",")))
		r = use_option(layers, option);
	if (r == 0 && (layers->upper < 0 || layers->count == 0))
		r = -ENODATA;
	if (r < 0)
		layers_done(layers);
	return r;
}

void layers_done(struct layers *layers)
{
	cleanup_close(&layers->upper);
	for (size_t i = 0; i < layers->count; i++)
		cleanup_close(&layers->lower[i]);
	free(layers->lower);
	*layers = (struct layers){ .upper = -1 };
}

/* ---- looking into them */

/* It stands for something in a lower layer that was removed. */
static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* 0 or its size; what does not fit is there all the same. */
static size_t read_note(int layer, const char *path, const char *const keys[2], char *value,
			size_t size)
{
	auto_close int fd = openat(layer, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = 0;

	for (int i = 0; fd >= 0 && n <= 0 && i < 2; i++) {
		n = fgetxattr(fd, keys[i], value, size);
		if (n < 0 && errno == ERANGE)
			n = (ssize_t)size;
	}
	return n < 0 ? 0 : (size_t)n;
}

bool layers_is_opaque(int layer, const char *path)
{
	static const char *const keys[] = { "trusted.overlay.opaque", "user.overlay.opaque" };
	char value[4];

	return read_note(layer, path, keys, value, sizeof(value)) > 0 && value[0] == 'y';
}

bool layers_is_renamed(int layer, const char *path)
{
	static const char *const keys[] = { "trusted.overlay.redirect", "user.overlay.redirect" };
	char value[4];

	return read_note(layer, path, keys, value, sizeof(value)) > 0;
}

/* What one layer has to say: 1 found, 0 ask the next one, or -ENOENT: nothing is there. */
static int find_in(int layer, const char *path, struct stat *ret_stat)
{
	struct path at = { "" };
	bool opaque = false;

	for (const char *end = path; *end; path = end + 1) {
		size_t length = strlen(at.text);

		end = path + strcspn(path, "/");
		if (length + (size_t)(end - path) + 2 > sizeof(at.text))
			return -ENAMETOOLONG;
		snprintf(at.text + length, sizeof(at.text) - length, "/%.*s", (int)(end - path),
			 path);
		if (fstatat(layer, at.text + 1, ret_stat, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? opaque ? -ENOENT : 0 : -errno;
		if (is_whiteout(ret_stat) || (*end && !S_ISDIR(ret_stat->st_mode)))
			return -ENOENT;
		opaque |= *end && layers_is_opaque(layer, at.text + 1);
	}
	return 1;
}

int layers_find(const struct layers *layers, const char *path, int *ret_layer,
		struct stat *ret_stat)
{
	for (size_t i = 0; i < layers->count; i++) {
		int r = find_in(layers->lower[i], path, ret_stat);

		if (r == 1)
			*ret_layer = layers->lower[i];
		if (r != 0)
			return r == -ENOENT ? 0 : r;
	}
	return 0;
}
