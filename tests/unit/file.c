/* SPDX-License-Identifier: MIT */
/* Files change in one piece or not at all. A disk that is full is played by
 * RLIMIT_FSIZE; real full and read-only ones are in tests/boot/test_fs.py. */
#include "file.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static char top[] = "/tmp/moonrise-file-XXXXXX";

static const struct file_attr keep = FILE_KEEP;

static int set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chdir(top), 0);
	umask(022);
	return 0;
}

/* Nothing but what the test names is left: no temporary file. */
static int tear_down(void **state)
{
	char command[128];

	(void)state;
	walk_done();
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command),
		 "find %s -name '*.moonrise-new' | grep . && exit 1; rm -rf %s", top, top);
	return system(command);
}

static int write_text(const char *path, const char *text)
{
	return file_write(path, text, strlen(text), &keep);
}

static void assert_text(const char *path, const char *expected)
{
	char text[256] = "";
	auto_close int fd = file_open(path);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	assert_string_equal(text, expected);
}

static struct stat stat_of(const char *path)
{
	struct stat st;

	assert_int_equal(file_stat(path, false, &st), 0);
	return st;
}

static int mode_of(const char *path)
{
	return stat_of(path).st_mode & 07777;
}

static void write_makes_a_file(void **state)
{
	struct file_attr private = { .mode = 0600, .uid = getuid(), .gid = getgid() };

	(void)state;
	assert_int_equal(write_text("new", "text\n"), 0);
	assert_text("new", "text\n");
	assert_int_equal(mode_of("new"), 0644);
	assert_int_equal(file_write("private", "", 0, &private), 0);
	assert_int_equal(mode_of("private"), 0600);
	assert_int_equal(write_text("none/new", ""), -ENOENT);
	assert_int_equal(write_text(".", ""), -EISDIR);
}

static void write_keeps_mode_and_owner(void **state)
{
	(void)state;
	assert_int_equal(write_text("file", "old"), 0);
	assert_int_equal(chmod("file", 0640), 0);
	if (getuid() == 0)
		assert_int_equal(chown("file", 12, 34), 0);
	assert_int_equal(write_text("file", "new"), 0);
	assert_text("file", "new");
	assert_int_equal(mode_of("file"), 0640);
	if (getuid() == 0) {
		assert_int_equal(stat_of("file").st_uid, 12);
		assert_int_equal(stat_of("file").st_gid, 34);
	}
}

static void write_goes_where_the_link_leads(void **state)
{
	(void)state;
	assert_int_equal(write_text("file", "old"), 0);
	assert_int_equal(file_link("file", "link"), 0);
	assert_int_equal(write_text("link", "new"), 0);
	assert_true(S_ISLNK(stat_of("link").st_mode));
	assert_text("file", "new");
}

static void write_replaces_what_a_crash_left(void **state)
{
	char temporary[NAME_MAX + 1];

	(void)state;
	file_temporary_name("file", temporary);
	assert_int_equal(symlink("/etc/passwd", temporary), 0);
	assert_int_equal(write_text("file", "new"), 0);
	assert_text("file", "new");
}

static void long_names_have_a_temporary_name_too(void **state)
{
	char name[NAME_MAX + 1];

	(void)state;
	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = '\0';
	assert_int_equal(write_text(name, "text"), 0);
	assert_text(name, "text");
}

static void other_than_regular_files_are_refused(void **state)
{
	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(file_open("fifo"), -EOPNOTSUPP);
	assert_int_equal(file_append("fifo", "x", 1, &keep), -EOPNOTSUPP);
	assert_int_equal(write_text("fifo", "x"), -EOPNOTSUPP);
	assert_int_equal(file_open("/dev/null"), -EOPNOTSUPP);
	assert_int_equal(file_open("."), -EISDIR);
}

static void set_largest_file(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_failed_write_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(write_text("file", "old"), 0);
	signal(SIGXFSZ, SIG_IGN);
	set_largest_file(8);
	assert_int_equal(write_text("file", "much too long"), -EFBIG);
	assert_int_equal(file_append("file", " and too long", 13, &keep), -EFBIG);
	set_largest_file(RLIM_INFINITY);
	assert_text("file", "old");
}

static void append_adds(void **state)
{
	struct file_attr attr = { .mode = 0600, .uid = FILE_KEEP_ID, .gid = FILE_KEEP_ID };

	(void)state;
	assert_int_equal(file_append("file", "one\n", 4, &attr), 0);
	assert_int_equal(file_append("file", "two\n", 4, &keep), 0);
	assert_text("file", "one\ntwo\n");
	assert_int_equal(mode_of("file"), 0600);
}

static void copy_takes_the_mode_along(void **state)
{
	struct file_attr attr = { .mode = 0604, .uid = FILE_KEEP_ID, .gid = FILE_KEEP_ID };

	(void)state;
	assert_int_equal(write_text("from", "text"), 0);
	assert_int_equal(file_change_mode("from", 0751), 0);
	assert_int_equal(file_copy("from", "to", &keep), 0);
	assert_text("to", "text");
	assert_int_equal(mode_of("to"), 0751);
	assert_int_equal(file_copy("from", "to", &attr), 0);
	assert_int_equal(mode_of("to"), 0604);
	assert_int_equal(file_copy("none", "to", &keep), -ENOENT);
}

