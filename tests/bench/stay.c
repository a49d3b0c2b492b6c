/* SPDX-License-Identifier: MIT */
/* The command that the inits are made to run: its first instruction takes the
 * time. Then it waits for TERM, takes the time again and ends. It prints both,
 * as nanoseconds of CLOCK_MONOTONIC. No libc start-up: that would be measured
 * with the init. */
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
	struct timespec t;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void print(int64_t n)
{
	char line[24], *p = line + sizeof line;

	*--p = '\n';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	syscall(SYS_write, 1, p, line + sizeof line - p);
}

#ifdef __x86_64__
__attribute__((force_align_arg_pointer))
#endif
void _start(void)
{
	int64_t start = now();
	uint64_t term = 1UL << (SIGTERM - 1);

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &term, 0, sizeof term);
	print(start);
	syscall(SYS_rt_sigtimedwait, &term, 0, 0, sizeof term);
	print(now());
	syscall(SYS_exit_group, 0);
}
