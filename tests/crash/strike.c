/* SPDX-License-Identifier: MIT */
/* strike [-k N | -e N -E ERRNO [-p]] [-o FILE] FOLDER CMD...: run a command as
 * PID 1 of a namespace of its own, stop it at each system call that would change
 * something in FOLDER, and let one of them be the last (-k, all are killed) or
 * fail (-e; with -p also all that come after it and could fail so: on a full disk
 * what needs room, without descriptors what opens). The status is the command's.
 * By seccomp_unotify(2), so workers and their threads count as well, in one order.
 *
 * FILE gets three fields for each call, with a NUL behind each: its name, the path,
 * and the first text that it would write. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NONE -1
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Which argument says what is changed: a path, a folder and a path, or a descriptor. */
static const struct call {
	int number;
	const char *name;
	int folder, path, fd;
	enum { PLAIN, NEEDS_ROOM, OPENS } kind;
} calls[] = {
#define BY_PATH(name, path, kind) { SCMP_SYS(name), #name, NONE, path, NONE, kind },
#define BY_FOLDER(name, at, path, kind) { SCMP_SYS(name), #name, at, path, NONE, kind },
#define BY_FD(name, fd, kind) { SCMP_SYS(name), #name, NONE, NONE, fd, kind },
	BY_PATH(open, 0, OPENS) BY_PATH(creat, 0, OPENS) BY_PATH(truncate, 0, PLAIN) BY_PATH(
		mkdir, 0,
		NEEDS_ROOM) BY_PATH(mknod, 0,
				    true) BY_PATH(symlink, 1,
						  true) BY_PATH(link, 1, NEEDS_ROOM) BY_PATH(rename,
											     1,
											     PLAIN)
		BY_PATH(unlink, 0, PLAIN) BY_PATH(rmdir, 0, PLAIN) BY_PATH(chmod, 0, PLAIN) BY_PATH(
			chown, 0,
			false) BY_PATH(lchown, 0,
				       false) BY_PATH(setxattr, 0,
						      true) BY_PATH(lsetxattr, 0,
								    true) BY_PATH(removexattr, 0,
										  false)
			BY_PATH(lremovexattr, 0, PLAIN) BY_FOLDER(openat, 0, 1, OPENS) BY_FOLDER(
				openat2, 0, 1,
				NEEDS_ROOM) BY_FOLDER(mkdirat, 0, 1,
						      NEEDS_ROOM) BY_FOLDER(mknodat, 0, 1,
									    NEEDS_ROOM)
				BY_FOLDER(symlinkat, 1, 2, NEEDS_ROOM) BY_FOLDER(linkat, 2, 3, NEEDS_ROOM) BY_FOLDER(
					renameat,
					2, 3,
					false) BY_FOLDER(renameat2, 2, 3,
							 false) BY_FOLDER(unlinkat, 0, 1, PLAIN)
					BY_FOLDER(fchmodat, 0, 1, PLAIN) BY_FOLDER(fchownat, 0, 1, PLAIN) BY_FOLDER(
						utimensat, 0, 1,
						PLAIN) BY_FD(write, 0,
							     NEEDS_ROOM) BY_FD(writev, 0,
									       NEEDS_ROOM)
						BY_FD(pwrite64, 0, true) BY_FD(pwritev, 0, true) BY_FD(
							sendfile, 0,
							NEEDS_ROOM) BY_FD(copy_file_range, 2,
									  true) BY_FD(splice, 2, true)
							BY_FD(ioctl, 0, NEEDS_ROOM) BY_FD(
								fallocate, 0,
								NEEDS_ROOM) BY_FD(ftruncate, 0,
										  false) BY_FD(fchmod,
											       0,
											       false)
								BY_FD(
									fchown,
									0,
									false) BY_FD(fsetxattr, 0,
										     NEEDS_ROOM)
									BY_FD(fremovexattr, 0,
									      false) BY_FD(fsync, 0,
											   true)
										BY_FD(fdatasync, 0,
										      true)
											BY_FD(syncfs,
											      0,
											      true)
};

