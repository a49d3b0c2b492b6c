/* SPDX-License-Identifier: MIT */
/* Forks as fast as it can, each process in a session of its own and deaf to TERM, until
 * it is killed or `bomb SECONDS` are over. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);

	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGCHLD, SIG_IGN);
	(void)puts("bomb");
	(void)fflush(stdout);
	while (time(NULL) < end) {
		if (fork() == 0)
			(void)setsid();
		(void)usleep(30000); /* leaves the machine to others */
	}
	return 0;
}
