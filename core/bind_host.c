/* SPDX-License-Identifier: MIT */
/* sys.host: what the Lua side may know and do about the state it runs in.
 *
 *     mode script format lua_dir version    strings; args: a list
 *     resume(co, ...)       -> "yield", ... | "done", ... | "error", err | "preempted"
 *     raw_resume(co, ...)   the same, inside the slice that runs already
 *     close(co)             -> true | false, err      as coroutine.close
 *     memory()              -> used, limit
 *     memory_reserve()      1 MiB more, once: for the orderly stop
 *     deadline(seconds)     main has to return until then, or C goes on without it
 *     termination_log(text) the last word in /dev/termination-log, where that exists
 *     program()             -> the path of our own program | nil, reason, errno
 *
 * Pre-emption: the tick of guard.c finds that a slice is over and sets a count
 * hook on the running thread; at the script's next instruction the hook yields. So
 * the running thread must be known at all times, and whatever resumes or closes a
 * coroutine comes through here. Where a thread can't yield (the callback of
 * table.sort), it runs on, and is broken off with an error when the patience is
 * over: at every instruction, so that pcall can't hold it. */
#include "bind.h"
#include "ending.h"
#include "guard.h"
#include "host.h"
#include "log.h"
#include "memory.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define OURS_COUNT 100 /* instructions of our modules until the hook looks again */

static lua_State *volatile running;
static bool preempted;
static unsigned closing; /* to-be-closed variables run: no yield out of these */

/* Between an event and the wait for it (`if not done then condition:wait() end`)
 * our modules rely on nothing else running, as in any cooperative scheduler. So
 * they are suspended only where they call a script's function, or when they
 * compute for long. */
static bool is_ours(lua_State *L, lua_Debug *activation)
{
	lua_getinfo(L, "S", activation);
	return strncmp(activation->source, "@moonrise/", 10) == 0;
}

static void end_slice(lua_State *L, lua_Debug *activation)
{
	guard_alive();
	if (!guard_over()) { /* of an earlier slice: the thread waited before it came */
		lua_sethook(L, NULL, 0, 0);
		return;
	}
	if (!guard_late() && is_ours(L, activation)) {
		lua_sethook(L, end_slice, LUA_MASKCOUNT, OURS_COUNT);
		return;
	}
	if (lua_isyieldable(L) && !closing) {
		lua_sethook(L, NULL, 0, 0);
		preempted = true;
		lua_yield(L, 0);
		return;
	}
	if (guard_overdue())
		luaL_error(L, "used the CPU for too long where it cannot be suspended");
	lua_sethook(L, NULL, 0, 0);
}

void bind_host_overrun(void)
{
	/* Once: lua_sethook visits every frame, and on a deep stack that takes longer
	 * than it is to the next tick. */
	if (running && !lua_gethookmask(running))
		lua_sethook(running, end_slice, LUA_MASKCOUNT, 1);
}

void bind_host_enter(lua_State *L)
{
	running = L;
	guard_new_slice();
}

static const char *resume(lua_State *L, lua_State *co, int count, int *ret_count)
{
	lua_State *outer = running;

	running = co;
	int status = lua_resume(co, L, count, ret_count);
	running = outer;
	if (status == LUA_OK)
		return "done";
	if (status != LUA_YIELD) {
		*ret_count = 1;
		return "error";
	}
	bool by_hook = preempted;
	preempted = false;
	return by_hook ? "preempted" : "yield";
}

/* The slice is over, but the inner thread could not be suspended, or has ended
 * before it was: the outer one is next. */
static void pass_outwards(lua_State *L)
{
	if (guard_over())
		lua_sethook(L, end_slice, LUA_MASKCOUNT, 1);
}

static int resume_with_values(lua_State *L)
{
	lua_State *co = lua_tothread(L, 1);
	int count = lua_gettop(L) - 1;

	luaL_argexpected(L, co, 1, "coroutine");
	if (!lua_checkstack(co, count))
		return luaL_error(L, "too many arguments to resume");
	lua_xmove(L, co, count);
	lua_pushstring(L, resume(L, co, count, &count));
	if (!lua_checkstack(L, count)) {
		lua_pop(co, count);
		return luaL_error(L, "too many results to resume");
	}
	lua_xmove(co, L, count);
	return count + 1;
}

