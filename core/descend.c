/* SPDX-License-Identifier: MIT */
/* Reads /proc and keeps nothing. A number is only as good as its process is alive:
 * a signal goes through a pidfd that was opened before the mark was read, so it
 * can't hit another. */
#include "descend.h"

#include "family.h"
#include "room.h"
#include "util.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

#define MARK_MAX UINT32_MAX

/* ---- the mark */

/* Lowering it is everybody's right; only from "unlimited" a mark is ours alone. */
static bool can_mark(void)
{
	static enum { UNKNOWN, NO, YES } answer;
	struct rlimit limit;

	if (answer == UNKNOWN)
		answer = getrlimit(RLIMIT_LOCKS, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY &&
					 limit.rlim_max == RLIM_INFINITY
				 ? YES
				 : NO;
	return answer == YES;
}

/* In the place of a limit of this name that was asked for: it has no effect. */
void descend_mark(struct spawn_plan *plan, unsigned id)
{
	rlim_t mark = (rlim_t)(DESCEND_MARK + id);
	int i = 0;

	if (!can_mark())
		return;
	while (i < plan->limit_count && plan->limits[i].resource != RLIMIT_LOCKS)
		i++;
	if (i == SPAWN_MAX_LIMITS)
		return;
	plan->limits[i] = (struct spawn_limit){ RLIMIT_LOCKS, { mark, mark } };
	if (i == plan->limit_count)
		plan->limit_count++;
}

/* ---- one process in /proc */

/* Length of the text, or -errno. */
static ssize_t read_file(pid_t pid, const char *name, char *text, size_t size)
{
	char path[32];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	auto_close int fd = room_open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return n;
}

/* "Max file locks            1099511627779        1099511627779        locks" */
static unsigned mark_of(pid_t pid)
{
	static const char row[] = "\nMax file locks";
	char text[2048];
	const char *at;
	uint64_t value;

	if (!can_mark() || read_file(pid, "limits", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, row);
	value = at ? strtoull(at + strlen(row), NULL, 10) : 0; /* "unlimited" is 0 */
	return value > DESCEND_MARK && value - DESCEND_MARK <= MARK_MAX
		       ? (unsigned)(value - DESCEND_MARK)
		       : 0;
}

/* "12 (any (name)) S 1 12 12 ...": proc(5) has the list. */
int descend_stat(pid_t pid, struct descend_stat *ret_stat)
{
	char text[1024];
	ssize_t n = read_file(pid, "stat", text, sizeof(text));
	const char *rest = n < 0 ? NULL : strrchr(text, ')');
	const char *last = n < 0 ? NULL : strrchr(text, ' ');
	struct descend_stat stat = { 0 };
	uint64_t user, system;

	if (n < 0)
		return (int)n;
	if (!rest || sscanf(rest,
			    ") %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
			    " %*d %*d %*d %*d %*d %*d %" SCNu64,
			    &stat.state, &stat.parent, &stat.group, &stat.session, &user, &system,
			    &stat.start_time) != 7)
		return -EPROTO;
	stat.ticks = user + system;
	stat.exit_code = atoi(last);
	*ret_stat = stat;
	return 0;
}

/* By its mark; else by its session, and then by its parents': a program that raises
 * all limits (PAM, for a login) does not get away. */
unsigned descend_owner(pid_t pid)
{
	struct descend_stat stat;

	while (pid > 1 && pid != getpid()) {
		unsigned id = mark_of(pid);

		if (id || descend_stat(pid, &stat) < 0)
			return id;
		id = family_of_session(stat.session);
		if (id)
			return id;
		pid = stat.parent;
	}
	return 0;
}

/* ---- children; a kernel without CONFIG_PROC_CHILDREN does not tell of them */

/* "12 13 207 ", in pieces that end anywhere. */
static int each_child(const char *path, void (*visit)(pid_t pid, void *data), void *data)
{
	char buf[4096];
	auto_close int fd = room_open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 0;
	pid_t pid = 0;

	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (isdigit((unsigned char)buf[i])) {
				pid = pid * 10 + (buf[i] - '0');
				continue;
			}
			if (pid)
				visit(pid, data);
			pid = 0;
		}
	}
	return n < 0 ? -errno : 0;
}

int descend_each_child(void (*visit)(pid_t pid, void *data), void *data)
{
	return each_child("/proc/thread-self/children", visit, data);
}

struct list {
	pid_t *pids;
	int count, size;
};

static void add(pid_t pid, void *data)
{
	struct list *list = data;

	if (list->count < list->size)
		list->pids[list->count] = pid;
	list->count++;
}

/* Each thread has its own. The raw call, since readdir(3) allocates. */
static void add_children_of(pid_t pid, struct list *list)
{
	char buf[2048] __attribute__((aligned(__alignof__(struct dirent))));
	char path[64];
	long n;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	auto_close int fd = room_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && (n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct dirent *entry = (const struct dirent *)p;
			int thread = atoi(entry->d_name);

			(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid,
				       thread);
			if (thread > 0)
				(void)each_child(path, add, list);
			p += entry->d_reclen;
		}
	}
}

int descend_add_below(pid_t *pids, int count, int size)
{
	struct list list = { pids, count, size };

	for (int i = 0; i < list.count && i < size; i++)
		add_children_of(pids[i], &list);
	return list.count;
}

/* ---- */

int descend_signal(pid_t pid, unsigned id, int signal)
{
	auto_close int fd = room_open_pidfd(pid);
	bool has_pidfds = fd >= 0 || errno != ENOSYS;

	if (descend_owner(pid) != id)
		return -ESRCH;
	if (has_pidfds)
		return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? -errno : 0;
	return kill(pid, signal) < 0 ? -errno : 0;
}

/* ---- usage */

/* Resident and shared pages; shared memory is counted once. */
static void add_memory(pid_t pid, struct descend_usage *usage)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t resident, shared;
	char text[256];

	if (read_file(pid, "statm", text, sizeof(text)) < 0 ||
	    sscanf(text, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2)
		return;
	usage->bytes += (resident - shared) * page;
	if (shared * page > usage->shared) {
		usage->bytes += shared * page - usage->shared;
		usage->shared = shared * page;
	}
}

void descend_add_usage(pid_t pid, struct descend_usage *usage)
{
	struct descend_stat stat;

	if (descend_stat(pid, &stat) < 0)
		return;
	usage->ticks += stat.ticks;
	usage->count++;
	add_memory(pid, usage);
}
