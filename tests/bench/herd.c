/* SPDX-License-Identifier: MIT */
/* The least that can be called a supervisor, as the lower limit:
 *
 *     herd COUNT once|again COMMAND [ARG...]
 *
 * starts the command so many times and reaps; `again` starts one that has ended
 * again. TERM is passed on to all, and ends it when they have ended. */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static sigset_t all, none;

static pid_t start(char **argv)
{
	pid_t pid = fork();

	if (!pid) {
		setsid();
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static int find(const pid_t *pids, int count, pid_t pid)
{
	int i = 0;

	while (i < count && pids[i] != pid)
		i++;
	return i;
}

int main(int argc, char **argv)
{
	int count = argc > 3 ? atoi(argv[1]) : 0, left = count, number;
	bool again = count && !strcmp(argv[2], "again");
	pid_t *pids = calloc((size_t)count + 1, sizeof(*pids)), pid;

	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < count; i++)
		pids[i] = start(argv + 3);
	while (left && !sigwait(&all, &number)) {
		if (number == SIGTERM) {
			again = false;
			for (int i = 0; i < count; i++)
				kill(pids[i], SIGTERM);
		}
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
			if (again)
				pids[find(pids, count, pid)] = start(argv + 3);
			else
				left--;
		}
	}
	return 0;
}
