/* SPDX-License-Identifier: MIT */
/* Runs an init as PID 1 of a fresh pid namespace with a /proc of its own, and a
 * tmpfs on /run as podman gives:
 *
 *     pid1 start INIT...   whose command is `stay`: prints four figures
 *                          exec to the command's first instruction, TERM to the
 *                          command, TERM to the init's end (ns), PSS (KiB)
 *     pid1 idle INIT...    wake-ups of the init in two seconds of idleness
 *     pid1 run INIT...     until it ends; its standard output is ours
 *     pid1 many COUNT SIGNAL INIT...    that runs so many of `stay`: exec to the last
 *                          one's first instruction, SIGNAL to the init's end (ns, -1
 *                          without a SIGNAL), PSS of the init and of all processes but
 *                          the commands (KiB)
 *     pid1 times COUNT INIT...    the first times that are printed in it, as ns after
 *                          the exec; then it is killed
 *
 * The clock starts right before the exec, so nothing of this program counts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "pid1: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* In the new PID 1. */
static void become(char **argv, int output, int report)
{
	int64_t time;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount("proc", "/proc", "proc", 0, NULL) || mount("tmpfs", "/run", "tmpfs", 0, NULL))
		fail("mount");
	if (output >= 0)
		dup2(output, 1);
	time = now();
	if (write(report, &time, sizeof time) != sizeof time)
		fail("write");
	execvp(argv[0], argv);
	fail(argv[0]);
}

/* *ret_exec_time: when the exec was called. */
static pid_t start_init(char **argv, int output, int64_t *ret_exec_time)
{
	int report[2];
	pid_t pid;

	if (unshare(CLONE_NEWNS | CLONE_NEWPID) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		fail("unshare");
	if (pipe2(report, O_CLOEXEC))
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid)
		become(argv, output, report[1]);
	close(report[1]);
	if (read(report[0], ret_exec_time, sizeof *ret_exec_time) != sizeof *ret_exec_time)
		fail("the init did not start");
	return pid;
}

static int64_t read_number(FILE *file)
{
	long long n;

	if (fscanf(file, "%lld", &n) != 1) {
		fprintf(stderr, "pid1: the command printed no time\n");
		exit(1);
	}
	return n;
}

/* A "Name:  123" line of a file in the init's /proc, which is ours as well. */
static long proc_value(const char *pid, const char *file, const char *name)
{
	char path[64], line[256];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%s/%s", pid, file);
	f = fopen(path, "r");
	if (!f)
		fail(path);
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, name, strlen(name)))
			value = atol(line + strlen(name));
	fclose(f);
	return value;
}

/* Of the init and its helpers: of everything but the commands. */
static long pss_of_all(void)
{
	char path[300], name[32];
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	long sum = 0;

	while (dir && (entry = readdir(dir))) {
		FILE *f;

		if (atoi(entry->d_name) <= 0)
			continue;
		snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
		f = fopen(path, "r");
		if (!f || !fgets(name, sizeof name, f))
			strcpy(name, "");
		if (f)
			fclose(f);
		if (strcmp(name, "stay\n"))
			sum += proc_value(strcpy(path, entry->d_name), "smaps_rollup", "Pss:");
	}
	if (dir)
		closedir(dir);
	return sum;
}

static int wait_end(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		fail("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void settle(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static FILE *start_with_output(char **argv, pid_t *ret_pid, int64_t *ret_exec_time)
{
	int output[2];

	if (pipe2(output, O_CLOEXEC))
		fail("pipe");
	*ret_pid = start_init(argv, output[1], ret_exec_time);
	close(output[1]);
	return fdopen(output[0], "r");
}

static int measure_start(char **argv)
{
	int64_t exec_time, child_time, term_time, got_time, end_time;
	pid_t pid;
	FILE *output = start_with_output(argv, &pid, &exec_time);
	long pss;

	child_time = read_number(output);
	settle(20); /* whatever it still does after the start */
	pss = proc_value("1", "smaps_rollup", "Pss:");
	term_time = now();
	kill(pid, SIGTERM);
	wait_end(pid);
	end_time = now();
	got_time = read_number(output);
	printf("%lld %lld %lld %ld\n", (long long)(child_time - exec_time),
	       (long long)(got_time - term_time), (long long)(end_time - term_time), pss);
	return 0;
}

static int measure_idle(char **argv)
{
	int64_t exec_time;
	pid_t pid;
	FILE *output = start_with_output(argv, &pid, &exec_time);
	long before;

	read_number(output);
	settle(500);
	before = proc_value("1", "status", "voluntary_ctxt_switches:");
	settle(2000);
	printf("%ld\n", proc_value("1", "status", "voluntary_ctxt_switches:") - before);
	kill(pid, SIGTERM);
	return wait_end(pid);
}

static int64_t read_last(FILE *file, int count)
{
	int64_t last = 0;

	while (count-- > 0) {
		int64_t time = read_number(file);

		last = time > last ? time : last;
	}
	return last;
}

static int measure_many(char **argv)
{
	int64_t exec_time, child_time, term_time;
	int count = atoi(argv[0]), number = atoi(argv[1]);
	long pss, all;
	pid_t pid;
	FILE *output = start_with_output(argv + 2, &pid, &exec_time);

	child_time = read_last(output, count);
	settle(200);
	pss = proc_value("1", "smaps_rollup", "Pss:");
	all = pss_of_all();
	term_time = now();
	kill(pid, number ? number : SIGKILL);
	while (getc(output) != EOF)
		; /* a full pipe would hold them up */
	wait_end(pid);
	printf("%lld %lld %ld %ld\n", (long long)(child_time - exec_time),
	       number ? (long long)(now() - term_time) : -1, pss, all);
	return 0;
}

static int print_times(char **argv)
{
	int64_t exec_time;
	int count = atoi(argv[0]);
	pid_t pid;
	FILE *output = start_with_output(argv + 1, &pid, &exec_time);

	while (count-- > 0)
		printf("%lld\n", (long long)(read_number(output) - exec_time));
	kill(pid, SIGKILL);
	wait_end(pid);
	return 0;
}

static int run(char **argv)
{
	int64_t exec_time;

	return wait_end(start_init(argv, -1, &exec_time));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*measure)(char **argv);
	} words[] = { { "start", measure_start },
		      { "idle", measure_idle },
		      { "run", run },
		      { "many", measure_many },
		      { "times", print_times } };

	for (size_t i = 0; argc > 2 && i < sizeof words / sizeof *words; i++)
		if (!strcmp(argv[1], words[i].word))
			return words[i].measure(argv + 2);
	fprintf(stderr, "usage: pid1 start|idle|run|many|times [...] INIT [ARG...]\n");
	return 64;
}
