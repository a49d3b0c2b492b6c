/* SPDX-License-Identifier: MIT */
/* All that comes of a process is known as its, is followed, and can be ended. */
#include "family.h"

#include "descend.h"
#include "loop.h"
#include "signal.h"
#include "util.h"
#include "valgrind.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#define PATIENCE (20 * NSEC_PER_SEC)

struct service {
	struct family family;
	struct child_end end;
	int ended, gone;
	bool left;
};

static void note_end(struct family *family, const struct child_end *end, bool left)
{
	struct service *service = container_of(family, struct service, family);

	service->ended++;
	service->end = *end;
	service->left = left;
}

static void note_gone(struct family *family)
{
	container_of(family, struct service, family)->gone++;
}

static const struct family_owner owner = { note_end, note_gone };

/* sh -c TEXT, marked. */
static void start(struct service *service, const char *text)
{
	static unsigned id = 100;
	struct spawn_plan plan;
	struct spawn_error error;
	char *argv[] = { "sh", "-c", (char *)text, NULL };
	char *envp[] = { "PATH=/usr/bin:/bin", NULL };
	pid_t pid;

	memset(service, 0, sizeof(*service));
	spawn_plan_init(&plan);
	plan.path = "/bin/sh";
	plan.argv = argv;
	plan.envp = envp;
	plan.new_session = true;
	descend_mark(&plan, ++id);
	pid = spawn_start(&plan, &error);
	assert_true(pid > 0);
	family_adopt(&service->family, id, pid, false, &owner);
}

/* Turn the loop until `*what` is `value`. */
static void await(const int *what, int value)
{
	int64_t deadline = loop_time() + PATIENCE;

	while (*what != value) {
		assert_true(loop_time() < deadline);
		(void)loop_turn(deadline);
	}
}

/* Until it has so many members. */
static void await_members(struct service *service, int count)
{
	int64_t deadline = loop_time() + PATIENCE;
	pid_t pids[16];

	while (family_members(&service->family, pids, 16) != count) {
		assert_true(loop_time() < deadline);
		(void)loop_turn(loop_time() + NSEC_PER_MSEC);
	}
	for (int i = 0; i < count; i++)
		assert_int_equal(descend_owner(pids[i]), service->family.id);
}

static void test_one_that_leaves_nothing(void **state)
{
	struct service service;

	(void)state;
	start(&service, "exit 3");
	await(&service.ended, 1);
	assert_int_equal(service.end.number, 3);
	assert_false(service.left);
	assert_int_equal(service.gone, 0);
}

static void test_what_is_left_is_found_and_ended(void **state)
{
	struct service service;

	(void)state;
	start(&service, "(setsid sh -c 'sleep 1000 & sleep 1000 & wait' &) ; sleep 1000 & exit 1");
	await(&service.ended, 1);
	assert_true(service.left);
	await_members(&service, 4);
	family_kill(&service.family, SIGKILL);
	await(&service.gone, 1);
	assert_int_equal(service.ended, 1);
}

static void test_what_turns_up_after_kill_is_killed(void **state)
{
	struct service service;

	(void)state;
	start(&service, "f() { (setsid sleep 1000 &) ; f; }; f & exit 0");
	await(&service.ended, 1);
	family_kill(&service.family, SIGKILL);
	for (int64_t end = loop_time() + PATIENCE; !service.gone && loop_time() < end;) {
		(void)loop_turn(loop_time() + 20 * NSEC_PER_MSEC);
		if (!service.gone)
			family_kill(&service.family, SIGKILL);
	}
	assert_int_equal(service.gone, 1);
}

static void test_services_don_t_meet(void **state)
{
	struct service one, other;

	(void)state;
	start(&one, "setsid sleep 1000 & exit 0");
	start(&other, "setsid sleep 1000 & wait");
	await(&one.ended, 1);
	await_members(&other, 2);
	assert_int_equal(family_follow(&one.family, other.family.main.pid), -EPERM);
	family_kill(&one.family, SIGTERM);
	await(&one.gone, 1);
	await_members(&other, 2);
	family_kill(&other.family, SIGKILL);
	await(&other.ended, 1);
	if (other.left)
		await(&other.gone, 1);
}

static void test_an_heir_is_followed(void **state)
{
	struct service service;

	(void)state;
	start(&service, "sleep 1000 & exit 0");
	await(&service.ended, 1);
	assert_true(service.left);
	pid_t heir = family_heir(&service.family);
	assert_int_equal(family_follow(&service.family, heir), 1);
	assert_int_equal(family_follow(&service.family, heir), 0);
	assert_int_equal(family_follow(&service.family, 1), -ESRCH);
	assert_int_equal(kill(heir, SIGTERM), 0);
	await(&service.ended, 2);
	assert_int_equal(service.end.how, CHILD_KILLED);
	assert_int_equal(service.end.number, SIGTERM);
	assert_false(service.left);
}

/* The first process lives on, and does not wait for its child. */
static void test_another_one_s_child_is_followed(void **state)
{
	struct service service;
	pid_t pids[4];

	(void)state;
	start(&service, "sleep 1000 & exec sleep 1000");
	await_members(&service, 2);
	pid_t first = service.family.main.pid;
	assert_int_equal(family_members(&service.family, pids, 4), 2);
	assert_int_equal(family_follow(&service.family, pids[1]), 0);
	assert_int_equal(kill(pids[1], SIGTERM), 0);
	await(&service.ended, 1);
	assert_int_equal(service.end.how, CHILD_KILLED); /* read of the zombie */
	assert_int_equal(service.end.number, SIGTERM);
	assert_true(service.left);
	assert_int_equal(kill(first, SIGKILL), 0);
	await(&service.gone, 1);
}

static void test_usage_is_the_sum(void **state)
{
	struct descend_usage usage = { 0 };

	(void)state;
	descend_add_usage(getpid(), &usage);
	uint64_t alone = usage.bytes;
	descend_add_usage(getppid(), &usage);
	assert_int_equal(usage.count, 2);
	assert_true(alone > 0 && usage.bytes >= alone);
}

static void test_nobody_s_are_nobody_s(void **state)
{
	(void)state;
	assert_int_equal(descend_owner(getpid()), 0);
	assert_int_equal(descend_owner(1), 0);
	assert_int_equal(descend_owner(getppid()), 0);
	assert_int_equal(descend_owner(0), 0);
}

static void ignore_signal(const struct signal_arrival *arrival)
{
	(void)arrival;
}

static int set_up(void **state)
{
	(void)state;
	if (loop_init() < 0 || signal_init(ignore_signal) < 0)
		return -1;
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_leaves_nothing),
		cmocka_unit_test(test_what_is_left_is_found_and_ended),
		cmocka_unit_test(test_what_turns_up_after_kill_is_killed),
		cmocka_unit_test(test_services_don_t_meet),
		cmocka_unit_test(test_an_heir_is_followed),
		cmocka_unit_test(test_another_one_s_child_is_followed),
		cmocka_unit_test(test_usage_is_the_sum),
		cmocka_unit_test(test_nobody_s_are_nobody_s),
	};

	if (under_valgrind()) /* the clone that shares memory is a fork there */
		return 0;
	return cmocka_run_group_tests_name("family", tests, set_up, NULL);
}
