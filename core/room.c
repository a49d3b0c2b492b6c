/* SPDX-License-Identifier: MIT */
/* The soft limit stays a little below the hard one. Raised for a moment, it lets one
 * more descriptor in, which stays open when the limit is lower again. */
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT 8

static struct rlimit given;
static bool is_changed;

static bool set_soft_limit(rlim_t soft)
{
	struct rlimit limit = { soft, given.rlim_max };

	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static rlim_t usual(void)
{
	return given.rlim_max > 4 * KEPT ? given.rlim_max - KEPT : given.rlim_max;
}

void room_init(void)
{
	is_changed = getrlimit(RLIMIT_NOFILE, &given) == 0 && set_soft_limit(usual());
}

bool room_given(struct rlimit *ret_limit)
{
	if (is_changed)
		*ret_limit = given;
	return is_changed;
}

static bool begin(void)
{
	return errno == EMFILE && is_changed && set_soft_limit(given.rlim_max);
}

static void end(void)
{
	int error = errno;

	(void)set_soft_limit(usual());
	errno = error;
}

int room_open(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0 && begin()) {
		fd = open(path, flags);
		end();
	}
	return fd;
}

int room_open_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0 && begin()) {
		fd = (int)syscall(SYS_pidfd_open, pid, 0);
		end();
	}
	return fd;
}
