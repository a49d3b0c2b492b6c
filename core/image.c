/* SPDX-License-Identifier: MIT */
#include "image.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MAX_LINKS 40

int image_open(struct image *image, const char *root, const char *template, const char *data)
{
	int r = path_normalize(template, &image->template);

	image->root = -1;
	image->mounts = (struct mounts){ 0 };
	if (r == 0)
		r = path_normalize(data, &image->data);
	if (r == 0)
		r = mounts_read(root, &image->mounts);
	if (r < 0)
		return r;
	image->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return image->root < 0 ? -errno : 0;
}

void image_close(struct image *image)
{
	cleanup_close(&image->root);
	mounts_done(&image->mounts);
}

bool image_is_apart(const struct image *image)
{
	const char *template = image->template.text, *data = image->data.text;

	return template[0] && data[0] && !path_is_within(template, data) &&
	       !path_is_within(data, template);
}

int image_path(const struct image *image, const char *path, bool moved, struct path *ret_path)
{
	ret_path->text[0] = '\0';
	if (moved)
		*ret_path = image->template;
	return path_append(ret_path, path);
}

int image_stat(const struct image *image, const char *path, bool moved, struct stat *ret_stat)
{
	struct path full;
	int r = image_path(image, path, moved, &full);

	if (r < 0)
		return r;
	if (fstatat(image->root, path_relative(full.text), ret_stat, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* 0 when `path` is no link, or is missing. */
static int read_link(const struct image *image, const struct image_place *place,
		     struct path *ret_target)
{
	struct path full;
	ssize_t n = image_path(image, place->path.text, place->moved, &full);

	if (n < 0)
		return (int)n;
	n = readlinkat(image->root, path_relative(full.text), ret_target->text,
		       sizeof(ret_target->text));
	if (n < 0)
		return errno == EINVAL || errno == ENOENT ? 0 : -errno;
	if ((size_t)n >= sizeof(ret_target->text))
		return -ENAMETOOLONG;
	ret_target->text[n] = '\0';
	return 1;
}

/* What stands in front of `rest` becomes part of it. */
static int prepend(struct path *rest, const char *text)
{
	struct path whole;
	int r;

	whole.text[0] = '\0';
	r = path_append(&whole, text);
	if (r == 0)
		r = path_append(&whole, "/");
	if (r == 0)
		r = path_append(&whole, rest->text);
	*rest = whole;
	return r;
}

/* The last name of the place is a link to `target`: leave the name, and go there. */
static int follow(const struct image *image, const char *target, struct image_place *place,
		  struct path *rest)
{
	struct path absolute;

	path_pop(&place->path);
	if (target[0] != '/')
		return prepend(rest, target);
	place->path.text[0] = '\0';
	place->moved = path_normalize(target, &absolute) == 0 &&
		       path_is_within(absolute.text, image->data.text);
	if (place->moved)
		target = absolute.text + strlen(image->data.text);
	return prepend(rest, target);
}

/* Take the first name off the rest: false when there is none. */
static bool next_name(struct path *rest, char name[static NAME_MAX + 1], bool *ret_last)
{
	char *start = rest->text + strspn(rest->text, "/");
	size_t length = strcspn(start, "/");
	char *after = start + length + strspn(start + length, "/");

	if (length == 0)
		return false;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)length, start);
	*ret_last = *after == '\0';
	memmove(rest->text, after, strlen(after) + 1);
	return true;
}

int image_resolve(const struct image *image, const char *path, struct image_place *ret_place)
{
	struct path rest = { "" }, target;
	char name[NAME_MAX + 1];
	bool last;
	int r = path_append(&rest, path);

	*ret_place = (struct image_place){ 0 };
	for (int links = 0; r == 0 && next_name(&rest, name, &last);) {
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			path_pop(&ret_place->path);
			continue;
		}
		r = path_push(&ret_place->path, name);
		if (r == 0)
			r = read_link(image, ret_place, &target);
		if (r >= 0 && last)
			return 0;
		if (r == 1)
			r = ++links > MAX_LINKS ? -ELOOP
						: follow(image, target.text, ret_place, &rest);
	}
	return r;
}

bool image_is_linked(const struct image *image, const char *path)
{
	struct image_place place = { .moved = false };
	struct path target, wanted = image->data;

	return path_append(&place.path, path) == 0 && read_link(image, &place, &target) == 1 &&
	       path_append(&wanted, path) == 0 && strcmp(target.text, wanted.text) == 0;
}