static void links_are_replaced_and_folders_are_not(void **state)
{
	char target[16] = "";

	(void)state;
	assert_int_equal(file_link("one", "link"), 0);
	assert_int_equal(file_link("two", "link"), 0);
	assert_int_equal(readlink("link", target, sizeof(target)), 3);
	assert_string_equal(target, "two");
	assert_int_equal(mkdir("folder", 0755), 0);
	assert_int_equal(file_link("one", "folder"), -EISDIR);
}

static void folders_appear_complete(void **state)
{
	struct file_attr attr = { .mode = 01777, .uid = FILE_KEEP_ID, .gid = FILE_KEEP_ID };

	(void)state;
	assert_int_equal(file_make_folder("folder", &attr), 0);
	assert_int_equal(mode_of("folder"), 01777);
	assert_int_equal(file_make_folder("folder", &keep), -EEXIST);
	assert_int_equal(file_make_folder("folder/sub/", &keep), 0);
	assert_int_equal(mode_of("folder/sub"), 0755);
	assert_int_equal(file_remove("folder"), -ENOTEMPTY);
	assert_int_equal(file_remove("folder/sub"), 0);
	assert_int_equal(file_remove("folder"), 0);
	assert_int_equal(file_remove("folder"), -ENOENT);
}

static void moves_and_removes_take_the_link_itself(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(write_text("file", "text"), 0);
	assert_int_equal(file_link("file", "link"), 0);
	assert_int_equal(file_move("link", "moved"), 0);
	assert_true(S_ISLNK(stat_of("moved").st_mode));
	assert_int_equal(file_remove("moved"), 0);
	assert_int_equal(file_stat("moved", false, &st), -ENOENT);
	assert_text("file", "text");
}

static void a_volume_is_not_left(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mkdir("volume", 0755), 0);
	assert_int_equal(write_text("outside", "old"), 0);
	assert_int_equal(symlink("../outside", "volume/link"), 0);
	assert_int_equal(symlink("..", "volume/up"), 0);
	assert_int_equal(walk_fence("volume"), 0);

	assert_int_equal(file_open("volume/link"), -ELOOP);
	assert_int_equal(write_text("volume/link", "new"), -ELOOP);
	assert_int_equal(write_text("volume/up/outside", "new"), -ELOOP);
	assert_int_equal(file_append("volume/link", "new", 3, &keep), -ELOOP);
	assert_int_equal(file_copy("volume/link", "copy", &keep), -ELOOP);
	assert_int_equal(file_copy("outside", "volume/up/copy", &keep), -ELOOP);
	assert_int_equal(file_move("outside", "volume/up/moved"), -ELOOP);
	assert_int_equal(file_link("outside", "volume/up/link"), -ELOOP);
	assert_int_equal(file_make_folder("volume/up/folder", &keep), -ELOOP);
	assert_int_equal(file_remove("volume/up/outside"), -ELOOP);
	assert_int_equal(file_change_owner("volume/link", getuid(), getgid()), -ELOOP);
	assert_int_equal(file_change_mode("volume/link", 0777), -ELOOP);
	assert_int_equal(file_change_mode("volume/up/outside", 0777), -ELOOP);
	assert_int_equal(file_stat("volume/link", true, &st), -ELOOP);
	assert_int_equal(file_open_folder("volume/up"), -ELOOP);
	assert_int_equal(file_sync("volume/up"), -ELOOP);
	assert_text("outside", "old");
}

static void folders_tell_their_space(void **state)
{
	struct statvfs space;

	(void)state;
	assert_int_equal(file_space(".", &space), 0);
	assert_true(space.f_blocks > 0);
	assert_int_equal(file_can_write("."), 0);
	assert_int_equal(file_can_write("none"), -ENOENT);
	assert_int_equal(file_sync("."), 0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Nothing is said of a folder that is not watched, or not any more. */
static void what_happens_in_a_folder_is_told(void **state)
{
	char events[4096];
	auto_close int watcher = file_watcher();

	(void)state;
	assert_true(watcher >= 0);
	assert_int_equal(file_watch(watcher, "none"), -ENOENT);
	assert_int_equal(mkdir("folder", 0755), 0);
	int number = file_watch(watcher, "folder");
	assert_true(number > 0);
	write_text("other", "text");
	assert_int_equal(read(watcher, events, sizeof(events)), -1);
	write_text("folder/file", "text");
	assert_true(read(watcher, events, sizeof(events)) > 0);
	file_unwatch(watcher, number);
	assert_true(read(watcher, events, sizeof(events)) > 0); /* IN_IGNORED */
	write_text("folder/more", "text");
	assert_int_equal(read(watcher, events, sizeof(events)), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(write_makes_a_file),
		IN_FOLDER(write_keeps_mode_and_owner),
		IN_FOLDER(write_goes_where_the_link_leads),
		IN_FOLDER(write_replaces_what_a_crash_left),
		IN_FOLDER(long_names_have_a_temporary_name_too),
		IN_FOLDER(other_than_regular_files_are_refused),
		IN_FOLDER(a_failed_write_changes_nothing),
		IN_FOLDER(append_adds),
		IN_FOLDER(copy_takes_the_mode_along),
		IN_FOLDER(links_are_replaced_and_folders_are_not),
		IN_FOLDER(folders_appear_complete),
		IN_FOLDER(moves_and_removes_take_the_link_itself),
		IN_FOLDER(a_volume_is_not_left),
		IN_FOLDER(folders_tell_their_space),
		IN_FOLDER(what_happens_in_a_folder_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
