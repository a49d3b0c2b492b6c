/* SPDX-License-Identifier: MIT */
/* sys.proc: start processes, send them signals, know what comes of them.
 *
 *     spawn{ path=, argv={}, env={"K=V"}|nil, cwd=, umask=, nice=, oom_score=,
 *            limits={ nofile={soft,hard} }, uid=, gid=, groups={}, caps={names}|nil,
 *            no_new_privs=, session=true, tty=, sweep=, fds={ [0]=fd, ... },
 *            own_pid={"LISTEN_PID"}: more variables, with the child's pid
 *            log=, tail=, output=: as of a relay, for what it says to syslog or the journal }
 *         -> child | nil, "stage subject: reason", errno, stage
 *     exec{ path=, argv={}, env={}, fds={}, own_pid={} }    in place of the init
 *         -> nil, reason, errno
 *     child:id() child:pid() child:kill(signal)
 *     child:kill_all(signal) -> true | nil, reason, errno: to all that came of it; KILL
 *         also gets those that turn up later
 *     child:follow(pid) -> true, ended | nil, reason, errno: another of its processes is
 *         the main one from now on; the last one had ended already, as an event says
 *     child:heir() -> pid | nil: who could be that, when the first one has ended
 *     child:members() -> { pids }      child:usage() -> bytes, seconds of CPU, how many
 *     owner(pid) -> id of the child that it comes from | nil
 *     find(name, search_path) -> path | nil, reason, errno
 *     signal(name|number) -> number, name | nil      pid()
 *     environ() -> { K = "V" }
 *
 * A child's end arrives as the event "child" with its id, how, number, left; also when
 * the userdata is gone by then. With `sweep`, `left` says that it has left processes
 * behind; when the last of them has ended, there is one more event: "gone". */
#include "bind.h"
#include "cgroup.h"
#include "child.h"
#include "descend.h"
#include "family.h"
#include "host.h"
#include "origin.h"
#include "signal.h"
#include "spawn.h"
#include "tty.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define CHILD_TYPE "sys.proc.child"

extern char **environ;

/* ---- children */

/* Belongs to C, so that a child is known to its end whatever becomes of Lua. */
struct process {
	struct family family;
	struct origin *origin;
	struct handle *handle; /* NULL: Lua has let go of it */
};

struct handle {
	struct process *process; /* NULL: it has ended */
	unsigned id;
	pid_t pid;
};

static void push_end(const struct process *process, int how, int number, bool left)
{
	(void)bind_push_event(&(struct bind_event){
		.kind = EVENT_CHILD, .id = process->family.id, .a = how, .b = number, .c = left });
}

static void free_process(struct process *process)
{
	if (process->handle)
		process->handle->process = NULL;
	origin_end(process->origin);
	free(process);
}

static void process_ended(struct family *family, const struct child_end *end, bool left)
{
	struct process *process = container_of(family, struct process, family);

	push_end(process, (int)end->how, end->number, left);
	if (!left)
		free_process(process);
}

static void process_gone(struct family *family)
{
	struct process *process = container_of(family, struct process, family);

	push_end(process, BIND_CHILD_GONE, 0, false);
	free_process(process);
}

static struct handle *new_handle(lua_State *L)
{
	struct handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);

	memset(handle, 0, sizeof(*handle));
	luaL_setmetatable(L, CHILD_TYPE);
	return handle;
}

static int l_gc(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, CHILD_TYPE);

	if (handle->process)
		handle->process->handle = NULL;
	handle->process = NULL;
	return 0;
}

static int l_id(lua_State *L)
{
	lua_pushinteger(L, ((struct handle *)luaL_checkudata(L, 1, CHILD_TYPE))->id);
	return 1;
}

static int l_pid(lua_State *L)
{
	lua_pushinteger(L, ((struct handle *)luaL_checkudata(L, 1, CHILD_TYPE))->pid);
	return 1;
}

/* A number, or -EINVAL. */
static int to_signal(lua_State *L, int index)
{
	if (lua_type(L, index) == LUA_TNUMBER) {
		lua_Integer number = luaL_checkinteger(L, index);

		return number > 0 && number <= SIGNAL_MAX ? (int)number : -EINVAL;
	}
	return signal_number(luaL_checkstring(L, index));
}

