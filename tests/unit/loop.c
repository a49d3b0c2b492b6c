/* SPDX-License-Identifier: MIT */
/* Sources are called when they are ready, and never after they were removed. */
#include "loop.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/timex.h>

#include <cmocka.h>

/* A pipe whose reading end is a source; it is ready once it was filled. */
struct tap {
	struct loop_source source;
	int in;
	int calls;
	struct loop_source *removes; /* what its `ready` removes */
	bool nests;                  /* its `ready` turns the loop */
};

static void tap_ready(struct loop_source *source, uint32_t events)
{
	struct tap *tap = container_of(source, struct tap, source);

	assert_true(events & EPOLLIN);
	tap->calls++;
	if (tap->removes)
		loop_remove(tap->removes);
	if (tap->nests) {
		tap->nests = false;
		assert_true(loop_turn(LOOP_NOW) > 0);
	}
}

static void tap_open(struct tap *tap, uint32_t events)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	*tap = (struct tap){ .source = { .fd = ends[0], .ready = tap_ready }, .in = ends[1] };
	assert_int_equal(loop_add(&tap->source, events), 0);
}

static void tap_fill(const struct tap *tap)
{
	assert_int_equal(write(tap->in, "x", 1), 1);
}

static void tap_close(struct tap *tap)
{
	loop_remove(&tap->source);
	(void)close(tap->source.fd);
	(void)close(tap->in);
}

static int set_up(void **state)
{
	(void)state;
	return loop_init();
}

static int tear_down(void **state)
{
	(void)state;
	loop_done();
	return 0;
}

static void test_calls_what_is_ready(void **state)
{
	struct tap a, b;

	(void)state;
	tap_open(&a, EPOLLIN);
	tap_open(&b, EPOLLIN);
	assert_int_equal(loop_turn(LOOP_NOW), 0);
	tap_fill(&b);
	assert_int_equal(loop_turn(LOOP_FOREVER), 1);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 1);
	tap_close(&a);
	tap_close(&b);
}

static void test_removed_in_the_same_turn(void **state)
{
	struct tap a, b;

	(void)state;
	tap_open(&a, EPOLLIN);
	tap_open(&b, EPOLLIN);
	a.removes = &b.source; /* whichever comes first silences the other */
	b.removes = &a.source;
	tap_fill(&a);
	tap_fill(&b);
	assert_int_equal(loop_turn(LOOP_NOW), 1);
	assert_int_equal(a.calls + b.calls, 1);
	tap_close(&a);
	tap_close(&b);
}

static void test_removes_itself(void **state)
{
	struct tap a;

	(void)state;
	tap_open(&a, EPOLLIN);
	a.removes = &a.source;
	tap_fill(&a);
	assert_int_equal(loop_turn(LOOP_NOW), 1);
	assert_int_equal(loop_turn(LOOP_NOW), 0);
	tap_close(&a);
}

static void test_one_shot_until_changed(void **state)
{
	struct tap a;

	(void)state;
	tap_open(&a, EPOLLIN | EPOLLONESHOT);
	tap_fill(&a);
	assert_int_equal(loop_turn(LOOP_NOW), 1);
	assert_int_equal(loop_turn(LOOP_NOW), 0);
	assert_int_equal(loop_change(&a.source, EPOLLIN | EPOLLONESHOT), 0);
	assert_int_equal(loop_turn(LOOP_NOW), 1);
	tap_close(&a);
}

static void test_nested_turn(void **state)
{
	struct tap a, b;

	(void)state;
	tap_open(&a, EPOLLIN);
	tap_open(&b, EPOLLIN);
	a.nests = b.nests = true;
	tap_fill(&a);
	tap_fill(&b);
	assert_true(loop_turn(LOOP_NOW) > 0);
	assert_true(a.calls > 0 && b.calls > 0);
	tap_close(&a);
	tap_close(&b);
}

static void test_never_wakes_early(void **state)
{
	int64_t deadline = loop_time() + NSEC_PER_MSEC + 1;

	(void)state;
	assert_int_equal(loop_turn(deadline), 0);
	assert_true(loop_time() >= deadline);
}

static void test_regular_file_is_refused(void **state)
{
	auto_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct loop_source source = { .fd = fd, .ready = tap_ready };

	(void)state;
	assert_int_equal(loop_add(&source, EPOLLIN), -EPERM);
}

/* The clock is set forward by a nanosecond. */
static void test_setting_the_clock_is_noticed(void **state)
{
	auto_close int fd = loop_clock_changes();
	struct loop_source source = { .fd = fd, .ready = tap_ready };
	struct timex nanosecond = { .modes = ADJ_SETOFFSET | ADJ_NANO, .time.tv_usec = 1 };
	uint64_t count;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(loop_add(&source, EPOLLIN), 0);
	assert_int_equal(loop_turn(LOOP_NOW), 0);
	if (adjtimex(&nanosecond) >= 0) { /* else we may not */
		struct pollfd changed = { .fd = fd, .events = POLLIN };

		assert_int_equal(poll(&changed, 1, 10000), 1);
		assert_int_equal(read(fd, &count, sizeof(count)), -1);
		assert_int_equal(errno, ECANCELED);
		assert_int_equal(poll(&changed, 1, 0), 0);
	}
	loop_remove(&source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_calls_what_is_ready, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removed_in_the_same_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removes_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_shot_until_changed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nested_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_never_wakes_early, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_regular_file_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_setting_the_clock_is_noticed, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
