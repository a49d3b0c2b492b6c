/* SPDX-License-Identifier: MIT */
/* Look-ups read the two files line by line, as they are at that moment: a boot
 * script may just have added the user. cred_apply is system calls only: libcap
 * allocates in some functions, and the libcs change ids in every thread. */
#include "cred.h"

#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

const char *cred_passwd_path = "/etc/passwd";
const char *cred_group_path = "/etc/group";

/* ---- users and groups */

static int parse_id(const char *text, id_t *ret_id)
{
	unsigned long long n;
	char *end;

	if (!text || !isdigit((unsigned char)*text))
		return -EINVAL;
	n = strtoull(text, &end, 10);
	if (*end || n >= UINT_MAX) /* UINT_MAX itself is -1: "no change" */
		return -EINVAL;
	*ret_id = (id_t)n;
	return 0;
}

/* A field too long to be kept would be another name: the line is not taken. */
static int copy_field(char *to, size_t size, const char *field)
{
	size_t length = field ? strlen(field) : size;

	if (length >= size)
		return -EINVAL;
	memcpy(to, field, length + 1);
	return 0;
}

/* name:password:uid:gid:comment:home:shell */
static int parse_user(char *line, struct cred_user *ret_user)
{
	char *field[7] = { NULL };

	for (size_t i = 0; i < ARRAY_SIZE(field); i++)
		field[i] = strsep(&line, ":");
	if (parse_id(field[2], &ret_user->uid) < 0 || parse_id(field[3], &ret_user->gid) < 0 ||
	    copy_field(ret_user->name, sizeof(ret_user->name), field[0]) < 0 ||
	    copy_field(ret_user->home, sizeof(ret_user->home), field[5]) < 0 ||
	    copy_field(ret_user->shell, sizeof(ret_user->shell), field[6]) < 0)
		return -EINVAL;
	return 0;
}

/* name:password:gid:members */
static int parse_group(char *line, struct cred_group *ret_group, char **ret_members)
{
	char *name = strsep(&line, ":");
	char *gid;

	(void)strsep(&line, ":");
	gid = strsep(&line, ":");
	if (parse_id(gid, &ret_group->gid) < 0 ||
	    copy_field(ret_group->name, sizeof(ret_group->name), name) < 0)
		return -EINVAL;
	*ret_members = line;
	return 0;
}

/* Calls `take` for each line until it returns something else than 0, and returns
 * that; 0 after the last line; a file that is not there has no lines. */
static int each_line(const char *path, int (*take)(char *line, void *data), void *data)
{
	auto_fclose FILE *file = fopen(path, "re");
	auto_free char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		r = take(line, data);
	}
	return ferror(file) ? -EIO : r;
}

/* What is looked for: a name, or else the number that it stands for. */
struct search {
	const char *name;
	bool by_number;
	id_t number;
	void *found;
};

static bool matches(const struct search *search, const char *name, id_t number)
{
	return search->by_number ? number == search->number : strcmp(name, search->name) == 0;
}

static int take_user(char *line, void *data)
{
	struct search *search = data;
	struct cred_user *user = search->found;

	return parse_user(line, user) == 0 && matches(search, user->name, user->uid);
}

static int take_group(char *line, void *data)
{
	struct search *search = data;
	struct cred_group *group = search->found;
	char *members;

	return parse_group(line, group, &members) == 0 && matches(search, group->name, group->gid);
}

/* A name that consists of digits is a name first, as in chown(1). */
static int find(const char *path, int (*take)(char *line, void *data), struct search *search)
{
	int r = each_line(path, take, search);

	if (r == 0 && parse_id(search->name, &search->number) == 0) {
		search->by_number = true;
		r = each_line(path, take, search);
	}
	if (r == 0)
		return -ENOENT;
	return r < 0 ? r : 0;
}

int cred_find_group(const char *name, struct cred_group *ret_group)
{
	struct cred_group group = { 0 };
	struct search search = { .name = name, .found = &group };
	int r = find(cred_group_path, take_group, &search);

	if (r == 0)
		*ret_group = group;
	return r;
}

