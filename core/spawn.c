/* SPDX-License-Identifier: MIT */
/* The child shares our memory and has a stack of its own; we stand still until
 * it has executed the program or given up. So an error needs no pipe: the child
 * writes it where we read it. It must not allocate, nor change
 * anything else that we would find changed. */
#include "spawn.h"

#include "signal.h"
#include "util.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define STACK_SIZE (64 * 1024)
#define USUAL_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const struct {
	const char *name;
	int resource;
} limit_names[] = {
	{ "as", RLIMIT_AS },
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME },
	{ "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

int spawn_limit_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(limit_names); i++)
		if (strcmp(name, limit_names[i].name) == 0)
			return limit_names[i].resource;
	return -EINVAL;
}

static const char *limit_name(int resource)
{
	for (size_t i = 0; i < ARRAY_SIZE(limit_names); i++)
		if (limit_names[i].resource == resource)
			return limit_names[i].name;
	return "?";
}

void spawn_plan_init(struct spawn_plan *plan)
{
	*plan = (struct spawn_plan){
		.reset = SIGNAL_ALL,
		.umask = SPAWN_UNSET,
		.nice = SPAWN_UNSET,
		.oom_score = SPAWN_UNSET,
		.cwd_fd = -1,
		.cgroup_fd = -1,
	};
}

/* ---- the steps, in the child; each one returns -1 with errno, and may have
 * named the subject, or a better stage than the table's, in `error` */

/* Not snprintf: the exec of every start comes by here. */
static void set_subject(struct spawn_error *error, const char *subject)
{
	if (!memccpy(error->subject, subject, '\0', sizeof(error->subject)))
		error->subject[sizeof(error->subject) - 1] = '\0';
}

static int set_dispositions(const struct spawn_plan *plan, struct spawn_error *error)
{
	(void)error;
	signal_reset_dispositions(plan->reset);
	if (plan->ignore_pipe && signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -1;
	return 0;
}

static int set_session(const struct spawn_plan *plan, struct spawn_error *error)
{
	(void)error;
	if (plan->new_session)
		return setsid() < 0 ? -1 : 0;
	return plan->new_group ? setpgid(0, 0) : 0;
}

/* All our own are close-on-exec from birth; this is for those that we inherited.
 * Old kernels and some sandboxes have no close_range. */
static void mark_inherited_fds(void)
{
	struct rlimit limit;

	if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > 65536)
		limit.rlim_cur = 65536;
	for (int fd = 3; fd < (int)limit.rlim_cur; fd++)
		(void)ioctl(fd, FIOCLEX);
}

static int highest_target(const struct spawn_plan *plan)
{
	int highest = 2;

	for (int i = 0; i < plan->fd_count; i++)
		if (plan->fds[i].to > highest)
			highest = plan->fds[i].to;
	return highest;
}

static bool is_target(const struct spawn_plan *plan, int fd)
{
	for (int i = 0; i < plan->fd_count; i++)
		if (plan->fds[i].to == fd)
			return true;
	return false;
}

static int place_fd(int from, int to)
{
	if (from == to) /* dup2 would leave close-on-exec set */
		return fcntl(to, F_SETFD, 0);
	return dup2(from, to) < 0 ? -1 : 0;
}

/* First those that sit on another one's place move out of the way, above all
 * places; then each one is put where it belongs. */
static int set_fds(const struct spawn_plan *plan, struct spawn_error *error)
{
	int from[SPAWN_MAX_FDS];
	int above = highest_target(plan) + 1;

	if (!plan->keep_fds)
		mark_inherited_fds();
	for (int i = 0; i < plan->fd_count; i++) {
		(void)snprintf(error->subject, sizeof(error->subject), "%d", plan->fds[i].to);
		from[i] = plan->fds[i].from;
		if (from[i] != plan->fds[i].to && is_target(plan, from[i]))
			from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, above);
		if (from[i] < 0)
			return -1;
	}
	for (int i = 0; i < plan->fd_count; i++) {
		(void)snprintf(error->subject, sizeof(error->subject), "%d", plan->fds[i].to);
		if (place_fd(from[i], plan->fds[i].to) < 0)
			return -1;
	}
	return 0;
}

