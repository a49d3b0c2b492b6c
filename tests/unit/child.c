/* SPDX-License-Identifier: MIT */
/* Everything is reaped, each owner is told once, and no signal reaches a pid
 * that is not the child's any more. */
#include "child.h"

#include "loop.h"
#include "signal.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

struct owner {
	struct child child;
	struct child_end end;
	int told;
	int stopped_by;
	struct owner *adopts; /* in `ended`, from `adopts_pid` */
	pid_t adopts_pid;
};

static void note_end(struct child *child, const struct child_end *end)
{
	struct owner *owner = container_of(child, struct owner, child);

	assert_int_equal(child->pid, 0);
	owner->end = *end;
	owner->told++;
	if (owner->adopts)
		child_adopt(&owner->adopts->child, owner->adopts_pid, note_end);
}

static void note_stop(struct child *child, int signal)
{
	container_of(child, struct owner, child)->stopped_by = signal;
}

/* A process that exits with `status`, or ends or stops by signal -status. */
static pid_t start(int status)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (status < 0) {
		signal_set_mask(0);
		(void)raise(-status);
	}
	_exit(status);
}

/* Until there is something to be reaped; it stays there. */
static void await(pid_t pid, int options)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, options | WNOWAIT), 0);
}

static pid_t start_and_end(int status)
{
	pid_t pid = start(status);

	await(pid, WEXITED);
	return pid;
}

static void test_owners_are_told_how(void **state)
{
	struct owner exited = { 0 }, killed = { 0 };

	(void)state;
	child_adopt(&exited.child, start_and_end(7), note_end);
	child_adopt(&killed.child, start_and_end(-SIGTERM), note_end);
	assert_false(child_reap());
	assert_int_equal(exited.told, 1);
	assert_int_equal(exited.end.how, CHILD_EXITED);
	assert_int_equal(child_exit_status(&exited.end), 7);
	assert_int_equal(killed.told, 1);
	assert_int_equal(killed.end.how, CHILD_KILLED);
	assert_int_equal(child_exit_status(&killed.end), 128 + SIGTERM);
	assert_false(child_any());
}

static void test_no_signal_after_the_end(void **state)
{
	struct owner owner = { 0 };

	(void)state;
	child_adopt(&owner.child, start_and_end(0), note_end);
	assert_int_equal(child_kill(&owner.child, 0), 0); /* a zombie still has its pid */
	assert_false(child_reap());
	assert_int_equal(child_kill(&owner.child, SIGKILL), -ESRCH);
	assert_int_equal(child_kill_group(&owner.child, SIGKILL), -ESRCH);
}

static pid_t stranger;

static void note_stranger(pid_t pid, const struct child_end *end)
{
	assert_int_equal(end->number, 3);
	stranger = pid;
}

static void test_strangers_are_reaped(void **state)
{
	pid_t pid = start_and_end(3);

	(void)state;
	child_watch_strangers(note_stranger);
	assert_true(child_any());
	assert_false(child_reap());
	assert_false(child_any());
	assert_int_equal(stranger, pid);
	child_watch_strangers(NULL);
}

static void test_forgotten_owner_is_not_told(void **state)
{
	struct owner gone = { 0 };

	(void)state;
	child_adopt(&gone.child, start_and_end(0), note_end);
	child_forget(&gone.child);
	child_forget(&gone.child);
	assert_false(child_reap());
	assert_int_equal(gone.told, 0);
	assert_false(child_any());
}

/* As a service that restarts: its owner adopts while it is told. */
static void test_adopt_while_told(void **state)
{
	struct owner first = { 0 }, second = { 0 };

	(void)state;
	first.adopts = &second;
	child_adopt(&first.child, start_and_end(0), note_end);
	first.adopts_pid = start_and_end(9);
	assert_false(child_reap());
	assert_int_equal(second.told, 1);
	assert_int_equal(second.end.number, 9);
}

static void test_stops_only_when_asked(void **state)
{
	struct owner owner = { 0 };
	pid_t pid = start(-SIGSTOP);

	(void)state;
	child_adopt(&owner.child, pid, note_end);
	await(pid, WSTOPPED);
	assert_false(child_reap());
	assert_int_equal(owner.stopped_by, 0);
	child_watch_stops(&owner.child, note_stop);
	assert_false(child_reap());
	assert_int_equal(owner.stopped_by, SIGSTOP);
	assert_int_equal(owner.told, 0);
	assert_int_equal(child_kill(&owner.child, SIGKILL), 0);
	await(pid, WEXITED);
	assert_false(child_reap());
	assert_int_equal(owner.end.number, SIGKILL);
}

static void ignore_arrival(const struct signal_arrival *arrival)
{
	(void)arrival;
}

static void vfork_zombie(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	await(pid, WEXITED);
}

/* One call does not reap them all, but the loop comes back without waiting. */
static void test_storm_comes_in_batches(void **state)
{
	(void)state;
	for (int i = 0; i <= CHILD_REAP_BATCH; i++)
		vfork_zombie();
	assert_int_equal(loop_turn(LOOP_FOREVER), 1);
	assert_true(child_any());
	assert_int_equal(loop_turn(LOOP_FOREVER), 1);
	assert_false(child_any());
	assert_int_equal(loop_turn(LOOP_NOW), 0);
}

static int set_up(void **state)
{
	(void)state;
	return loop_init() < 0 ? -1 : signal_init(ignore_arrival);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owners_are_told_how),
		cmocka_unit_test(test_no_signal_after_the_end),
		cmocka_unit_test(test_strangers_are_reaped),
		cmocka_unit_test(test_forgotten_owner_is_not_told),
		cmocka_unit_test(test_adopt_while_told),
		cmocka_unit_test(test_storm_comes_in_batches),
		cmocka_unit_test(test_stops_only_when_asked),
	};

	return cmocka_run_group_tests_name("child", tests, set_up, NULL);
}