static int add_group(struct cred_user *user, gid_t gid)
{
	for (int i = 0; i < user->group_count; i++)
		if (user->groups[i] == gid)
			return 0;
	if (user->group_count == CRED_MAX_GROUPS)
		return -E2BIG;
	user->groups[user->group_count++] = gid;
	return 0;
}

static int take_membership(char *line, void *data)
{
	struct cred_user *user = data;
	struct cred_group group;
	char *members;
	char *member;

	if (parse_group(line, &group, &members) < 0)
		return 0;
	while ((member = strsep(&members, ",")))
		if (strcmp(member, user->name) == 0)
			return add_group(user, group.gid);
	return 0;
}

int cred_find_user(const char *name, struct cred_user *ret_user)
{
	struct cred_user user = { .group_count = 0 };
	struct search search = { .name = name, .found = &user };
	int r = find(cred_passwd_path, take_user, &search);

	if (r < 0)
		return r;
	(void)add_group(&user, user.gid);
	r = each_line(cred_group_path, take_membership, &user);
	if (r < 0)
		return r;
	*ret_user = user;
	return 0;
}

/* ---- capabilities */

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

/* What libcap has as a constructor; the Makefile makes it an ordinary function, so
 * that only those pay for it who ask for capabilities. It does its work once. */
void _libcap_initialize(void);

int cred_capability_number(const char *name)
{
	char full[64];
	cap_value_t cap;

	_libcap_initialize();
	/* libcap also takes numbers and, in prefixed names, any case. */
	if (isdigit((unsigned char)*name))
		return -EINVAL;
	(void)snprintf(full, sizeof(full), "%s%s", strncasecmp(name, "cap_", 4) ? "cap_" : "",
		       name);
	return cap_from_name(full, &cap) < 0 ? -EINVAL : cap;
}

static uint64_t get_set(cap_flag_t flag)
{
	cap_t caps;
	uint64_t set = 0;

	_libcap_initialize();
	caps = cap_get_proc();
	for (cap_value_t cap = 0; caps && cap < cap_max_bits(); cap++) {
		cap_flag_value_t value = CAP_CLEAR;

		if (cap_get_flag(caps, cap, flag, &value) == 0 && value == CAP_SET)
			set |= CAP_BIT(cap);
	}
	(void)cap_free(caps);
	return set;
}

uint64_t cred_effective(void)
{
	return get_set(CAP_EFFECTIVE);
}

uint64_t cred_bounding(void)
{
	uint64_t set = 0;

	_libcap_initialize();
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
		if (cap_get_bound(cap) > 0)
			set |= CAP_BIT(cap);
	return set;
}

/* ---- prepare */

