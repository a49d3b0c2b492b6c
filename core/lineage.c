/* SPDX-License-Identifier: MIT */
/* One small file per process; everything on the stack, since the ending asks here
 * when there may be no memory. */
#include "lineage.h"

#include "util.h"

#include <fcntl.h>
#include <string.h>

struct relatives {
	pid_t parent, group, session;
};

/* All 0 when it is gone. */
static struct relatives read_relatives(pid_t pid)
{
	struct relatives found = { 0 };
	char path[32], text[512];
	auto_close int fd = -1;
	const char *after_name;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return found;
	text[n] = '\0';
	after_name = strrchr(text, ')'); /* "12 (any (name)) S 1 12 12 ..." */
	if (!after_name ||
	    sscanf(after_name, ") %*c %d %d %d", &found.parent, &found.group, &found.session) != 3)
		return (struct relatives){ 0 };
	return found;
}

pid_t lineage_parent(pid_t pid)
{
	return read_relatives(pid).parent;
}

int lineage_of(pid_t pid, pid_t ret_pids[LINEAGE_MAX])
{
	struct relatives own = read_relatives(pid);
	pid_t parent = own.parent;
	int count = 0;

	ret_pids[count++] = pid;
	while (parent > 1 && count < LINEAGE_MAX - 2) {
		ret_pids[count++] = parent;
		parent = lineage_parent(parent);
	}
	ret_pids[count++] = own.session;
	ret_pids[count++] = own.group;
	return count;
}