/* As tini: where there is no terminal, or not ours, there is nothing to take. */
static int take_terminal(const struct spawn_plan *plan, struct spawn_error *error)
{
	int r;

	(void)error;
	if (!plan->foreground)
		return 0;
	r = plan->new_session ? ioctl(0, TIOCSCTTY, 0) : tcsetpgrp(0, getpgrp());
	return r < 0 && errno != ENOTTY && errno != ENXIO ? -1 : 0;
}

static int set_limits(const struct spawn_plan *plan, struct spawn_error *error)
{
	for (int i = 0; i < plan->limit_count; i++) {
		const struct spawn_limit *limit = &plan->limits[i];

		set_subject(error, limit_name(limit->resource));
		if (setrlimit(limit->resource, &limit->value) < 0)
			return -1;
	}
	return 0;
}

static int set_nice(const struct spawn_plan *plan, struct spawn_error *error)
{
	if (plan->nice == SPAWN_UNSET)
		return 0;
	(void)snprintf(error->subject, sizeof(error->subject), "%d", plan->nice);
	return setpriority(PRIO_PROCESS, 0, plan->nice);
}

static int set_oom_score(const struct spawn_plan *plan, struct spawn_error *error)
{
	auto_close int fd = -1;
	int length;

	if (plan->oom_score == SPAWN_UNSET)
		return 0;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	length = snprintf(error->subject, sizeof(error->subject), "%d", plan->oom_score);
	return write(fd, error->subject, (size_t)length) < 0 ? -1 : 0;
}

static int set_credentials(const struct spawn_plan *plan, struct spawn_error *error)
{
	int r = 0;

	if (plan->cred.change_user || plan->cred.limit_caps || plan->cred.no_new_privs)
		r = cred_apply(&plan->cred, &error->stage);

	errno = -r;
	return r;
}

/* After the change of user: it is the user who must be able to go there. */
static int set_directory(const struct spawn_plan *plan, struct spawn_error *error)
{
	if (plan->umask != SPAWN_UNSET)
		(void)umask((mode_t)plan->umask);
	if (plan->cwd_fd >= 0 && fchdir(plan->cwd_fd) < 0)
		return -1;
	if (!plan->cwd)
		return 0;
	set_subject(error, plan->cwd);
	return chdir(plan->cwd);
}

static int execute(const struct spawn_plan *plan, struct spawn_error *error)
{
	set_subject(error, plan->path);
	for (int i = 0; i < SPAWN_MAX_OWN_PIDS && plan->own_pids[i]; i++)
		(void)snprintf(plan->own_pids[i], SPAWN_PID_SIZE, "%d", getpid());
	signal_set_mask(plan->mask);
	return execve(plan->path, plan->argv, plan->envp);
}

static const struct {
	const char *stage;
	int (*run)(const struct spawn_plan *plan, struct spawn_error *error);
} steps[] = {
	{ "signals", set_dispositions },
	{ "session", set_session },
	{ "descriptor", set_fds },
	{ "terminal", take_terminal },
	{ "limit", set_limits }, /* these three while we still are who we were */
	{ "nice", set_nice },
	{ "oom_score", set_oom_score },
	{ "credentials", set_credentials },
	{ "chdir", set_directory },
	{ "exec", execute },
};

static void carry_out(const struct spawn_plan *plan, struct spawn_error *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		error->stage = steps[i].stage;
		error->subject[0] = '\0';
		if (steps[i].run(plan, error) < 0) {
			error->error = errno;
			return;
		}
	}
}

int spawn_become(const struct spawn_plan *plan, struct spawn_error *ret_error)
{
	*ret_error = (struct spawn_error){ 0 };
	carry_out(plan, ret_error);
	return -ret_error->error;
}

