/* SPDX-License-Identifier: MIT */
/* Whole-process time of a command, spawn to end, with its output thrown away:
 *
 *     process COUNT COMMAND...     prints COUNT times, in ns
 *     process memory COMMAND...    prints the most memory that it had, in KiB */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t measure(char **argv, int null, struct rusage *usage)
{
	int64_t start = now();
	pid_t pid = vfork();
	int status;

	if (!pid) {
		dup2(null, 1);
		execv(argv[0], argv);
		_exit(127);
	}
	wait4(pid, &status, 0, usage);
	if (status) {
		fprintf(stderr, "process: %s: status %x\n", argv[0], status);
		exit(1);
	}
	return now() - start;
}

int main(int argc, char **argv)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct rusage usage;

	if (argc < 3) {
		fprintf(stderr, "usage: process COUNT COMMAND [ARG...]\n");
		return 64;
	}
	if (!strcmp(argv[1], "memory")) {
		measure(argv + 2, null, &usage);
		printf("%ld\n", usage.ru_maxrss);
		return 0;
	}
	for (int i = atoi(argv[1]); i > 0; i--)
		printf("%lld\n", (long long)measure(argv + 2, null, &usage));
	return 0;
}
