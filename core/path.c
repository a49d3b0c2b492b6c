/* SPDX-License-Identifier: MIT */
#include "path.h"

#include <errno.h>
#include <string.h>

int path_append(struct path *path, const char *more)
{
	size_t length = strlen(path->text), size = strlen(more) + 1;

	if (length + size > sizeof(path->text))
		return -ENAMETOOLONG;
	memcpy(path->text + length, more, size);
	return 0;
}

int path_push(struct path *path, const char *name)
{
	size_t length = strlen(path->text), size = strlen(name) + 1;

	if (length + 1 + size > sizeof(path->text))
		return -ENAMETOOLONG;
	path->text[length] = '/';
	memcpy(path->text + length + 1, name, size);
	return 0;
}

void path_pop(struct path *path)
{
	char *slash = strrchr(path->text, '/');

	if (slash)
		*slash = '\0';
}

int path_normalize(const char *text, struct path *ret_path)
{
	if (text[0] != '/')
		return -EINVAL;
	ret_path->text[0] = '\0';
	while (*text) {
		char name[NAME_MAX + 1];
		size_t length;
		int r;

		text += strspn(text, "/");
		length = strcspn(text, "/");
		if (length > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, text, length);
		name[length] = '\0';
		text += length;
		if (length == 0 || strcmp(name, ".") == 0)
			continue;
		r = strcmp(name, "..") == 0 ? -EINVAL : path_push(ret_path, name);
		if (r < 0)
			return r;
	}
	return 0;
}

bool path_is_within(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

const char *path_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *path_relative(const char *path)
{
	return path[0] ? path + 1 : ".";
}
