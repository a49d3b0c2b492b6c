/* SPDX-License-Identifier: MIT */
/* From /proc/self/mountinfo, whose fifth field is the mount point, with blanks and
 * such as three octal digits. */
#include "mounts.h"

#include "path.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

void mounts_unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		unsigned int c;

		if (*text == '\\' && sscanf(text + 1, "%3o", &c) == 1 && c > 0 && c < 256) {
			*out++ = (char)c;
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

/* The fifth field, or NULL; *line is what follows it. */
static char *mount_point(char **line)
{
	char *field = NULL;

	for (int i = 0; i < 5; i++)
		field = strsep(line, " ");
	if (field)
		mounts_unescape(field);
	return field;
}

static int add(struct mounts *mounts, const char *path)
{
	char **paths = realloc(mounts->paths, (mounts->count + 1) * sizeof(*paths));

	if (!paths)
		return -ENOMEM;
	mounts->paths = paths;
	paths[mounts->count] = strdup(path);
	return paths[mounts->count] && ++mounts->count ? 0 : -ENOMEM;
}

int mounts_read(const char *root, struct mounts *ret_mounts)
{
	auto_free char *line = NULL;
	char top[PATH_MAX];
	size_t size = 0, length;
	int r = 0;

	*ret_mounts = (struct mounts){ 0 };
	if (!realpath(root, top))
		return -errno;
	auto_fclose FILE *file = fopen("/proc/self/mountinfo", "re");
	if (!file)
		return 0;
	length = strcmp(top, "/") == 0 ? 0 : strlen(top);
	top[length] = '\0';
	while (r == 0 && getline(&line, &size, file) > 0) {
		char *rest = line;
		const char *point = mount_point(&rest);

		if (point && path_is_within(point, top) && strcmp(point + length, "/") != 0 &&
		    point[length])
			r = add(ret_mounts, point + length);
	}
	if (r < 0)
		mounts_done(ret_mounts);
	return r;
}

/* "... - TYPE SOURCE OPTIONS" */
static char *options_of(char *rest, const char *type)
{
	char *end = rest ? strstr(rest, "- ") : NULL;
	const char *found;

	if (!end)
		return NULL;
	end += 2;
	found = strsep(&end, " ");
	if (strcmp(found, type) != 0 || !strsep(&end, " ") || !end)
		return NULL;
	end[strcspn(end, "\n")] = '\0';
	return strdup(end);
}

/* Of several at one place, the last is on top. */
char *mounts_options(const char *root, const char *type)
{
	auto_free char *line = NULL;
	char top[PATH_MAX], *options = NULL;
	size_t size = 0;

	if (!realpath(root, top))
		return NULL;
	auto_fclose FILE *file = fopen("/proc/self/mountinfo", "re");
	while (file && getline(&line, &size, file) > 0) {
		char *rest = line;
		const char *point = mount_point(&rest);

		if (!point || strcmp(point, top) != 0)
			continue;
		free(options);
		options = options_of(rest, type);
	}
	return options;
}

void mounts_done(struct mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		free(mounts->paths[i]);
	free(mounts->paths);
	*mounts = (struct mounts){ 0 };
}

bool mounts_cover(const struct mounts *mounts, const char *path)
{
	for (size_t i = 0; i < mounts->count; i++)
		if (path_is_within(path, mounts->paths[i]))
			return true;
	return false;
}

const char *mounts_within(const struct mounts *mounts, const char *path)
{
	for (size_t i = 0; i < mounts->count; i++)
		if (path_is_within(mounts->paths[i], path))
			return mounts->paths[i];
	return NULL;
}