static int check_signal(lua_State *L, int index)
{
	int number = to_signal(L, index);

	luaL_argcheck(L, number > 0, index, "no signal");
	return number;
}

static int kill_result(lua_State *L, int r)
{
	if (r < 0)
		return bind_fail(L, r, "kill");
	lua_pushboolean(L, 1);
	return 1;
}

static int l_kill(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, CHILD_TYPE);
	int number = check_signal(L, 2);

	return kill_result(L, handle->process ? child_kill(&handle->process->family.main, number)
					      : -ESRCH);
}

static int l_kill_all(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, CHILD_TYPE);
	int number = check_signal(L, 2);

	if (handle->process)
		family_kill(&handle->process->family, number);
	return kill_result(L, handle->process ? 0 : -ESRCH);
}

static int l_follow(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, CHILD_TYPE);
	lua_Integer pid = luaL_checkinteger(L, 2);
	char text[32];

	int r = handle->process && pid > 0 && pid <= INT_MAX
			? family_follow(&handle->process->family, (pid_t)pid)
			: -ESRCH;
	if (r < 0) {
		(void)snprintf(text, sizeof(text), "pid %lld", (long long)pid);
		return bind_fail(L, r, text);
	}
	handle->pid = (pid_t)pid;
	lua_pushboolean(L, 1);
	lua_pushboolean(L, r);
	return 2;
}

static int l_heir(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, CHILD_TYPE);
	pid_t pid = handle->process ? family_heir(&handle->process->family) : 0;

	if (pid <= 0)
		return 0;
	lua_pushinteger(L, pid);
	return 1;
}

/* In a userdata left on the stack; how many there are. */
static int list_members(lua_State *L, pid_t **ret_pids)
{
	struct handle *handle = luaL_checkudata(L, 1, CHILD_TYPE);
	int size = 32, count = 0;

	do {
		size = count > size ? 2 * count : size;
		*ret_pids = lua_newuserdatauv(L, (size_t)size * sizeof(pid_t), 0);
		count = handle->process ? family_members(&handle->process->family, *ret_pids, size)
					: 0;
	} while (count > size);
	return count;
}

