/* SPDX-License-Identifier: MIT */
/* Names of all 64 signals, and that every one of them arrives as a value. */
#include "signal.h"

#include "loop.h"
#include "util.h"
#include "valgrind.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int arrived[SIGNAL_MAX + 1];

static void note_arrival(const struct signal_arrival *arrival)
{
	assert_false(arrival->outside);
	arrived[arrival->number]++;
}

static int set_up(void **state)
{
	(void)state;
	return loop_init() < 0 ? -1 : signal_init(note_arrival);
}

static void test_names_of_numbers(void **state)
{
	(void)state;
	assert_string_equal(signal_name(SIGTERM), "TERM");
	assert_string_equal(signal_name(34), "RTMIN");
	assert_string_equal(signal_name(37), "RTMIN+3");
	assert_string_equal(signal_name(64), "RTMIN+30");
	assert_string_equal(signal_name(0), "?");
	assert_string_equal(signal_name(65), "?");
	for (int i = 1; i <= SIGNAL_MAX; i++)
		assert_int_equal(signal_number(signal_name(i)), i);
}

static void test_numbers_of_names(void **state)
{
	static const struct {
		const char *name;
		int number;
	} rows[] = {
		{ "TERM", SIGTERM },
		{ "SIGTERM", SIGTERM },
		{ "sigterm", SIGTERM },
		{ "15", SIGTERM },
		{ "RTMIN", 34 },
		{ "RTMIN+3", 37 },
		{ "sigrtmin+3", 37 },
		{ "RTMAX", 64 },
		{ "RTMAX-1", 63 },
		{ "RTMAX-30", 34 },
		{ "CLD", SIGCHLD },
		{ "IOT", SIGABRT },
		{ "POLL", SIGIO },
		{ "64", 64 },
		{ "", -EINVAL },
		{ "SIG", -EINVAL },
		{ "0", -EINVAL },
		{ "65", -EINVAL },
		{ "-1", -EINVAL },
		{ "15x", -EINVAL },
		{ "RTMIN+31", -EINVAL },
		{ "RTMIN+", -EINVAL },
		{ "RTMIN-1", -EINVAL },
		{ "RTMAX-31", -EINVAL },
		{ "RTMAX-", -EINVAL },
		{ "TERMINATE", -EINVAL },
		{ "99999999999", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(signal_number(rows[i].name), rows[i].number);
}

/* Each one by itself: CONT and the stop signals remove each other. */
static void test_every_signal_arrives(void **state)
{
	(void)state;
	if (under_valgrind())
		skip();
	for (int i = 1; i <= SIGNAL_MAX; i++) {
		if (i == SIGKILL || i == SIGSTOP || i == SIGCHLD || i == SIGPIPE || i == 32 ||
		    i == 33)
			continue;
		assert_int_equal(kill(getpid(), i), 0);
		assert_int_equal(loop_turn(LOOP_NOW), 1);
		assert_int_equal(arrived[i], 1);
	}
}

static void test_own_broken_pipe_is_no_signal(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	(void)close(ends[0]);
	assert_int_equal(write(ends[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	(void)close(ends[1]);
	assert_int_equal(loop_turn(LOOP_NOW), 1);
	assert_int_equal(arrived[SIGPIPE], 0);
}

static void test_inherited_mask(void **state)
{
	(void)state;
	assert_true(signal_inherited_mask() == SIGNAL_BIT(SIGUSR2));
}

static volatile sig_atomic_t handled;

static void handler(int number)
{
	handled = number;
}

static void test_unblocked_ones_are_handled(void **state)
{
	(void)state;
	(void)signal(SIGPROF, handler);
	signal_unblock(SIGNAL_BIT(SIGPROF));
	(void)kill(getpid(), SIGPROF);
	assert_int_equal(handled, SIGPROF);
	assert_int_equal(loop_turn(LOOP_NOW), 0);
	assert_false(signal_block(SIGNAL_ALL) & SIGNAL_BIT(SIGPROF));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_numbers),
		cmocka_unit_test(test_numbers_of_names),
		cmocka_unit_test(test_every_signal_arrives),
		cmocka_unit_test(test_own_broken_pipe_is_no_signal),
		cmocka_unit_test(test_inherited_mask),
		cmocka_unit_test(test_unblocked_ones_are_handled),
	};

	signal_set_mask(SIGNAL_BIT(SIGUSR2));
	return cmocka_run_group_tests_name("signal", tests, set_up, NULL);
}