static bool has_group(const gid_t *groups, int count, gid_t gid)
{
	for (int i = 0; i < count; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static bool groups_are_set(const struct cred_plan *plan)
{
	gid_t groups[CRED_MAX_GROUPS];
	int count = getgroups(CRED_MAX_GROUPS, groups);

	if (count != plan->group_count)
		return false;
	for (int i = 0; i < count; i++)
		if (!has_group(plan->groups, plan->group_count, groups[i]))
			return false;
	return true;
}

/* setgroups(2) is refused without privilege and in some user namespaces even
 * with it: it is not called where it would change nothing, or where we are the
 * user already and have to take the groups that the container was given. */
static bool may_keep_groups(const struct cred_plan *plan, uint64_t effective)
{
	if (groups_are_set(plan))
		return true;
	return plan->uid == geteuid() && !(effective & CAP_BIT(CAP_SETGID));
}

static int fill_caps(cap_t caps, uint64_t keep)
{
	static const cap_flag_t flags[] = { CAP_PERMITTED, CAP_EFFECTIVE, CAP_INHERITABLE };

	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++) {
		if (!(keep & CAP_BIT(cap)))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			if (cap_set_flag(caps, flags[i], 1, &cap, CAP_SET) < 0)
				return -errno;
	}
	return 0;
}

int cred_prepare(struct cred_plan *plan)
{
	uint64_t effective;

	if (!plan->change_user && !plan->limit_caps)
		return 0;
	effective = cred_effective();
	if (plan->change_user)
		plan->keep_groups = may_keep_groups(plan, effective);
	if (!plan->limit_caps)
		return 0;
	if (plan->keep_caps & ~get_set(CAP_PERMITTED))
		return -EPERM;
	/* Without CAP_SETPCAP nothing leaves the bounding set; no_new_privs then
	 * sees to it that nothing comes back through it by an exec. */
	if (!(effective & CAP_BIT(CAP_SETPCAP)) && (cred_bounding() & ~plan->keep_caps))
		plan->no_new_privs = true;
	plan->prepared = cap_init();
	if (!plan->prepared)
		return -ENOMEM;
	return fill_caps(plan->prepared, plan->keep_caps);
}

void cred_plan_done(struct cred_plan *plan)
{
	if (plan->prepared) /* most have none: libcap stays out of memory */
		(void)cap_free(plan->prepared);
	plan->prepared = NULL;
}

/* ---- apply, in the child */

static int set_groups(const struct cred_plan *plan)
{
	if (!plan->change_user || plan->keep_groups)
		return 0;
	return (int)syscall(SYS_setgroups, plan->group_count, plan->groups);
}

static int set_gid(const struct cred_plan *plan)
{
	if (!plan->change_user)
		return 0;
	return (int)syscall(SYS_setresgid, plan->gid, plan->gid, plan->gid);
}

static int drop_bounding(const struct cred_plan *plan)
{
	if (!plan->limit_caps)
		return 0;
	for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++) {
		if (plan->keep_caps & CAP_BIT(cap) || cap_get_bound(cap) == 0)
			continue;
		if (cap_drop_bound(cap) < 0 && !(errno == EPERM && plan->no_new_privs))
			return -1;
	}
	return 0;
}

/* The permitted set outlives the change of user; the exec clears this again. */
static int keep_caps(const struct cred_plan *plan)
{
	return plan->limit_caps ? prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) : 0;
}

static int set_uid(const struct cred_plan *plan)
{
	if (!plan->change_user)
		return 0;
	return (int)syscall(SYS_setresuid, plan->uid, plan->uid, plan->uid);
}

static int set_caps(const struct cred_plan *plan)
{
	return plan->limit_caps ? cap_set_proc(plan->prepared) : 0;
}

/* Root gets them by the exec itself, as far as the bounding set goes. */
static int set_ambient(const struct cred_plan *plan)
{
	if (!plan->limit_caps)
		return 0;
	if (cap_reset_ambient() < 0)
		return -1;
	if (geteuid() == 0)
		return 0;
	for (cap_value_t cap = 0; cap < 64; cap++)
		if (plan->keep_caps & CAP_BIT(cap) && cap_set_ambient(cap, CAP_SET) < 0)
			return -1;
	return 0;
}

static int set_no_new_privs(const struct cred_plan *plan)
{
	return plan->no_new_privs ? prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) : 0;
}

/* The order matters: groups and the bounding set need the privileges that the
 * change of user takes away, ambient ones need the sets that come before. */
static const struct {
	const char *stage;
	int (*run)(const struct cred_plan *plan);
} steps[] = {
	{ "setgroups", set_groups },
	{ "setgid", set_gid },
	{ "bounding set", drop_bounding },
	{ "keep capabilities", keep_caps },
	{ "setuid", set_uid },
	{ "capabilities", set_caps },
	{ "ambient capabilities", set_ambient },
	{ "no_new_privs", set_no_new_privs },
};

int cred_apply(const struct cred_plan *plan, const char **ret_stage)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		*ret_stage = steps[i].stage;
		if (steps[i].run(plan) < 0)
			return -errno;
	}
	return 0;
}