static int l_members(lua_State *L)
{
	pid_t *pids;
	int count = list_members(L, &pids);

	lua_createtable(L, count, 0);
	for (int i = 0; i < count; i++) {
		lua_pushinteger(L, pids[i]);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

static int l_usage(lua_State *L)
{
	struct descend_usage usage = { 0 };
	pid_t *pids;
	int count = list_members(L, &pids);

	for (int i = 0; i < count; i++)
		descend_add_usage(pids[i], &usage);
	lua_pushinteger(L, (lua_Integer)usage.bytes);
	lua_pushnumber(L, (lua_Number)usage.ticks / (lua_Number)sysconf(_SC_CLK_TCK));
	lua_pushinteger(L, usage.count);
	return 3;
}

static const luaL_Reg child_methods[] = {
	{ "id", l_id },           { "pid", l_pid },
	{ "kill", l_kill },       { "kill_all", l_kill_all },
	{ "follow", l_follow },   { "heir", l_heir },
	{ "members", l_members }, { "usage", l_usage },
	{ "__gc", l_gc },         { NULL, NULL },
};

/* ---- the functions */

static int fail_spawn(lua_State *L, const struct spawn_error *error)
{
	char text[512];

	lua_pushnil(L);
	lua_pushstring(L, spawn_error_text(error, text, sizeof(text)));
	lua_pushinteger(L, error->error);
	lua_pushstring(L, error->stage);
	return 4;
}

static const struct family_owner owner = { process_ended, process_gone };

/* Nothing raises between the fork and the adoption. */
static pid_t start(struct spawn_plan *plan, bool sweep, struct handle *handle,
		   struct spawn_error *error)
{
	static unsigned counter;
	auto_free struct process *process = calloc(1, sizeof(*process));

	if (!process) {
		*error = (struct spawn_error){ .stage = "memory", .error = ENOMEM };
		return -ENOMEM;
	}
	handle->id = ++counter;
	descend_mark(plan, handle->id);
	auto_close int cgroup = sweep ? cgroup_make(handle->id) : -1;
	plan->cgroup_fd = cgroup;
	handle->pid = spawn_start(plan, error);
	if (handle->pid < 0) {
		cgroup_remove(handle->id);
		return handle->pid;
	}
	family_adopt(&process->family, handle->id, handle->pid, !sweep, &owner);
	process->handle = handle;
	handle->process = process;
	process = NULL;
	return handle->pid;
}

/* Of the options on the stack. */
static void name_origin(lua_State *L, struct handle *handle, const char *path)
{
	lua_getfield(L, 1, "log");
	lua_getfield(L, 1, "tail");
	lua_getfield(L, 1, "output");
	if (lua_isstring(L, -3))
		handle->process->origin =
			origin_new(handle->id, lua_tostring(L, -3), path, bind_test_tail(L, -2),
				   bind_test_output(L, -1));
	lua_pop(L, 3);
}

static int l_spawn(lua_State *L)
{
	struct spawn_plan plan;
	struct spawn_error error;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	bind_fill_plan(L, &plan);
	if (plan.foreground)
		(void)tty_release(); /* of two sessions one can have it */
	lua_getfield(L, 1, "sweep");
	bool sweep = lua_toboolean(L, -1) && plan.new_session;
	struct handle *handle = new_handle(L);
	int r = cred_prepare(&plan.cred);
	if (r < 0)
		error = (struct spawn_error){ .stage = "capabilities", .error = -r };
	else
		r = start(&plan, sweep, handle, &error);
	if (r >= 0)
		name_origin(L, handle, plan.path);
	cred_plan_done(&plan.cred);
	bind_start_collector(L);
	return r < 0 ? fail_spawn(L, &error) : 1;
}

static int l_exec(lua_State *L)
{
	struct spawn_plan plan;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	bind_fill_plan(L, &plan);
	return bind_fail(L, host_hand_over(&plan), plan.path);
}

/* ---- what comes of them */

static int l_owner(lua_State *L)
{
	lua_Integer pid = luaL_checkinteger(L, 1);
	unsigned id = pid > 0 && pid <= INT_MAX ? descend_owner((pid_t)pid) : 0;

	if (id == 0)
		return 0;
	lua_pushinteger(L, id);
	return 1;
}

/* ---- looking for programs, names of signals */

/* In the words of a shell: "Permission denied" would send its reader astray. */
static const char *why_not_found(int error)
{
	switch (error) {
	case ENOENT:
		return "not found";
	case EACCES:
		return "not executable";
	default:
		return strerror(error);
	}
}

static int l_find(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const char *search_path = luaL_optstring(L, 2, NULL);
	char path[PATH_MAX];

	int r = spawn_find(name, search_path, path, sizeof(path));
	if (r < 0) {
		lua_pushnil(L);
		lua_pushfstring(L, "%s: %s", name, why_not_found(-r));
		lua_pushinteger(L, -r);
		return 3;
	}
	lua_pushstring(L, path);
	return 1;
}

static int l_signal(lua_State *L)
{
	int number = to_signal(L, 1);

	if (number < 0)
		return 0;
	lua_pushinteger(L, number);
	lua_pushstring(L, signal_name(number));
	return 2;
}

static int l_own_pid(lua_State *L)
{
	lua_pushinteger(L, getpid());
	return 1;
}

static int l_environ(lua_State *L)
{
	lua_newtable(L);
	for (char **entry = environ; *entry; entry++) {
		const char *equals = strchr(*entry, '=');

		if (!equals)
			continue;
		lua_pushlstring(L, *entry, (size_t)(equals - *entry));
		lua_pushstring(L, equals + 1);
		lua_rawset(L, -3);
	}
	return 1;
}

static const luaL_Reg functions[] = {
	{ "spawn", l_spawn },   { "exec", l_exec },   { "owner", l_owner },     { "find", l_find },
	{ "signal", l_signal }, { "pid", l_own_pid }, { "environ", l_environ }, { NULL, NULL },
};

int bind_open_proc(lua_State *L)
{
	bind_new_type(L, CHILD_TYPE, child_methods);
	luaL_newlib(L, functions);
	lua_newtable(L);
	for (int i = 0; bind_our_variables[i]; i++) {
		lua_pushstring(L, bind_our_variables[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "ours");
	return 1;
}
