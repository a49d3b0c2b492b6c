/* SPDX-License-Identifier: MIT */
/* A command that takes the time at its first instruction, lives for as many
 * milliseconds as it is told, takes the time again and dies of SIGKILL. It prints
 * both, as nanoseconds of CLOCK_MONOTONIC. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void print(int64_t n)
{
	dprintf(1, "%lld\n", (long long)n);
}

int main(int argc, char **argv)
{
	int64_t start = now();
	long ms = argc > 1 ? atol(argv[1]) : 0;

	print(start);
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
	print(now());
	kill(getpid(), SIGKILL);
}