static int l_raw_resume(lua_State *L)
{
	int count = resume_with_values(L);

	pass_outwards(L);
	return count;
}

static int l_resume(lua_State *L)
{
	guard_new_slice();
	int count = resume_with_values(L);
	guard_new_slice();
	return count;
}

/* Running, or waiting for one that it has resumed. */
static bool is_active(lua_State *co)
{
	lua_Debug activation;

	return lua_status(co) == LUA_OK && lua_getstack(co, 0, &activation);
}

static int l_close(lua_State *L)
{
	lua_State *co = lua_tothread(L, 1), *outer = running;

	luaL_argexpected(L, co, 1, "coroutine");
	luaL_argcheck(L, !is_active(co), 1, "cannot close a running coroutine");
	closing++;
	running = co;
	int status = lua_resetthread(co);
	running = outer;
	closing--;
	lua_sethook(co, NULL, 0, 0);
	pass_outwards(L);
	lua_pushboolean(L, status == LUA_OK);
	if (status == LUA_OK)
		return 1;
	lua_xmove(co, L, 1);
	return 2;
}

static int l_memory(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)memory_used());
	lua_pushinteger(L, (lua_Integer)memory_limit());
	return 2;
}

static int l_memory_reserve(lua_State *L)
{
	(void)L;
	memory_open_reserve();
	return 0;
}

static int l_deadline(lua_State *L)
{
	host_set_deadline(bind_nanoseconds(luaL_checknumber(L, 1)));
	return 0;
}

static int l_termination_log(lua_State *L)
{
	ending_termination_log(luaL_checkstring(L, 1));
	return 0;
}

/* Lua's own are errors in finalizers, which nobody can catch: they become events.
 * warn("text") of a script is said; "@on" and the like mean nothing here. */
static void tell_warning(const char *text, size_t length)
{
	static const char own[] = "error in ";
	struct bind_event event = { .kind = EVENT_WARNING, .text = text, .length = length };

	if (length > strlen(own) && memcmp(text, own, strlen(own)) == 0)
		(void)bind_push_event(&event);
	else if (length > 0 && *text != '@')
		log_line(LEVEL_WARNING, text, length);
}

void bind_host_warn(void *data, const char *piece, int more)
{
	static char text[1024];
	static size_t length;
	size_t n = strlen(piece);

	(void)data;
	if (n > sizeof(text) - length)
		n = sizeof(text) - length;
	memcpy(text + length, piece, n);
	length += n;
	if (more)
		return;
	tell_warning(text, length);
	length = 0;
}

static void set_string(lua_State *L, const char *name, const char *value)
{
	lua_pushstring(L, value); /* nil for NULL */
	lua_setfield(L, -2, name);
}

static int l_program(lua_State *L)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path));

	if (length < 0)
		return bind_fail(L, errno, "/proc/self/exe");
	lua_pushlstring(L, path, (size_t)length);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "resume", l_resume },
	{ "raw_resume", l_raw_resume },
	{ "close", l_close },
	{ "memory", l_memory },
	{ "memory_reserve", l_memory_reserve },
	{ "deadline", l_deadline },
	{ "termination_log", l_termination_log },
	{ "program", l_program },
	{ NULL, NULL },
};

int bind_open_host(lua_State *L)
{
	const struct host_options *options = host_options();

	luaL_newlib(L, functions);
	set_string(L, "mode", options->mode);
	set_string(L, "script", options->script);
	set_string(L, "format", options->format);
	set_string(L, "lua_dir", options->lua_dir);
	set_string(L, "version", MOONRISE_VERSION);
	lua_newtable(L);
	for (int i = 0; options->args && options->args[i]; i++) {
		lua_pushstring(L, options->args[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "args");
	return 1;
}