static struct {
	const char *folder;
	FILE *output;
	long kill_at, fail_at;
	int error;
	bool persistent;
	long count;
} job;

static void die(const char *what)
{
	perror(what);
	exit(125);
}

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* ---- the filter */

static int add(scmp_filter_ctx filter, const struct call *call)
{
	/* Opened for reading alone, nothing is changed. */
	unsigned int flags = is(call->name, "open") ? 1 : is(call->name, "openat") ? 2 : 0;

	if (is(call->name, "ioctl"))
		return seccomp_rule_add(filter, SCMP_ACT_NOTIFY, call->number, 1,
					SCMP_A1(SCMP_CMP_EQ, FICLONE));
	if (!flags)
		return seccomp_rule_add(filter, SCMP_ACT_NOTIFY, call->number, 0);
	int r = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, call->number, 1,
				 SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT));
	return r < 0 ? r
		     : seccomp_rule_add(filter, SCMP_ACT_NOTIFY, call->number, 1,
					SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, O_TRUNC, O_TRUNC));
}

static int install(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < LENGTH(calls); i++)
		r = add(filter, &calls[i]);
	if (r == 0)
		r = seccomp_load(filter);
	if (r < 0) {
		errno = -r;
		die("seccomp");
	}
	return seccomp_notify_fd(filter);
}

/* ---- the command */

static void send_fd(int socket, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = space,
				  .msg_controllen = sizeof(space) };
	struct cmsghdr *control = CMSG_FIRSTHDR(&message);

	*control = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
				     .cmsg_level = SOL_SOCKET,
				     .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(control), &fd, sizeof(int));
	if (sendmsg(socket, &message, 0) < 0)
		die("sendmsg");
}

static int receive_fd(int socket)
{
	char space[CMSG_SPACE(sizeof(int))], byte;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = space,
				  .msg_controllen = sizeof(space) };
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
		exit(125);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

static void run(int socket, char **argv)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
		die("mount");
	int fd = install();
	send_fd(socket, fd);
	close(fd);
	close(socket);
	execvp(argv[0], argv);
	die(argv[0]);
}

/* ---- what a call is about */

static void read_link(pid_t pid, const char *what, int fd, char result[static PATH_MAX])
{
	char path[64];
	int n = snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);

	if (fd >= 0)
		snprintf(path + n, sizeof(path) - (size_t)n, "/%d", fd);
	ssize_t length = readlink(path, result, PATH_MAX - 1);
	result[length < 0 ? 0 : length] = '\0';
}

static void read_text(pid_t pid, uint64_t address, char result[static PATH_MAX])
{
	/* By the page: what lies behind the text may not be there. */
	size_t done = 0;

	while (done < PATH_MAX - 1) {
		size_t size = 4096 - (address + done) % 4096;
		if (size > PATH_MAX - 1 - done)
			size = PATH_MAX - 1 - done;
		struct iovec to = { result + done, size },
			     from = { (void *)(uintptr_t)(address + done), size };
		if (process_vm_readv(pid, &to, 1, &from, 1, 0) <= 0)
			break;
		if (memchr(result + done, '\0', size))
			return;
		done += size;
	}
	result[done] = '\0';
}

static void find_path(const struct seccomp_notif *request, const struct call *call,
		      char result[static PATH_MAX])
{
	const __u64 *args = request->data.args;
	pid_t pid = (pid_t)request->pid;
	char base[PATH_MAX] = "", path[PATH_MAX] = "";
	int fd = call->fd == NONE ? NONE : (int)args[call->fd];

	if (call->path != NONE && args[call->path])
		read_text(pid, args[call->path], path);
	if (path[0] == '\0' && call->folder != NONE) /* AT_EMPTY_PATH */
		fd = (int)args[call->folder];
	sscanf(path, "/proc/self/fd/%d", &fd);
	if (fd >= 0) {
		read_link(pid, "fd", fd, result);
		return;
	}
	if (path[0] != '/') {
		int folder = call->folder == NONE ? AT_FDCWD : (int)args[call->folder];
		read_link(pid, folder == AT_FDCWD ? "cwd" : "fd",
			  folder == AT_FDCWD ? NONE : folder, base);
	}
	if (snprintf(result, PATH_MAX, "%s%s%s", base, path[0] == '/' ? "" : "/", path) >= PATH_MAX)
		result[0] = '\0';
}

