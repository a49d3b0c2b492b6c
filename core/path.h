/* SPDX-License-Identifier: MIT */
/* Absolute paths as text: "/a/b", without "//", "." and "..", and no slash at the
 * end; "" is the root. */
#ifndef MOONRISE_PATH_H
#define MOONRISE_PATH_H

#include <limits.h>
#include <stdbool.h>

struct path {
	char text[PATH_MAX];
};

/* 0; -EINVAL when it is not absolute or has "..", or -ENAMETOOLONG. */
int path_normalize(const char *text, struct path *ret_path);

/* The path itself, or below it. */
bool path_is_within(const char *path, const char *folder);

/* Put more behind it, which begins with a "/". 0 or -ENAMETOOLONG. */
int path_append(struct path *path, const char *more);

/* One name, and off again. */
int path_push(struct path *path, const char *name);
void path_pop(struct path *path);

/* The last name; "" of the root. */
const char *path_name(const char *path);

/* For the *at() calls, relative to the root. */
const char *path_relative(const char *path);

#endif
