/* SPDX-License-Identifier: MIT */
/* sys.loop: time, waiting, and the events that came of it. C never calls Lua
 * back: the scheduler waits here, then takes the events one by one as values.
 *
 *     now() -> seconds            realtime() -> seconds
 *     wait(seconds|nil)           until an event is there or the time is over
 *     next() -> kind, ...         see `push` below; nothing when there is none
 *     watch(fd, "r"|"w"|"rw"|"hup") -> token      one event, then it is over
 *     unwatch(token)
 *     clock_changes() -> fd       can be read whenever the realtime was set */
#include "bind.h"
#include "guard.h"
#include "host.h"
#include "signal.h"
#include "util.h"

#include <string.h>
#include <sys/epoll.h>
#include <time.h>

static int l_now(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)loop_time() / NSEC_PER_SEC);
	return 1;
}

static int l_realtime(lua_State *L)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / NSEC_PER_SEC);
	return 1;
}

/* A coroutine that waited here would keep all others from running. */
static void check_main_thread(lua_State *L)
{
	bool is_main = lua_pushthread(L);

	lua_pop(L, 1);
	if (!is_main)
		luaL_error(L, "only the scheduler may wait for events");
}

int64_t bind_nanoseconds(lua_Number seconds)
{
	const int64_t most = LOOP_FOREVER / 2; /* may be added to any time */
	lua_Number ns = seconds * (lua_Number)NSEC_PER_SEC;

	if (!(ns > 0))
		return 0;
	return ns < (lua_Number)most ? (int64_t)ns : most;
}

static int64_t deadline_in(lua_Number seconds)
{
	int64_t ns = bind_nanoseconds(seconds);

	return ns > 0 ? loop_time() + ns : LOOP_NOW;
}

void bind_start_collector(lua_State *L)
{
	static bool started;

	if (!started)
		lua_gc(L, LUA_GCRESTART);
	started = true;
}

static int64_t min_time(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Until there is an event or the deadline has come; 0 or -errno. With an event there
 * already, what else has happened is looked at, not waited for. */
static int wait_until(int64_t deadline)
{
	int r;

	do
		r = loop_turn(bind_first_event() ? LOOP_NOW : deadline);
	while (r >= 0 && !bind_first_event() && loop_time() < deadline);
	return r < 0 ? r : 0;
}

static int l_wait(lua_State *L)
{
	int64_t deadline = LOOP_FOREVER;

	if (!lua_isnoneornil(L, 1))
		deadline = deadline_in(luaL_checknumber(L, 1));
	check_main_thread(L);
	bind_start_collector(L);
	bind_forget_bytecode();
	guard_pause();
	int r = wait_until(min_time(deadline, host_deadline()));
	guard_resume();
	if (r < 0)
		return luaL_error(L, "the loop failed: %s", strerror(-r));
	if (loop_time() >= host_deadline())
		return luaL_error(L, "the stop does not come to its end");
	return 0;
}

static int push_signal(lua_State *L, const struct bind_event *e)
{
	lua_pushliteral(L, "signal");
	lua_pushstring(L, signal_name(e->a));
	lua_pushboolean(L, e->b);
	return 3;
}

static int push_child(lua_State *L, const struct bind_event *e)
{
	static const char *const how[] = {
		[CHILD_EXITED] = "exited",
		[CHILD_KILLED] = "killed",
		[CHILD_DUMPED] = "dumped",
		[BIND_CHILD_GONE] = "gone",
	};

	lua_pushliteral(L, "child");
	lua_pushinteger(L, e->id);
	lua_pushstring(L, how[e->a]);
	lua_pushinteger(L, e->b);
	lua_pushboolean(L, e->c);
	return 5;
}

static int push_ready(lua_State *L, const struct bind_event *e)
{
	uint32_t events = (uint32_t)e->a;
	bool both = events & (EPOLLERR | EPOLLHUP);
	bool in = both || events & (EPOLLIN | EPOLLRDHUP), out = both || events & EPOLLOUT;

	lua_pushliteral(L, "ready");
	lua_pushinteger(L, e->id);
	lua_pushstring(L, in && out ? "rw" : out ? "w" : "r");
	return 3;
}

static int push_control(lua_State *L, const struct bind_event *e)
{
	char kind = (char)e->a;

	lua_pushliteral(L, "control");
	lua_pushinteger(L, e->id);
	if (kind)
		lua_pushlstring(L, &kind, 1);
	else
		lua_pushliteral(L, "closed");
	lua_pushlstring(L, e->text, e->length);
	return 4;
}

static int push_warning(lua_State *L, const struct bind_event *e)
{
	lua_pushliteral(L, "warning");
	lua_pushlstring(L, e->text, e->length);
	return 2;
}

static int push_line(lua_State *L, const struct bind_event *e)
{
	lua_pushliteral(L, "line");
	lua_pushinteger(L, e->id);
	lua_pushlstring(L, e->text, e->length);
	return 3;
}

static int push_tail(lua_State *L, const struct bind_event *e)
{
	lua_pushliteral(L, "tail");
	lua_pushinteger(L, e->id);
	return 2;
}

static int (*const push[])(lua_State *, const struct bind_event *) = {
	[EVENT_SIGNAL] = push_signal,   [EVENT_CHILD] = push_child,
	[EVENT_READY] = push_ready,     [EVENT_CONTROL] = push_control,
	[EVENT_WARNING] = push_warning, [EVENT_NOTIFY] = bind_push_notify,
	[EVENT_LINE] = push_line,       [EVENT_TAIL] = push_tail,
};

static int l_next(lua_State *L)
{
	const struct bind_event *event = bind_first_event();

	check_main_thread(L);
	if (!event)
		return 0;
	int count = push[event->kind](L, event);
	bind_drop_event();
	return count;
}

static const uint32_t watch_events[] = { EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, 0 };
static const char *const watch_words[] = { "r", "w", "rw", "hup", NULL };

static int l_watch(lua_State *L)
{
	struct bind_fd *fd = bind_check_fd(L, 1);
	uint32_t events = watch_events[luaL_checkoption(L, 2, NULL, watch_words)];

	luaL_argcheck(L, fd->token == 0, 1, "the descriptor is watched already");
	int token = bind_watch_fd(fd, events);
	if (token < 0)
		return bind_fail(L, token, "watch");
	lua_pushinteger(L, token);
	return 1;
}

static int l_unwatch(lua_State *L)
{
	struct bind_fd *fd = bind_watched_fd((unsigned)luaL_checkinteger(L, 1));

	if (fd)
		bind_unwatch_fd(fd);
	return 0;
}

static int l_clock_changes(lua_State *L)
{
	struct bind_fd *fd = bind_new_fd(L);

	return bind_give_fd(L, fd, loop_clock_changes(), "timerfd");
}

static const luaL_Reg functions[] = {
	{ "now", l_now },
	{ "realtime", l_realtime },
	{ "wait", l_wait },
	{ "next", l_next },
	{ "watch", l_watch },
	{ "unwatch", l_unwatch },
	{ "clock_changes", l_clock_changes },
	{ NULL, NULL },
};

int bind_open_loop(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
