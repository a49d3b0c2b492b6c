/* SPDX-License-Identifier: MIT */
/* Users, groups, capabilities. /etc/passwd and /etc/group are read directly:
 * name services may block, and a static binary has none. Capabilities through
 * libcap. */
#ifndef MOONRISE_CRED_H
#define MOONRISE_CRED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/capability.h>
#include <sys/types.h>

#define CRED_MAX_GROUPS 256

struct cred_user {
	char name[256];
	uid_t uid;
	gid_t gid;
	char home[1024];
	char shell[256];
	gid_t groups[CRED_MAX_GROUPS]; /* as initgroups(3), the primary one first */
	int group_count;
};

struct cred_group {
	char name[256];
	gid_t gid;
};

/* 0; -ENOENT: not there. By name, or by number ("1000"). */
int cred_find_user(const char *name, struct cred_user *ret_user);
int cred_find_group(const char *name, struct cred_group *ret_group);

/* Where they are looked up; tests bring their own. */
extern const char *cred_passwd_path;
extern const char *cred_group_path;

/* What a process is to become; prepared in the parent, applied in the child
 * without allocation. */
struct cred_plan {
	bool change_user;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	int group_count;
	bool limit_caps;    /* keep `keep` only, in every set, the bounding set included */
	uint64_t keep_caps; /* bit per capability number; ambient when uid is not 0 */
	bool no_new_privs;
	bool keep_groups; /* by cred_prepare: they need no change, or can't be changed */
	cap_t prepared;   /* by cred_prepare */
};

/* Number of "net_bind_service" / "CAP_NET_BIND_SERVICE"; -EINVAL. */
int cred_capability_number(const char *name);

/* 0 or -errno; -EPERM: `keep_caps` has what this process itself has not. */
int cred_prepare(struct cred_plan *plan);
void cred_plan_done(struct cred_plan *plan);

/* In the child. 0 or -errno, *ret_stage says where ("setgroups", "setuid",
 * "capabilities", ...). */
int cred_apply(const struct cred_plan *plan, const char **ret_stage);

/* Bit per capability in the effective and the bounding set of this process. */
uint64_t cred_effective(void);
uint64_t cred_bounding(void);

#endif
