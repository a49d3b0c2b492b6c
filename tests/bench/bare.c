/* SPDX-License-Identifier: MIT */
/* The least that can be called an init, as the lower limit: starts a command,
 * passes TERM on, reaps. */
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv, char **envp)
{
	sigset_t all, none;
	pid_t child;
	int signal, status;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&none);
	child = vfork();
	if (!child) {
		sigprocmask(SIG_SETMASK, &none, NULL);
		execve(argv[1], argv + 1, envp);
		_exit(127);
	}
	for (;;) {
		pid_t pid;

		sigwait(&all, &signal);
		if (signal != SIGCHLD)
			kill(child, signal);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == child)
				return WIFEXITED(status) ? WEXITSTATUS(status)
							 : 128 + WTERMSIG(status);
	}
	return argc;
}
