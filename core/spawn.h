/* SPDX-License-Identifier: MIT */
/* The one fork: a plan prepared by the parent, carried out by a vfork-style
 * child (CLONE_VM | CLONE_VFORK on its own stack) that allocates nothing, and
 * an error that says at which stage and why. */
#ifndef MOONRISE_SPAWN_H
#define MOONRISE_SPAWN_H

#include "cred.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#define SPAWN_MAX_FDS 256
#define SPAWN_MAX_LIMITS 16
#define SPAWN_UNSET INT32_MIN

struct spawn_fd {
	int from; /* ours */
	int to;   /* the child's */
};

#define SPAWN_PID_SIZE 12 /* of each own_pid */
#define SPAWN_MAX_OWN_PIDS 2

struct spawn_limit {
	int resource; /* RLIMIT_... */
	struct rlimit value;
};

struct spawn_plan {
	const char *path; /* what is executed, as it is; see spawn_find */
	char *const *argv;
	char *const *envp;
	const char *cwd;                    /* NULL: stay */
	int cwd_fd;                         /* the same, by descriptor; -1: stay */
	char *own_pids[SPAWN_MAX_OWN_PIDS]; /* the child writes its pid here: $LISTEN_PID */
	uint64_t mask;                      /* blocked signals */
	bool new_session;                   /* setsid */
	bool new_group;                     /* setpgid(0, 0); for those that keep the session */
	int cgroup_fd;                      /* born in this cgroup, if that can be; -1: in ours */
	bool foreground;                    /* take the terminal on fd 0, if there is one */
	uint64_t reset;                     /* signals that are not ignored, nor caught, any more */
	bool ignore_pipe;                   /* SIGPIPE ignored, as systemd's IgnoreSIGPIPE=yes */
	int umask, nice, oom_score;         /* SPAWN_UNSET: leave */
	bool keep_fds;                      /* inherited descriptors from 3 on stay open */
	struct spawn_fd fds[SPAWN_MAX_FDS];
	int fd_count; /* 0-2 not named: inherited */
	struct spawn_limit limits[SPAWN_MAX_LIMITS];
	int limit_count;
	struct cred_plan cred;
};

/* Why there is no child: "chdir" "/srv" ENOENT. Subject may be "". */
struct spawn_error {
	const char *stage;
	char subject[256];
	int error; /* errno */
};

/* A plan that changes nothing: SPAWN_UNSET where 0 has a meaning. The caller then
 * fills it in, and calls cred_prepare on `cred`. */
void spawn_plan_init(struct spawn_plan *plan);

/* pid or -errno; then *ret_error is filled in. Blocks until the exec. ENOEXEC is
 * left to the caller, who may know a shell to try, as execvp(3) does. */
pid_t spawn_start(const struct spawn_plan *plan, struct spawn_error *ret_error);

/* No fork: this process itself becomes it. Returns only when it can't: -errno. */
int spawn_become(const struct spawn_plan *plan, struct spawn_error *ret_error);

/* "stage subject: reason" into buf; returns buf. */
const char *spawn_error_text(const struct spawn_error *error, char *buf, size_t size);

/* RLIMIT_... of "nofile", "core" ...; -EINVAL. */
int spawn_limit_number(const char *name);

/* What execvp(3) would run, as an absolute or relative path that can be
 * executed: 0, -ENOENT (not found), -EACCES (found, but not executable),
 * -EISDIR. A name with a slash is checked as it is; no search path (NULL): the
 * usual folders. */
int spawn_find(const char *name, const char *search_path, char *ret_path, size_t size);

#endif
