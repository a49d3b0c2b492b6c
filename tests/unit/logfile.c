/* SPDX-License-Identifier: MIT */
/* Rotation, line by line, and what becomes of a line that an error has cut off. */
#include "logfile.h"

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
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/moonrise-logfile-XXXXXX", path[64];
static struct logfile file;

static void open_it(int64_t max, unsigned keep)
{
	(void)snprintf(path, sizeof(path), "%s/log", folder);
	assert_int_equal(logfile_open(path, max, keep, &file), 0);
}

static void write_all(const char *text)
{
	size_t left = strlen(text);
	while (left > 0) {
		ssize_t n = logfile_write(&file, text, left);
		assert_true(n > 0);
		text += n;
		left -= (size_t)n;
	}
}

/* NULL: it is not there. */
static void expect(const char *suffix, const char *text)
{
	char name[80], got[4096];
	(void)snprintf(name, sizeof(name), "%s%s", path, suffix);
	auto_close int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got) - 1);
	if (!text) {
		assert_int_equal(fd, -1);
		return;
	}
	assert_true(n >= 0);
	got[n < 0 ? 0 : n] = '\0';
	assert_string_equal(got, text);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int clear(void **state)
{
	static const char *const suffixes[] = { "", ".1", ".2", ".3" };
	(void)state;
	logfile_close(&file);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char name[80];
		(void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		(void)unlink(name);
	}
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void test_between_lines(void **state)
{
	(void)state;
	open_it(10, 2);
	write_all("123\n456\n78\n9\n");
	expect("", "78\n9\n");
	expect(".1", "123\n456\n");
	write_all("0123456\n"); /* 13 bytes would be too many */
	expect("", "0123456\n");
	expect(".1", "78\n9\n");
	expect(".2", "123\n456\n");
	write_all("abcdefghi\n"); /* just as long as a file may be */
	expect("", "abcdefghi\n");
	expect(".2", "78\n9\n");
	expect(".3", NULL);
}

static void test_a_line_that_is_longer(void **state)
{
	(void)state;
	open_it(4, 1);
	write_all("abcdefgh\ni\n");
	expect(".1", "abcdefgh\n");
	expect("", "i\n");
}

static void test_what_is_there_counts(void **state)
{
	(void)state;
	open_it(10, 1);
	write_all("12345678\n");
	logfile_close(&file);
	open_it(10, 1);
	write_all("9\n");
	expect("", "9\n");
	expect(".1", "12345678\n");
}

static void test_none_is_kept(void **state)
{
	(void)state;
	open_it(4, 0);
	write_all("abc\ndef\n");
	expect("", "def\n");
	expect(".1", NULL);
}

static void test_owner_and_mode(void **state)
{
	struct stat st;
	(void)state;
	open_it(4, 1);
	assert_int_equal(chmod(path, 0600), 0);
	write_all("abc\ndef\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_a_link_in_its_place_is_not_followed(void **state)
{
	char other[80];
	(void)state;
	open_it(4, 1);
	write_all("abc\n");
	(void)snprintf(other, sizeof(other), "%s.3", path);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	write_all("def\n");
	expect("", "def\n");
	expect(".1", "abc\n"); /* through the link, which has been moved out of the way */
	expect(".3", "abc\n");
}

/* The limit of a file's size is as good as a full disk: some of it goes in. */
static void test_a_line_is_cut_off(void **state)
{
	struct rlimit old, small = { 6, RLIM_INFINITY };
	sigset_t set;
	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGXFSZ);
	sigprocmask(SIG_BLOCK, &set, NULL);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	open_it(0, 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(logfile_write(&file, "one\ntwo\n", 8), 6);
	assert_int_equal(logfile_write(&file, "o\n", 2), -EFBIG);
	assert_int_equal(logfile_write(&file, "three\n", 6), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	write_all("four\n");
	expect("", "one\ntw\nfour\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_between_lines, clear),
		cmocka_unit_test_teardown(test_a_line_that_is_longer, clear),
		cmocka_unit_test_teardown(test_what_is_there_counts, clear),
		cmocka_unit_test_teardown(test_none_is_kept, clear),
		cmocka_unit_test_teardown(test_owner_and_mode, clear),
		cmocka_unit_test_teardown(test_a_link_in_its_place_is_not_followed, clear),
		cmocka_unit_test_teardown(test_a_line_is_cut_off, clear),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
