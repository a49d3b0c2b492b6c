/* SPDX-License-Identifier: MIT */
/* The program has its descriptors and nothing of ours; without one all is as it was. */
#include "handover.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Number 100 is ours and number 101 is free, and the plan wants both, crosswise. */
#define OURS 100
#define FREE 101

static int left, right, ours;

static int set_up(void **state)
{
	(void)state;
	left = open("/dev/null", O_RDONLY | O_CLOEXEC);
	right = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ours = open("/dev/full", O_RDONLY | O_CLOEXEC);
	(void)close(FREE);
	return left < 0 || right < 0 || dup3(ours, OURS, O_CLOEXEC) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)close(left);
	(void)close(right);
	(void)close(ours);
	(void)close(OURS);
	return 0;
}

static void plan_for(struct spawn_plan *plan, char **argv, char **envp)
{
	spawn_plan_init(plan);
	plan->path = argv[0];
	plan->argv = argv;
	plan->envp = envp;
	plan->fds[plan->fd_count++] = (struct spawn_fd){ .from = right, .to = OURS };
	plan->fds[plan->fd_count++] = (struct spawn_fd){ .from = left, .to = FREE };
}

static void test_descriptors_and_pid_go_along(void **state)
{
	char script[] = "test $OWN = $$ && test /dev/fd/100 -ef /dev/zero && "
			"test /dev/fd/101 -ef /dev/null && test ! -e /dev/fd/$OTHER";
	char own[32] = "OWN=", other[32], sh[] = "/bin/sh", c[] = "-c";
	char *argv[] = { sh, c, script, NULL }, *envp[] = { own, other, NULL };
	struct spawn_plan plan;
	int status;

	(void)state;
	(void)snprintf(other, sizeof(other), "OTHER=%d", ours);
	plan_for(&plan, argv, envp);
	plan.own_pids[0] = own + strlen(own);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(handover_exec(&plan) < 0 ? 99 : 98);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static dev_t device_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_rdev;
}

static int count_open(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_without_a_program_all_is_as_it_was(void **state)
{
	char path[] = "/no/such/program";
	char *argv[] = { path, NULL }, *envp[] = { NULL };
	struct itimerval ticks = { .it_value.tv_sec = 1000, .it_interval.tv_sec = 1000 };
	struct spawn_plan plan;
	int before = count_open();

	(void)state;
	assert_int_equal(setitimer(ITIMER_PROF, &ticks, NULL), 0);
	plan_for(&plan, argv, envp);
	assert_int_equal(handover_exec(&plan), -ENOENT);
	assert_int_equal(count_open(), before);
	assert_int_equal(device_of(OURS), device_of(ours));
	assert_true(fcntl(OURS, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(FREE, F_GETFD) < 0);
	assert_int_equal(getitimer(ITIMER_PROF, &ticks), 0);
	assert_true(ticks.it_value.tv_sec > 0);
	plan.fds[1].from = FREE; /* there is nothing to copy */
	assert_int_equal(handover_exec(&plan), -EBADF);
	assert_int_equal(count_open(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_descriptors_and_pid_go_along, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_without_a_program_all_is_as_it_was, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}