/* ---- descriptors are shared at first, too: to copy all of ours, and to close them
 * again, would make each start slower than the one before, for each has left us one
 * more pipe. The child takes those that it may need and leaves the others behind. */

#ifndef SPAWN_SHARES_FDS
#define SPAWN_SHARES_FDS 1
#endif

/* Asked for no descriptor at all, it says whether it could be used. */
static bool can_leave_fds(const struct spawn_plan *plan)
{
	return SPAWN_SHARES_FDS && !plan->keep_fds &&
	       syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_UNSHARE) == 0;
}

static int leave_fds(const struct spawn_plan *plan)
{
	int highest = plan->cwd_fd > 2 ? plan->cwd_fd : 2;

	for (int i = 0; i < plan->fd_count; i++)
		if (plan->fds[i].from > highest)
			highest = plan->fds[i].from;
	return (int)syscall(SYS_close_range, highest + 1, ~0U, CLOSE_RANGE_UNSHARE);
}

struct attempt {
	const struct spawn_plan *plan;
	struct spawn_error *error;
	bool shares_fds;
};

static int child_main(void *data)
{
	struct attempt *attempt = data;

	if (attempt->shares_fds && leave_fds(attempt->plan) < 0)
		*attempt->error = (struct spawn_error){ .stage = "descriptor", .error = errno };
	else
		carry_out(attempt->plan, attempt->error);
	return 127; /* clone(2)'s wrapper makes it the exit status, without atexit */
}

/* ---- the parent */

/* The top of a stack that is mapped once and kept, with a page below it that
 * turns an overflow into a fault instead of a changed heap. */
static char *stack_top(void)
{
	static char *stack;

	if (!stack) {
		void *p = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

		if (p == MAP_FAILED)
			return NULL;
		(void)mprotect(p, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE);
		stack = p;
	}
	return stack + STACK_SIZE;
}

/* As fork(2), for clone3(2) has no wrapper that would give the child a stack in shared
 * memory; so the error comes back through a page that both have. */
static pid_t clone_into_cgroup(const struct attempt *attempt)
{
	static struct spawn_error *error;
	struct clone_args args = { .flags = CLONE_VFORK | CLONE_INTO_CGROUP |
					    (attempt->shares_fds ? CLONE_FILES : 0),
				   .exit_signal = SIGCHLD,
				   .cgroup = (uint64_t)attempt->plan->cgroup_fd };

	if (!error) {
		void *p = mmap(NULL, sizeof(*error), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return -1;
		error = p;
	}
	*error = *attempt->error;
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		_exit(child_main(&(struct attempt){ attempt->plan, error, attempt->shares_fds }));
	if (pid > 0)
		*attempt->error = *error;
	return pid;
}

/* All signals stay blocked in the child until its last step: a handler of ours
 * that ran there would run in our memory. */
static pid_t clone_child(struct attempt *attempt)
{
	int files = attempt->shares_fds ? CLONE_FILES : 0;
	char *top = stack_top();
	uint64_t mask;
	pid_t pid = -1;

	if (!top)
		return -ENOMEM;
	mask = signal_block(SIGNAL_ALL);
	if (attempt->plan->cgroup_fd >= 0)
		pid = clone_into_cgroup(attempt);
	if (pid < 0)
		pid = clone(child_main, top, CLONE_VM | CLONE_VFORK | files | SIGCHLD, attempt);
	if (pid < 0)
		pid = -errno;
	signal_set_mask(mask);
	return pid;
}

/* A change of user marks the memory as not dumpable, which shuts others out of
 * it while it is still ours. Afterwards we want to be who we were: without the
 * mark root itself, if it lacks CAP_SYS_PTRACE, may not look at /proc/1. */
static pid_t clone_and_stay_dumpable(struct attempt *attempt)
{
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	pid_t pid = clone_child(attempt);

	if (dumpable == 1 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1)
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return pid;
}

/* ---- ENOENT for a file that is there: what it names as its interpreter isn't */

/* "#! /bin/foo -x" */
static bool script_interpreter(const char *head, char *ret_name, size_t size)
{
	size_t length, skip;

	if (strncmp(head, "#!", 2) != 0)
		return false;
	skip = 2 + strspn(head + 2, " \t");
	length = strcspn(head + skip, " \t\n");
	(void)snprintf(ret_name, size, "%.*s", (int)length, head + skip);
	/* Made visible: it comes from an editor on Windows, and is the fault. */
	if (length > 0 && head[skip + length - 1] == '\r')
		(void)snprintf(ret_name, size, "%.*s\\r", (int)length - 1, head + skip);
	return true;
}

/* The loader of a dynamic program: another libc's image has another one. */
static bool program_interpreter(int fd, char *ret_name, size_t size)
{
	ElfW(Ehdr) header;
	ElfW(Phdr) segment;
	ssize_t n;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(segment))
		return false;
	for (int i = 0; i < header.e_phnum; i++) {
		off_t at = (off_t)(header.e_phoff + (size_t)i * sizeof(segment));

		if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment))
			return false;
		if (segment.p_type != PT_INTERP)
			continue;
		n = pread(fd, ret_name, size - 1, (off_t)segment.p_offset);
		ret_name[n > 0 ? n : 0] = '\0';
		return n > 0;
	}
	return false;
}

