/* SPDX-License-Identifier: MIT */
/* No link in a fenced folder leads out of it, whichever component it is. */
#include "walk.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char top[] = "/tmp/moonrise-walk-XXXXXX";

static void make_link(const char *target, const char *path)
{
	assert_int_equal(symlink(target, path), 0);
}

static void make_folder(const char *path)
{
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_file(const char *path)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0);
}

/* volume/ is fenced, outside/ is not. */
static int set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chdir(top), 0);
	make_folder("outside");
	make_folder("outside/sub");
	make_file("outside/secret");
	make_folder("volume");
	make_folder("volume/a");
	make_folder("volume/a/b");
	make_file("volume/a/b/file");
	make_link("volume", "to-volume");
	make_link("volume/a/b/file", "to-file");
	make_link("../outside", "volume/relative-out");
	make_link("../../../outside", "volume/a/b/deep-out");
	make_link("/etc", "volume/absolute-out");
	make_link("../outside/secret", "volume/file-out");
	make_link("..", "volume/a/up");
	make_link("a/b", "volume/inside");
	make_link("../volume/a", "volume/out-and-back");
	make_link("inside/file", "volume/chain");
	make_link("relative-out/secret", "volume/chain-out");
	make_link("nowhere", "volume/dangling");
	make_link("../outside/new", "volume/dangling-out");
	make_link("loop2", "volume/loop1");
	make_link("loop1", "volume/loop2");
	assert_int_equal(walk_fence("volume"), 0);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	walk_done();
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

/* 0 or -errno; what is found is the same file as `expected`. */
static int walk(const char *path, enum walk_last how, const char *expected)
{
	auto_place struct place place = NO_PLACE;
	struct stat found, other;
	int r = walk_to(path, how, &place);

	if (r < 0 || !expected)
		return r;
	assert_int_equal(fstatat(place.folder, place.name, &found, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(lstat(expected, &other), 0);
	assert_int_equal(found.st_dev, other.st_dev);
	assert_int_equal(found.st_ino, other.st_ino);
	return 0;
}

static void plain_paths(void **state)
{
	auto_place struct place place = NO_PLACE;
	char path[PATH_MAX + 1];

	(void)state;
	assert_int_equal(walk("volume/a/b/file", WALK_FOLLOW, "volume/a/b/file"), 0);
	assert_int_equal(walk("./volume//a/./b/../b/", WALK_FOLLOW, "volume/a/b"), 0);
	assert_int_equal(walk("/", WALK_FOLLOW, "/"), 0);
	assert_int_equal(walk("/..", WALK_FOLLOW, "/"), 0);
	assert_int_equal(walk("volume/..", WALK_FOLLOW, "."), 0);
	assert_int_equal(walk("to-file", WALK_FOLLOW, "volume/a/b/file"), 0);
	assert_int_equal(walk("to-file", WALK_STAY, "to-file"), 0);
	assert_int_equal(walk("to-volume/a", WALK_STAY, "volume/a"), 0);

	assert_int_equal(walk("", WALK_FOLLOW, NULL), -ENOENT);
	assert_int_equal(walk("none/file", WALK_FOLLOW, NULL), -ENOENT);
	assert_int_equal(walk("outside/secret/file", WALK_FOLLOW, NULL), -ENOTDIR);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(walk(path, WALK_FOLLOW, NULL), -ENAMETOOLONG);
	path[NAME_MAX + 1] = '\0';
	assert_int_equal(walk(path, WALK_FOLLOW, NULL), -ENAMETOOLONG);

	assert_int_equal(walk_to("volume/new", WALK_FOLLOW, &place), 0);
	assert_string_equal(place.name, "new");
	assert_true(place.fenced);
}

static void links_inside_are_followed(void **state)
{
	(void)state;
	assert_int_equal(walk("volume/inside/file", WALK_FOLLOW, "volume/a/b/file"), 0);
	assert_int_equal(walk("volume/a/up/a/b", WALK_FOLLOW, "volume/a/b"), 0);
	assert_int_equal(walk("volume/chain", WALK_FOLLOW, "volume/a/b/file"), 0);
	assert_int_equal(walk("volume/out-and-back/b", WALK_FOLLOW, "volume/a/b"), 0);
	assert_int_equal(walk("volume/dangling", WALK_FOLLOW, NULL), 0);
	assert_int_equal(walk("to-volume/inside", WALK_FOLLOW, "volume/a/b"), 0);
}

static void links_out_are_refused(void **state)
{
	static const char *const paths[] = {
		"volume/file-out",
		"volume/relative-out",
		"volume/relative-out/secret",
		"volume/relative-out/sub/new",
		"volume/absolute-out/passwd",
		"volume/a/b/deep-out/secret",
		"volume/a/b/deep-out/sub/new",
		"volume/a/up/relative-out/new",
		"volume/a/up/../outside/secret",
		"volume/chain-out",
		"volume/dangling-out",
		"volume/loop1",
		"to-volume/relative-out/secret",
		"outside/../volume/file-out",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(walk(paths[i], WALK_FOLLOW, NULL), -ELOOP);
	assert_int_equal(walk("volume/file-out", WALK_STAY, "volume/file-out"), 0);
	assert_int_equal(walk("volume/relative-out/sub", WALK_STAY, NULL), -ELOOP);
}

/* The script's own ".." is no link. */
static void dots_of_the_path_itself_may_leave(void **state)
{
	(void)state;
	assert_int_equal(walk("volume/../outside/secret", WALK_FOLLOW, "outside/secret"), 0);
}

static void untrusted_links_are_refused_in_the_last_place(void **state)
{
	(void)state;
	assert_int_equal(walk("volume/inside", WALK_TRUSTED, NULL), -ELOOP);
	assert_int_equal(walk("volume/inside/file", WALK_TRUSTED, "volume/a/b/file"), 0);
	assert_int_equal(walk("to-file", WALK_TRUSTED, "volume/a/b/file"), 0);
	assert_int_equal(walk("to-volume", WALK_TRUSTED, "volume"), 0);
}

static void fences_are_listed_once(void **state)
{
	(void)state;
	assert_int_equal(walk_fence("to-volume"), 0);
	assert_int_equal(walk_fence("outside/sub"), 0);
	assert_int_equal(walk_fence("none/at/all"), -ENOENT);
	assert_non_null(strstr(walk_fenced(0), "/outside/sub"));
	assert_non_null(strstr(walk_fenced(1), "/volume"));
	assert_null(walk_fenced(2));
}

#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TREE(plain_paths),
		WITH_TREE(links_inside_are_followed),
		WITH_TREE(links_out_are_refused),
		WITH_TREE(dots_of_the_path_itself_may_leave),
		WITH_TREE(untrusted_links_are_refused_in_the_last_place),
		WITH_TREE(fences_are_listed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
