/* SPDX-License-Identifier: MIT */
/* The file cgroup.kill is in every cgroup but the machine's root. So if it is there and
 * can be written to, what is mounted is the container's own, and whoever made that will
 * remove it with all that is below it. */
#include "cgroup.h"

#include "room.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT "/sys/fs/cgroup"

/* The processes of this container are in the cgroup that is mounted, not below it. */
static bool is_ours(void)
{
	char text[512];
	auto_close int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	return strncmp(text, "0::/\n", 5) == 0 || strstr(text, "\n0::/\n");
}

static bool is_usable(void)
{
	static enum { UNKNOWN, NO, YES } answer;

	if (answer == UNKNOWN) {
		auto_close int fd = room_open(ROOT "/cgroup.kill", O_WRONLY | O_CLOEXEC);

		answer = fd >= 0 && is_ours() ? YES : NO;
	}
	return answer == YES;
}

static void make_path(char path[64], unsigned id, const char *file)
{
	(void)snprintf(path, 64, ROOT "/moonrise-%u%s", id, file);
}

int cgroup_make(unsigned id)
{
	char path[64];
	int fd;

	if (!is_usable())
		return -ENOTSUP;
	make_path(path, id, "");
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void cgroup_kill(unsigned id)
{
	char path[64];

	if (!is_usable())
		return;
	make_path(path, id, "/cgroup.kill");
	auto_close int fd = room_open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, "1", 1);
}

void cgroup_remove(unsigned id)
{
	char path[64];

	if (!is_usable())
		return;
	make_path(path, id, "");
	(void)rmdir(path);
}
