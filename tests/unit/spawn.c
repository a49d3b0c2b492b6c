/* SPDX-License-Identifier: MIT */
/* Plans carried out by real processes, and what is said when they can't be. */
#include "spawn.h"

#include "signal.h"
#include "util.h"
#include "valgrind.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define NOBODY 65534

static char top[] = "/tmp/moonrise-spawn-XXXXXX";
static char *no_environment[] = { NULL };

static const char *path_of(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	auto_close int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(top) || chmod(top, 0755) < 0)
		return -1;
	write_file("data", "no program\n", 0644);
	write_file("no-line", "echo hello\n", 0755);
	write_file("bad-line", "#! /no/such/shell -e\n", 0755);
	write_file("windows", "#!/bin/sh\r\n", 0755);
	write_file("good", "#!/bin/sh\nexit 0\n", 0755);
	return mkdir(path_of("folder"), 0755);
}

static int tear_down(void **state)
{
	static const char *const names[] = { "data", "no-line", "bad-line", "windows", "good" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlink(path_of(names[i]));
	(void)rmdir(path_of("folder"));
	return rmdir(top);
}

static void plan_for(struct spawn_plan *plan, char **argv)
{
	spawn_plan_init(plan);
	plan->path = argv[0];
	plan->argv = argv;
	plan->envp = no_environment;
}

static void assert_fails(const struct spawn_plan *plan, int error, const char *text)
{
	struct spawn_error why;
	char buf[512];

	assert_int_equal(spawn_start(plan, &why), -error);
	assert_string_equal(spawn_error_text(&why, buf, sizeof(buf)), text);
}

/* What it wrote to its descriptor 1; it has to exit with 0. */
static const char *output_of(struct spawn_plan *plan)
{
	static char output[8192];
	auto_close int in = -1;
	struct spawn_error why;
	size_t size = 0;
	int ends[2];
	int status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	in = ends[0];
	plan->fds[plan->fd_count++] = (struct spawn_fd){ .from = ends[1], .to = 1 };
	pid = spawn_start(plan, &why);
	(void)close(ends[1]);
	if (pid < 0)
		fail_msg("%s", spawn_error_text(&why, output, sizeof(output)));
	while ((n = read(in, output + size, sizeof(output) - 1 - size)) > 0)
		size += (size_t)n;
	output[size] = '\0';
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return output;
}

/* ---- errors */

static void assert_exec_fails(const char *name, int error, const char *format)
{
	char path[256];
	char text[512];
	char *argv[] = { path, NULL };
	struct spawn_plan plan;

	(void)snprintf(path, sizeof(path), "%s", path_of(name));
	(void)snprintf(text, sizeof(text), format, path);
	plan_for(&plan, argv);
	assert_fails(&plan, error, text);
}

static void test_why_exec_fails(void **state)
{
	(void)state;
	if (under_valgrind())
		skip();
	assert_exec_fails("missing", ENOENT, "exec %s: No such file or directory");
	assert_exec_fails("data", EACCES, "exec %s: Permission denied");
	assert_exec_fails("folder", EACCES, "exec %s: Permission denied");
	assert_exec_fails(
		"no-line", ENOEXEC,
		"exec %s: neither a program for this machine nor a script with a #! line");
	assert_exec_fails("bad-line", ENOENT,
			  "interpreter /no/such/shell: No such file or directory");
	assert_exec_fails("windows", ENOENT, "interpreter /bin/sh\\r: No such file or directory");
}

static void test_which_stage_fails(void **state)
{
	char *argv[] = { "/bin/true", NULL };
	struct spawn_plan plan;

	(void)state;
	if (under_valgrind())
		skip();
	plan_for(&plan, argv);
	plan.cwd = "/no/such/folder";
	assert_fails(&plan, ENOENT, "chdir /no/such/folder: No such file or directory");

	plan_for(&plan, argv);
	plan.fds[plan.fd_count++] = (struct spawn_fd){ .from = 900, .to = 7 };
	assert_fails(&plan, EBADF, "descriptor 7: Bad file descriptor");

	plan_for(&plan, argv);
	plan.limits[plan.limit_count++] = (struct spawn_limit){ RLIMIT_NOFILE, { 20, 10 } };
	assert_fails(&plan, EINVAL, "limit nofile: Invalid argument");

	plan_for(&plan, argv);
	plan.oom_score = 5000;
	assert_fails(&plan, EINVAL, "oom_score 5000: Invalid argument");
}

/* In a process of its own, which first gives up being root. */
static int become_another(void)
{
	static const gid_t groups[] = { 0, 12345 };
	char *argv[] = { "/bin/true", NULL };
	struct spawn_plan plan;
	struct spawn_error why;

	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		return 2;
	plan_for(&plan, argv);
	plan.cred = (struct cred_plan){ .change_user = true, .groups = groups, .group_count = 2 };
	if (cred_prepare(&plan.cred) < 0)
		return 3;
	return spawn_start(&plan, &why) == -EPERM && strcmp(why.stage, "setgroups") == 0 ? 0 : 1;
}

static void test_user_change_is_refused(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (under_valgrind())
		skip();
	pid = fork();
	if (pid == 0)
		_exit(become_another());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- descriptors */

static ino_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* One that nobody else has, at a number of our choice. */
static int open_at(int number)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup3(ends[1], number, O_CLOEXEC), number);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return number;
}

