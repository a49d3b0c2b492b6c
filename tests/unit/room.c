/* SPDX-License-Identifier: MIT */
#include "room.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#define HARD 100

static void test_what_is_kept(void **state)
{
	const struct rlimit limit = { 50, HARD };
	struct rlimit given;
	int fds[HARD], count = 0;

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_false(room_given(&given));
	room_init();
	assert_true(room_given(&given));
	assert_int_equal(given.rlim_cur, 50);
	assert_int_equal(given.rlim_max, HARD);

	while ((fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		count++;
	assert_int_equal(errno, EMFILE);
	assert_in_range(count, 51, HARD - 8);
	for (int i = 0; i < 2; i++) { /* each time anew */
		int file = room_open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
		int process = room_open_pidfd(getpid());

		assert_true(file >= 0 && process >= 0);
		assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
		assert_int_equal(errno, EMFILE);
		(void)close(file);
		(void)close(process);
	}
	assert_int_equal(room_open("/no/such/file", O_RDONLY | O_CLOEXEC), -1);
	assert_true(errno == ENOENT || errno == EMFILE);
	while (count > 0)
		(void)close(fds[--count]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_what_is_kept) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
