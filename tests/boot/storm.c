/* SPDX-License-Identifier: MIT */
/* storm COUNT: so many orphans, each one the child of a child that has gone. They
 * become PID 1's, and end at once. When there are no pids left it waits for PID 1
 * to give some back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t fork_when_possible(void)
{
	static const struct timespec moment = { .tv_nsec = 1000000 };
	pid_t pid;

	while ((pid = fork()) < 0 && errno == EAGAIN)
		(void)nanosleep(&moment, NULL);
	return pid;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 0;

	puts("storm begins");
	fflush(stdout);
	for (int i = 0; i < count; i++) {
		pid_t pid = fork_when_possible();

		if (pid == 0) {
			(void)fork_when_possible(); /* the orphan, and its parent */
			_exit(0);
		}
		if (waitpid(pid, NULL, 0) != pid)
			return 1;
	}
	puts("storm is over");
	return 0;
}