/* What the child sees: "20=inode\n" ... of those that are open. */
static int print_fds(int first, int last)
{
	struct stat st;

	for (int fd = first; fd <= last; fd++)
		if (fstat(fd, &st) == 0)
			printf("%d=%lu\n", fd, (unsigned long)st.st_ino);
	return 0;
}

static void test_descriptors_in_any_order(void **state)
{
	/* A ring of three, one that stays, one that comes from far. */
	static const struct spawn_fd fds[] = {
		{ 20, 21 }, { 21, 22 }, { 22, 20 }, { 23, 23 }, { 60, 24 },
	};
	char *argv[] = { "/proc/self/exe", "print-fds", "3", "1023", NULL };
	char expected[512] = "";
	ino_t inodes[30] = { 0 };
	struct spawn_plan plan;

	(void)state;
	if (under_valgrind())
		skip();
	plan_for(&plan, argv);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		inodes[fds[i].to] = inode_of(open_at(fds[i].from));
		plan.fds[plan.fd_count++] = fds[i];
	}
	(void)dup2(open_at(61), 62); /* not close-on-exec, as an inherited one */
	for (int to = 20; to <= 24; to++)
		(void)snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected),
			       "%d=%lu\n", to, (unsigned long)inodes[to]);
	assert_string_equal(output_of(&plan), expected);

	argv[2] = "60"; /* whoever started us may have left others */
	argv[3] = "62";
	plan_for(&plan, argv);
	plan.keep_fds = true;
	(void)snprintf(expected, sizeof(expected), "62=%lu\n", (unsigned long)inode_of(62));
	assert_string_equal(output_of(&plan), expected);
	for (int fd = 20; fd <= 62; fd++)
		(void)close(fd);
}

/* They are the child's own before it changes any. */
static void test_our_descriptors_stay(void **state)
{
	char *argv[] = { "/proc/self/exe", "print-fds", "3", "1023", NULL };
	struct spawn_plan plan;
	ino_t low, high;

	(void)state;
	if (under_valgrind())
		skip();
	low = inode_of(open_at(20));
	high = inode_of(open_at(900));
	plan_for(&plan, argv);
	plan.fds[plan.fd_count++] = (struct spawn_fd){ open_at(21), 20 };
	assert_true(strlen(output_of(&plan)) > 0);
	argv[0] = "/no/such/program";
	plan_for(&plan, argv);
	plan.fds[plan.fd_count++] = (struct spawn_fd){ 21, 20 };
	assert_fails(&plan, ENOENT, "exec /no/such/program: No such file or directory");
	assert_true(inode_of(20) == low && inode_of(900) == high);
	assert_int_equal(fcntl(20, F_GETFD), FD_CLOEXEC);
	(void)close(20);
	(void)close(21);
	(void)close(900);
}

/* As old kernels and some sandboxes do: there is no close_range. */
static void forbid_close_range(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(2);
}