static void blame_interpreter(const char *path, struct spawn_error *error)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char head[256];
	char name[sizeof(error->subject)];
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head) - 1, 0);

	if (n <= 0)
		return;
	head[n] = '\0';
	if (script_interpreter(head, name, sizeof(name)) ||
	    program_interpreter(fd, name, sizeof(name))) {
		error->stage = "interpreter";
		set_subject(error, name);
	}
}

pid_t spawn_start(const struct spawn_plan *plan, struct spawn_error *ret_error)
{
	struct attempt attempt = { plan, ret_error, can_leave_fds(plan) };
	siginfo_t info;
	pid_t pid;

	*ret_error = (struct spawn_error){ .stage = "fork" };
	pid = clone_and_stay_dumpable(&attempt);
	if (pid < 0) {
		*ret_error = (struct spawn_error){ .stage = "fork", .error = -pid };
		return pid;
	}
	if (ret_error->error == 0)
		return pid;
	(void)waitid(P_PID, (id_t)pid, &info, WEXITED);
	if (ret_error->error == ENOENT && strcmp(ret_error->stage, "exec") == 0)
		blame_interpreter(plan->path, ret_error);
	return -ret_error->error;
}

const char *spawn_error_text(const struct spawn_error *error, char *buf, size_t size)
{
	const char *reason =
		error->error == ENOEXEC
			? "neither a program for this machine nor a script with a #! line"
			: strerror(error->error);

	(void)snprintf(buf, size, "%s%s%s: %s", error->stage, *error->subject ? " " : "",
		       error->subject, reason);
	return buf;
}

/* ---- looking for the program */

static int check_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? 0 : -EACCES;
}

int spawn_find(const char *name, const char *search_path, char *ret_path, size_t size)
{
	const char *dir = search_path ? search_path : USUAL_PATH;
	int result = -ENOENT;

	if (strchr(name, '/')) {
		if ((size_t)snprintf(ret_path, size, "%s", name) >= size)
			return -ENOENT;
		return check_program(ret_path);
	}
	while (*name) {
		int length = (int)strcspn(dir, ":");
		int n = snprintf(ret_path, size, "%.*s/%s", length ? length : 1, length ? dir : ".",
				 name);
		int r = (size_t)n < size ? check_program(ret_path) : -ENOENT;

		if (r == 0)
			return 0;
		if (r != -ENOENT) /* what was found counts more than what was not */
			result = r;
		dir += length;
		if (*dir++ == '\0')
			break;
	}
	return result;
}
