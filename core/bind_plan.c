/* SPDX-License-Identifier: MIT */
/* From the table that sys.proc.spawn is given (argument 1) to a plan. Arrays live in
 * userdata on the stack, strings in the table: nothing is to be freed, whatever
 * raises. */
#include "bind.h"
#include "guard.h"
#include "room.h"
#include "spawn.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int option_number(lua_State *L, const char *name, int fallback)
{
	lua_Integer n = fallback;

	if (lua_getfield(L, 1, name) != LUA_TNIL) {
		int is_integer;

		n = lua_tointegerx(L, -1, &is_integer);
		if (!is_integer || n < INT_MIN || n > INT_MAX)
			luaL_error(L, "'%s' is not an integer", name);
	}
	lua_pop(L, 1);
	return (int)n;
}

/* Users and groups go to 2^32 - 2. */
static unsigned option_id(lua_State *L, const char *name)
{
	int is_integer;

	lua_getfield(L, 1, name);
	lua_Integer n = lua_tointegerx(L, -1, &is_integer);
	if (!is_integer || n < 0 || n >= UINT_MAX)
		luaL_error(L, "'%s' is not an id", name);
	lua_pop(L, 1);
	return (unsigned)n;
}

static bool option_bool(lua_State *L, const char *name, bool fallback)
{
	bool value = fallback;

	if (lua_getfield(L, 1, name) != LUA_TNIL)
		value = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

static bool option_table(lua_State *L, const char *name)
{
	int type = lua_getfield(L, 1, name);

	if (type == LUA_TTABLE)
		return true;
	if (type != LUA_TNIL)
		luaL_error(L, "'%s' is not a table", name);
	lua_pop(L, 1);
	return false;
}

/* The string on top; it stays alive, since a table holds it. */
static const char *check_text(lua_State *L, const char *name)
{
	size_t length;

	if (lua_type(L, -1) != LUA_TSTRING)
		luaL_error(L, "'%s' is not a string", name);
	const char *text = lua_tolstring(L, -1, &length);
	if (strlen(text) != length)
		luaL_error(L, "'%s' contains a zero byte", name);
	return text;
}

static const char *option_text(lua_State *L, const char *name)
{
	const char *text = NULL;

	if (lua_getfield(L, 1, name) != LUA_TNIL)
		text = check_text(L, name);
	lua_pop(L, 1);
	return text;
}

/* An array for exec, NULL-terminated, in a userdata left on the stack; there is
 * room for `more` behind. */
static char **option_list(lua_State *L, const char *name, size_t more)
{
	if (!option_table(L, name))
		return NULL;
	lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
	size_t room = (size_t)count + more + 1;
	const char **list = lua_newuserdatauv(L, sizeof(*list) * room, 0);

	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(L, -2, i);
		if (lua_isinteger(L, -1)) { /* the text takes its place in the table */
			(void)lua_tostring(L, -1);
			lua_pushvalue(L, -1);
			lua_rawseti(L, -4, i);
		}
		list[i - 1] = check_text(L, name);
		lua_pop(L, 1);
	}
	list[count] = NULL;
	lua_remove(L, -2);
	return (char **)list;
}

static void fill_groups(lua_State *L, struct cred_plan *cred)
{
	if (!option_table(L, "groups"))
		return;
	size_t count = lua_rawlen(L, -1);
	if (count > CRED_MAX_GROUPS)
		luaL_error(L, "too many groups");
	gid_t *groups = lua_newuserdatauv(L, sizeof(*groups) * (count + 1), 0);

	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, -2, (lua_Integer)i + 1);
		groups[i] = (gid_t)luaL_checkinteger(L, -1);
		lua_pop(L, 1);
	}
	cred->groups = groups;
	cred->group_count = (int)count;
}

