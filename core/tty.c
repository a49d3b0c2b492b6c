/* SPDX-License-Identifier: MIT */
/* SIGTTOU is blocked here as every signal is, so that tcsetpgrp and tcsetattr work
 * from the background, too; that is why we look before we change hands. */
#include "tty.h"

#include "signal.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

static struct termios settings;
static bool have_settings;

bool tty_ours(void)
{
	pid_t foreground = tcgetpgrp(STDIN_FILENO);

	return foreground >= 0 && foreground == getpgrp();
}

void tty_save(void)
{
	have_settings = tcgetattr(STDIN_FILENO, &settings) == 0;
}

void tty_restore(void)
{
	if (have_settings)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &settings);
}

uint64_t tty_release(void)
{
	uint64_t set = SIGNAL_BIT(SIGHUP) | SIGNAL_BIT(SIGCONT);
	const struct timespec at_once = { 0 };
	uint64_t swallowed = 0;
	long number;

	if (ioctl(STDIN_FILENO, TIOCNOTTY) < 0 || getsid(0) != getpid())
		return 0;
	while ((number = syscall(SYS_rt_sigtimedwait, &set, NULL, &at_once, sizeof(set))) > 0)
		swallowed |= SIGNAL_BIT(number);
	return swallowed;
}

bool tty_lend(pid_t group)
{
	return tty_ours() && tcsetpgrp(STDIN_FILENO, group) == 0;
}

bool tty_take_back(pid_t group)
{
	if (group && tcgetpgrp(STDIN_FILENO) != group)
		return false;
	return tcsetpgrp(STDIN_FILENO, getpgrp()) == 0;
}

void tty_claim(void)
{
	(void)ioctl(STDIN_FILENO, TIOCSCTTY, 0);
}