static const struct call *find_call(int number)
{
	for (size_t i = 0; i < LENGTH(calls); i++)
		if (calls[i].number == number)
			return &calls[i];
	return NULL;
}

static bool is_below(const char *path)
{
	size_t length = strlen(job.folder);

	return strncmp(path, job.folder, length) == 0 &&
	       (path[length] == '/' || path[length] == '\0');
}

/* ---- the strike */

static bool is_struck(const struct call *call)
{
	if (job.fail_at == 0 || job.count < job.fail_at)
		return false;
	if (!job.persistent)
		return job.count == job.fail_at;
	switch (job.error) {
	case ENOSPC:
	case EDQUOT:
		return call->kind != PLAIN;
	case EMFILE:
		return call->kind == OPENS;
	default:
		return true;
	}
}

static void note(const struct seccomp_notif *request, const struct call *call, const char *path)
{
	char text[PATH_MAX] = "";

	if (is(call->name, "write"))
		read_text((pid_t)request->pid, request->data.args[1], text);
	fprintf(job.output, "%s%c%s%c%.80s%c", call->name, 0, path, 0, text, 0);
}

/* 0, or the errno that the call gets; -1: it is the last one. */
static int judge(const struct seccomp_notif *request)
{
	const struct call *call = find_call(request->data.nr);
	char path[PATH_MAX];

	find_path(request, call, path);
	if (!is_below(path))
		return 0;
	job.count++;
	note(request, call, path);
	if (job.count == job.kill_at)
		return -1;
	return is_struck(call) ? job.error : 0;
}

static void answer(int notify, const struct seccomp_notif *request,
		   struct seccomp_notif_resp *response, int error)
{
	response->id = request->id;
	response->val = 0;
	response->error = -error;
	response->flags = error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	(void)seccomp_notify_respond(notify, response); /* it may be gone */
}

static void serve(int notify, pid_t child)
{
	struct seccomp_notif *request;
	struct seccomp_notif_resp *response;
	struct pollfd poll_fd = { .fd = notify, .events = POLLIN };

	if (seccomp_notify_alloc(&request, &response) < 0)
		die("memory");
	while (poll(&poll_fd, 1, -1) >= 0 && poll_fd.revents & POLLIN) {
		memset(request, 0, sizeof(*request));
		if (seccomp_notify_receive(notify, request) < 0)
			continue;
		int error = judge(request);
		if (error < 0)
			kill(child, SIGKILL);
		else
			answer(notify, request, response, error);
	}
	seccomp_notify_free(request, response);
}

static void usage(void)
{
	fputs("usage: strike [-k N | -e N -E ERRNO [-p]] [-o FILE] FOLDER CMD...\n", stderr);
	exit(125);
}

static char **options(int argc, char **argv)
{
	job.output = stderr;
	for (int c; (c = getopt(argc, argv, "+k:e:E:po:")) >= 0;) {
		switch (c) {
		case 'k':
			job.kill_at = atol(optarg);
			break;
		case 'e':
			job.fail_at = atol(optarg);
			break;
		case 'E':
			job.error = atoi(optarg);
			break;
		case 'p':
			job.persistent = true;
			break;
		case 'o':
			job.output = fopen(optarg, "we");
			break;
		default:
			usage();
		}
	}
	if (argc - optind < 2)
		usage();
	if (!job.output)
		die("-o");
	job.folder = argv[optind];
	return argv + optind + 1;
}

int main(int argc, char **argv)
{
	char **command = options(argc, argv);
	int sockets[2], status;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0 ||
	    unshare(CLONE_NEWPID) < 0)
		die("unshare");
	pid_t child = fork();
	if (child == 0)
		run(sockets[1], command);
	close(sockets[1]);
	int notify = receive_fd(sockets[0]);
	serve(notify, child);
	fclose(job.output);
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
