/* SPDX-License-Identifier: MIT */
#include "enter.h"

#include "client.h"
#include "spawn.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sysexits.h>

static gid_t groups[CRED_MAX_GROUPS];

/* ---- the plan: "KEY=VALUE", with NUL behind each, from lua/moonrise/enter.lua */

static void take_uid(struct spawn_plan *plan, const char *value)
{
	plan->cred.uid = (uid_t)strtoul(value, NULL, 10);
}

static void take_gid(struct spawn_plan *plan, const char *value)
{
	plan->cred.gid = (gid_t)strtoul(value, NULL, 10);
}

static void take_group(struct spawn_plan *plan, const char *value)
{
	if (plan->cred.group_count < CRED_MAX_GROUPS)
		groups[plan->cred.group_count++] = (gid_t)strtoul(value, NULL, 10);
}

static void take_cwd(struct spawn_plan *plan, const char *value)
{
	plan->cwd = value;
}

static void take_umask(struct spawn_plan *plan, const char *value)
{
	plan->umask = (int)strtol(value, NULL, 10);
}

static void take_nice(struct spawn_plan *plan, const char *value)
{
	plan->nice = (int)strtol(value, NULL, 10);
}

static void take_oom_score(struct spawn_plan *plan, const char *value)
{
	plan->oom_score = (int)strtol(value, NULL, 10);
}

/* "nofile 1024 -1" */
static void take_limit(struct spawn_plan *plan, const char *value)
{
	struct spawn_limit *limit = &plan->limits[plan->limit_count];
	long long soft, hard;
	char name[16];

	if (plan->limit_count == SPAWN_MAX_LIMITS ||
	    sscanf(value, "%15s %lld %lld", name, &soft, &hard) != 3)
		return;
	limit->resource = spawn_limit_number(name);
	limit->value = (struct rlimit){ (rlim_t)soft, (rlim_t)hard };
	plan->limit_count++;
}

static void take_caps(struct spawn_plan *plan, const char *value)
{
	(void)value;
	plan->cred.limit_caps = true;
}

static void take_cap(struct spawn_plan *plan, const char *value)
{
	int number = cred_capability_number(value);

	if (number >= 0)
		plan->cred.keep_caps |= UINT64_C(1) << number;
}

static void take_no_new_privs(struct spawn_plan *plan, const char *value)
{
	(void)value;
	plan->cred.no_new_privs = true;
}

/* There is room: one place for each line of the plan. */
static void take_env(struct spawn_plan *plan, const char *value)
{
	char **envp = (char **)plan->envp;

	while (*envp)
		envp++;
	*envp = (char *)value;
}

static const struct {
	const char *key;
	void (*take)(struct spawn_plan *plan, const char *value);
} keys[] = {
	{ "uid", take_uid },
	{ "gid", take_gid },
	{ "group", take_group },
	{ "cwd", take_cwd },
	{ "umask", take_umask },
	{ "nice", take_nice },
	{ "oom_score", take_oom_score },
	{ "limit", take_limit },
	{ "caps", take_caps },
	{ "cap", take_cap },
	{ "no_new_privs", take_no_new_privs },
	{ "env", take_env },
};

static void take_line(struct spawn_plan *plan, char *line)
{
	char *value = strchr(line, '=');

	if (!value)
		return;
	*value++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(line, keys[i].key) == 0)
			keys[i].take(plan, value);
}

/* `text` stays where it is: the plan points into it. 0 or -ENOMEM. */
static int read_plan(struct client_text *text, struct spawn_plan *plan)
{
	size_t lines = 2; /* $TERM, and the end */

	spawn_plan_init(plan);
	for (size_t i = 0; i < text->size; i++)
		lines += text->data[i] == '\0';
	plan->envp = calloc(lines, sizeof(*plan->envp));
	if (!plan->envp)
		return -ENOMEM;
	plan->cred.change_user = true;
	plan->cred.groups = groups;
	for (char *line = text->data; line < text->data + text->size;) {
		char *next = line + strlen(line) + 1;

		take_line(plan, line);
		line = next;
	}
	return 0;
}

/* ---- carrying it out */

static const char *variable(const struct spawn_plan *plan, const char *name)
{
	size_t length = strlen(name);

	for (char *const *entry = plan->envp; *entry; entry++)
		if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
			return *entry + length + 1;
	return NULL;
}

/* The terminal is the caller's, and so is its kind. */
static void add_terminal(struct spawn_plan *plan)
{
	static char term[256];

	if (!getenv("TERM") || variable(plan, "TERM"))
		return;
	(void)snprintf(term, sizeof(term), "TERM=%s", getenv("TERM"));
	take_env(plan, term);
}

static int refuse(const char *name, const char *command, int error)
{
	client_complain("cannot enter %s: %s: %s", name, command, strerror(error));
	return error == ENOENT ? 127 : 126;
}

static int become(const char *name, struct spawn_plan *plan)
{
	static char path[PATH_MAX]; /* the plan keeps it */
	const char *command = plan->argv[0];
	char text[512];
	struct spawn_error error;

	if (geteuid() != 0 && geteuid() != plan->cred.uid) {
		client_complain("cannot enter %s: that takes root, or its own user (%u)", name,
				plan->cred.uid);
		return EX_NOPERM;
	}
	if (!plan->cwd) /* the service has that of the init */
		(void)!chdir("/proc/1/cwd");
	int r = spawn_find(command, variable(plan, "PATH"), path, sizeof(path));
	if (r < 0)
		return refuse(name, command, -r);
	plan->path = path;
	r = cred_prepare(&plan->cred);
	if (r < 0)
		return refuse(name, "capabilities", -r);
	(void)spawn_become(plan, &error);
	client_complain("cannot enter %s: %s", name, spawn_error_text(&error, text, sizeof(text)));
	return 126;
}

/* NAME [-- CMD [ARG...]]: where CMD begins; 0: there is none; -1: that is not how. */
static int find_command(int argc, char **argv)
{
	if (argc < 2 || argv[1][0] == '-')
		return -1;
	if (argc == 2)
		return 0;
	return strcmp(argv[2], "--") == 0 && argc > 3 ? 3 : -1;
}

int enter_run(int argc, char **argv)
{
	static char *shell[] = { "sh", NULL };
	struct client_text text = { 0 };
	struct spawn_plan plan;
	int command = find_command(argc, argv);

	if (command < 0) {
		client_complain("enter: usage: moonrise enter NAME [-- CMD [ARG...]]");
		return EX_USAGE;
	}
	if (client_connect() < 0)
		return EX_UNAVAILABLE;
	client_send(argv, 2);
	int status = client_keep(&text);
	if (status == 0 && read_plan(&text, &plan) == 0) {
		plan.argv = command ? argv + command : shell;
		add_terminal(&plan);
		status = become(argv[1], &plan);
		free((void *)plan.envp);
	}
	free(text.data);
	return status;
}
