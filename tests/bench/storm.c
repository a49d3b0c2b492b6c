/* SPDX-License-Identifier: MIT */
/* N orphans for the init above us: each is forked twice and ends at once. Waits
 * until all are reaped, then prints the time from the first fork to the last
 * reaping (ns) and the most zombies seen. Never more than LIMIT at a time: the
 * machine's pids are few, and a storm that takes them all takes every shell. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 50
#define LIMIT 8000

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* PID 1's children other than this process. */
static int count_orphans(void)
{
	static char buf[64 * 1024];
	int fd = open("/proc/1/task/1/children", O_RDONLY | O_CLOEXEC);
	int count = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0)
		for (ssize_t i = 0; i < n; i++)
			count += buf[i] == ' ';
	close(fd);
	return count - 1;
}

static void fork_batch(int size)
{
	pid_t parent = fork();

	if (!parent) {
		for (int i = 0; i < size; i++)
			if (!fork())
				_exit(0);
		_exit(0);
	}
	waitpid(parent, NULL, 0);
}

int main(int argc, char **argv)
{
	int wanted = argc > 1 ? atoi(argv[1]) : 20000;
	int most = 0, orphans;
	int64_t start = now();

	for (int made = 0; made < wanted; made += BATCH) {
		fork_batch(BATCH);
		while ((orphans = count_orphans()) > LIMIT)
			usleep(100);
		most = orphans > most ? orphans : most;
	}
	while ((orphans = count_orphans()) > 0)
		usleep(100);
	printf("%lld %d\n", (long long)(now() - start), most);
	return 0;
}
