/* SPDX-License-Identifier: MIT */
/* A tree is walked and removed without following a link. */
#include "tree.h"

#include "file.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char top[] = "/tmp/moonrise-tree-XXXXXX";

static void shell(const char *command)
{
	assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chdir(top), 0);
	shell("mkdir -p tree/a/b/c outside && echo x > outside/x && echo y > tree/a/y &&"
	      "ln -s ../../outside tree/a/out && ln -s /nowhere tree/dangling && mkfifo tree/fifo &&"
	      "ln -s outside link");
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static void remove_takes_all_below_and_follows_nothing(void **state)
{
	struct tree_path path;
	struct stat st;

	(void)state;
	assert_int_equal(tree_remove("tree", &path), 0);
	assert_int_equal(file_stat("tree", false, &st), -ENOENT);
	assert_int_equal(tree_remove("link", &path), 0);
	assert_int_equal(file_stat("link", false, &st), -ENOENT);
	assert_int_equal(file_stat("outside/x", false, &st), 0);
	assert_int_equal(tree_remove("outside/x", &path), 0);
	assert_int_equal(file_stat("outside/x", false, &st), -ENOENT);
	assert_string_equal(path.text, "");
}

static void what_is_not_there_is_removed(void **state)
{
	struct tree_path path;

	(void)state;
	assert_int_equal(tree_remove("none", &path), 0);
	assert_int_equal(tree_remove("none/at/all", &path), 0);
}

static int fail_at_y(void *context, const char *name)
{
	(void)context;
	return strcmp(name, "y") == 0 ? -EIO : 0;
}

static void an_error_stops_the_walk_where_it_is(void **state)
{
	struct tree_path path = { "tree" };
	auto_close int folder = open("tree/a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(tree_each(folder, &path, fail_at_y, NULL), -EIO);
	assert_string_equal(path.text, "tree/y");
	assert_int_equal(tree_open_folder(folder, "out"), -ENOTDIR);
	assert_int_equal(tree_open_folder(folder, "none"), -ENOENT);
}

#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TREE(remove_takes_all_below_and_follows_nothing),
		WITH_TREE(what_is_not_there_is_removed),
		WITH_TREE(an_error_stops_the_walk_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