static void test_descriptors_without_close_range(void **state)
{
	char *argv[] = { "/proc/self/exe", "print-fds", "3", "1023", NULL };
	struct spawn_plan plan;
	int status;
	pid_t pid;

	(void)state;
	if (under_valgrind())
		skip();
	pid = fork();
	if (pid == 0) {
		forbid_close_range();
		(void)dup2(0, 62);
		plan_for(&plan, argv);
		_exit(*output_of(&plan) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- everything else that a process starts with */

/* The value of "Name:\tvalue" in a /proc/.../status. */
static const char *field(const char *status, const char *name)
{
	static char value[256];
	const char *at = strstr(status, name);

	if (!at)
		fail_msg("no %s in %s", name, status);
	at += strlen(name) + strspn(at + strlen(name), ":\t ");
	(void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\n"), at);
	return value;
}

static void test_clean_signals_and_umask(void **state)
{
	char *argv[] = { "/bin/cat", "/proc/self/status", NULL };
	struct spawn_plan plan;
	const char *status;
	uint64_t before = signal_block(SIGNAL_ALL);
	uint64_t blocked = signal_block(0);

	(void)state;
	(void)signal(SIGHUP, SIG_IGN);
	plan_for(&plan, argv);
	plan.ignore_pipe = true;
	plan.umask = 027;
	status = output_of(&plan);
	assert_string_equal(field(status, "SigBlk"), "0000000000000000");
	assert_string_equal(field(status, "SigIgn"), "0000000000001000");
	assert_string_equal(field(status, "Umask"), "0027");

	plan_for(&plan, argv);
	plan.reset = 0;
	plan.mask = SIGNAL_BIT(SIGUSR1);
	status = output_of(&plan);
	assert_string_equal(field(status, "SigBlk"), "0000000000000200");
	assert_int_equal(strtoull(field(status, "SigIgn"), NULL, 16) & SIGNAL_BIT(SIGHUP), 1);
	(void)signal(SIGHUP, SIG_DFL);
	assert_true(signal_block(0) == blocked); /* and ours is as it was */
	signal_set_mask(before);
}

static void test_session_and_folder(void **state)
{
	char *argv[] = { "/bin/sh", "-c",
			 "read pid name state ppid group session rest </proc/self/stat; "
			 "echo $((pid == session)) $((pid == group)); pwd",
			 NULL };
	struct spawn_plan plan;

	(void)state;
	plan_for(&plan, argv);
	plan.new_session = true;
	plan.cwd = "/usr";
	assert_string_equal(output_of(&plan), "1 1\n/usr\n");
	plan_for(&plan, argv);
	plan.new_group = true;
	plan.cwd = "/";
	assert_string_equal(output_of(&plan), "0 1\n/\n");
}

static void test_limits_and_nice(void **state)
{
	char *argv[] = { "/bin/sh", "-c",
			 "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj; "
			 "cut -d' ' -f19 /proc/self/stat",
			 NULL };
	struct spawn_plan plan;

	(void)state;
	if (under_valgrind())
		skip();
	plan_for(&plan, argv);
	plan.limits[plan.limit_count++] = (struct spawn_limit){ RLIMIT_NOFILE, { 30, 40 } };
	plan.nice = 19;
	plan.oom_score = 1000;
	assert_string_equal(output_of(&plan), "30\n40\n1000\n19\n");
	assert_int_equal(getpriority(PRIO_PROCESS, 0) < 19, 1);
}

static bool may_change_users(void)
{
	const uint64_t needed =
		1 << CAP_SETUID | 1 << CAP_SETGID | 1 << CAP_SETPCAP | 1 << CAP_NET_BIND_SERVICE;

	if ((cred_effective() & needed) == needed)
		return true;
	print_message("NOT TESTED without CAP_SETUID, CAP_SETGID, CAP_SETPCAP\n");
	return false;
}

static void test_user_without_capabilities(void **state)
{
	static const gid_t groups[] = { NOBODY, 12345 };
	char *argv[] = { "/bin/cat", "/proc/self/status", NULL };
	struct spawn_plan plan;
	const char *status;

	(void)state;
	if (!may_change_users())
		skip();
	plan_for(&plan, argv);
	plan.cred = (struct cred_plan){
		.change_user = true,
		.uid = NOBODY,
		.gid = NOBODY,
		.groups = groups,
		.group_count = ARRAY_SIZE(groups),
		.limit_caps = true,
		.no_new_privs = true,
	};
	assert_int_equal(cred_prepare(&plan.cred), 0);
	status = output_of(&plan);
	cred_plan_done(&plan.cred);
	assert_string_equal(field(status, "Uid"), "65534\t65534\t65534\t65534");
	assert_string_equal(field(status, "Gid"), "65534\t65534\t65534\t65534");
	assert_string_equal(field(status, "Groups"), "12345 65534 ");
	assert_string_equal(field(status, "CapEff"), "0000000000000000");
	assert_string_equal(field(status, "CapBnd"), "0000000000000000");
	assert_string_equal(field(status, "NoNewPrivs"), "1");
	assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
}

static void test_user_with_one_capability(void **state)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
	static const gid_t groups[] = { NOBODY };
	char *argv[] = { "/bin/cat", "/proc/self/status", NULL };
	struct spawn_plan plan;
	const char *status;

	(void)state;
	if (!may_change_users())
		skip();
	plan_for(&plan, argv);
	plan.cred = (struct cred_plan){
		.change_user = true,
		.uid = NOBODY,
		.gid = NOBODY,
		.groups = groups,
		.group_count = ARRAY_SIZE(groups),
		.limit_caps = true,
		.keep_caps = 1 << CAP_NET_BIND_SERVICE,
	};
	assert_int_equal(cred_prepare(&plan.cred), 0);
	status = output_of(&plan);
	cred_plan_done(&plan.cred);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		assert_string_equal(field(status, sets[i]), "0000000000000400");
}

/* ---- spawn_find */

static void test_find(void **state)
{
	char path[256];
	char search[512];
	char expected[256];

	(void)state;
	assert_int_equal(spawn_find("/bin/sh", NULL, path, sizeof(path)), 0);
	assert_string_equal(path, "/bin/sh");
	assert_int_equal(spawn_find("/no/such", NULL, path, sizeof(path)), -ENOENT);
	assert_int_equal(spawn_find(path_of("data"), NULL, path, sizeof(path)), -EACCES);
	assert_int_equal(spawn_find(path_of("folder"), NULL, path, sizeof(path)), -EISDIR);
	assert_int_equal(spawn_find("", "/bin", path, sizeof(path)), -ENOENT);
	assert_int_equal(spawn_find("sh", "/no/such:/bin", path, sizeof(path)), 0);
	assert_string_equal(path, "/bin/sh");
	assert_int_equal(spawn_find("sh", NULL, path, sizeof(path)), 0);

	(void)snprintf(search, sizeof(search), "/no/such:%s:/bin", top);
	(void)snprintf(expected, sizeof(expected), "%s", path_of("good"));
	assert_int_equal(spawn_find("good", search, path, sizeof(path)), 0);
	assert_string_equal(path, expected);
	/* What is there but can't be run is a better answer than "not found". */
	assert_int_equal(spawn_find("data", search, path, sizeof(path)), -EACCES);
	assert_int_equal(spawn_find("nowhere", search, path, sizeof(path)), -ENOENT);
	assert_int_equal(spawn_find("sh", "/bin", path, 4), -ENOENT);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_why_exec_fails),
		cmocka_unit_test(test_which_stage_fails),
		cmocka_unit_test(test_user_change_is_refused),
		cmocka_unit_test(test_descriptors_in_any_order),
		cmocka_unit_test(test_our_descriptors_stay),
		cmocka_unit_test(test_descriptors_without_close_range),
		cmocka_unit_test(test_clean_signals_and_umask),
		cmocka_unit_test(test_session_and_folder),
		cmocka_unit_test(test_limits_and_nice),
		cmocka_unit_test(test_user_without_capabilities),
		cmocka_unit_test(test_user_with_one_capability),
		cmocka_unit_test(test_find),
	};

	if (argc == 4 && strcmp(argv[1], "print-fds") == 0)
		return print_fds(atoi(argv[2]), atoi(argv[3]));
	return cmocka_run_group_tests_name("spawn", tests, set_up, tear_down);
}