static void fill_caps(lua_State *L, struct cred_plan *cred)
{
	if (!option_table(L, "caps"))
		return;
	cred->limit_caps = true;
	for (size_t i = 1; i <= lua_rawlen(L, -1); i++) {
		lua_rawgeti(L, -1, (lua_Integer)i);
		int number = cred_capability_number(check_text(L, "caps"));
		if (number < 0) {
			luaL_error(L, "no capability '%s'", lua_tostring(L, -1));
			return;
		}
		cred->keep_caps |= UINT64_C(1) << number;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void fill_cred(lua_State *L, struct cred_plan *cred)
{
	cred->change_user = lua_getfield(L, 1, "uid") != LUA_TNIL;
	lua_pop(L, 1);
	if (cred->change_user) {
		cred->uid = option_id(L, "uid");
		cred->gid = option_id(L, "gid");
		fill_groups(L, cred);
	}
	fill_caps(L, cred);
	cred->no_new_privs = option_bool(L, "no_new_privs", false);
}

static rlim_t limit_value(lua_State *L, int place)
{
	lua_rawgeti(L, -1, place);
	rlim_t value = (rlim_t)luaL_checkinteger(L, -1); /* -1 is RLIM_INFINITY */
	lua_pop(L, 1);
	return value;
}

static void fill_limits(lua_State *L, struct spawn_plan *plan)
{
	if (!option_table(L, "limits"))
		return;
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		struct spawn_limit *limit = &plan->limits[plan->limit_count++];

		if (plan->limit_count > SPAWN_MAX_LIMITS || lua_type(L, -2) != LUA_TSTRING ||
		    !lua_istable(L, -1))
			luaL_error(L, "'limits' is not a table of name = {soft, hard}");
		limit->resource = spawn_limit_number(lua_tostring(L, -2));
		if (limit->resource < 0)
			luaL_error(L, "no limit '%s'", lua_tostring(L, -2));
		limit->value.rlim_cur = limit_value(L, 1);
		limit->value.rlim_max = limit_value(L, 2);
	}
	lua_pop(L, 1);
}

/* The room that we take for ourselves is not theirs. */
static void fill_own_limit(struct spawn_plan *plan)
{
	struct spawn_limit *last = &plan->limits[plan->limit_count];

	for (int i = 0; i < plan->limit_count; i++)
		if (plan->limits[i].resource == RLIMIT_NOFILE)
			return;
	if (plan->limit_count == SPAWN_MAX_LIMITS || !room_given(&last->value))
		return;
	last->resource = RLIMIT_NOFILE;
	plan->limit_count++;
}

static void fill_fds(lua_State *L, struct spawn_plan *plan)
{
	if (!option_table(L, "fds"))
		return;
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		struct bind_fd *fd = bind_test_fd(L, -1);
		lua_Integer to = lua_tointeger(L, -2);

		if (!fd || !lua_isinteger(L, -2) || to < 0 || to > 1023)
			luaL_error(L, "'fds' is not a table of number = open descriptor");
		if (plan->fd_count == SPAWN_MAX_FDS)
			luaL_error(L, "too many descriptors");
		plan->fds[plan->fd_count++] =
			(struct spawn_fd){ .from = fd->source.fd, .to = (int)to };
	}
	lua_pop(L, 1);
}

/* What whoever started us meant for us alone. */
const char *const bind_our_variables[] = {
	"NOTIFY_SOCKET", "LISTEN_FDS",   "LISTEN_PID", "LISTEN_FDNAMES",
	"WATCHDOG_USEC", "WATCHDOG_PID", NULL,
};

static bool is_ours(const char *entry)
{
	size_t length = strcspn(entry, "=");

	for (int i = 0; bind_our_variables[i]; i++)
		if (strlen(bind_our_variables[i]) == length &&
		    memcmp(bind_our_variables[i], entry, length) == 0)
			return true;
	return false;
}

/* Our own without those; it never changes. NULL: no memory. */
static char **usual_environment(void)
{
	static char **usual;
	size_t count = 0;

	while (environ[count])
		count++;
	if (!usual && (usual = calloc(count + 1, sizeof(*usual))))
		for (size_t from = 0, to = 0; from < count; from++)
			if (!is_ours(environ[from]))
				usual[to++] = environ[from];
	return usual;
}

/* "NAME=" with room behind it for the child to write to, at the end of the
 * environment; the table keeps it. */
static void fill_own_pids(lua_State *L, struct spawn_plan *plan)
{
	size_t end = 0;

	if (!option_table(L, "own_pid"))
		return;
	while (plan->envp[end])
		end++;
	for (int i = 0; i < (int)lua_rawlen(L, -1) && i < SPAWN_MAX_OWN_PIDS; i++) {
		lua_rawgeti(L, -1, i + 1);
		const char *name = check_text(L, "own_pid");
		size_t length = strlen(name) + 1;
		char *entry = lua_newuserdatauv(L, length + SPAWN_PID_SIZE, 0);

		(void)snprintf(entry, length + SPAWN_PID_SIZE, "%s=", name);
		plan->own_pids[i] = entry + length;
		((char **)plan->envp)[end++] = entry;
		((char **)plan->envp)[end] = NULL;
		lua_rawseti(L, -3, i + 1);
		lua_pop(L, 1);
	}
}

void bind_fill_plan(lua_State *L, struct spawn_plan *plan)
{
	spawn_plan_init(plan);
	plan->path = option_text(L, "path");
	plan->argv = option_list(L, "argv", 0);
	plan->envp = option_list(L, "env", SPAWN_MAX_OWN_PIDS);
	if (!plan->path || !plan->argv || !plan->argv[0])
		luaL_error(L, "'path' and 'argv' are needed");
	if (plan->envp)
		fill_own_pids(L, plan);
	else
		plan->envp = usual_environment();
	if (!plan->envp)
		luaL_error(L, "not enough memory");
	plan->cwd = option_text(L, "cwd");
	plan->new_session = option_bool(L, "session", true);
	plan->foreground = option_bool(L, "tty", false);
	plan->reset = guard_signals(); /* of the others host.c has done it */
	plan->ignore_pipe = true;      /* as systemd does: apachectl dies of it otherwise */
	plan->umask = option_number(L, "umask", SPAWN_UNSET);
	plan->nice = option_number(L, "nice", SPAWN_UNSET);
	plan->oom_score = option_number(L, "oom_score", SPAWN_UNSET);
	fill_limits(L, plan);
	fill_own_limit(plan);
	fill_fds(L, plan);
	fill_cred(L, &plan->cred);
}
