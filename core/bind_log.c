/* SPDX-License-Identifier: MIT */
/* sys.log: moonrise's own messages, and the services' output. */
#include "bind.h"
#include "log.h"
#include "relay.h"

#include <errno.h>
#include <unistd.h>

#define RELAY_TYPE "sys.log.relay"

static const char *const levels[] = { "error", "warning", "notice", "info", "debug", NULL };
static const char *const streams[] = { "stdout", "stderr", NULL };

/* line(level, text) */
static int l_line(lua_State *L)
{
	size_t length;
	int level = luaL_checkoption(L, 1, NULL, levels);
	const char *text = luaL_checklstring(L, 2, &length);
	log_line((enum log_level)level, text, length);
	return 0;
}

/* relay(fd, name, stream) -> relay: takes the descriptor over */
static int l_relay(lua_State *L)
{
	const char *name = luaL_checkstring(L, 2);
	const char *stream = streams[luaL_checkoption(L, 3, "stdout", streams)];
	struct relay **relay = lua_newuserdatauv(L, sizeof(struct relay *), 0);
	*relay = NULL;
	luaL_setmetatable(L, RELAY_TYPE);

	int fd = bind_take_fd(L, 1);
	*relay = relay_new(fd, name, stream);
	if (!*relay) {
		int error = errno;
		close(fd);
		return bind_fail(L, error, name);
	}
	return 1;
}

static struct relay *check_relay(lua_State *L)
{
	struct relay **relay = luaL_checkudata(L, 1, RELAY_TYPE);
	luaL_argcheck(L, *relay, 1, "the relay is closed");
	return *relay;
}

/* relay:drained() -> boolean */
static int l_drained(lua_State *L)
{
	lua_pushboolean(L, relay_drained(check_relay(L)));
	return 1;
}

/* relay:tail() -> string: the last bytes that came */
static int l_tail(lua_State *L)
{
	const struct relay *relay = check_relay(L);
	luaL_Buffer buffer;
	char *dst = luaL_buffinitsize(L, &buffer, relay_tail_size(relay));
	luaL_pushresultsize(&buffer, relay_tail(relay, dst, relay_tail_size(relay)));
	return 1;
}

static void line_came(unsigned id, const char *text, size_t length)
{
	(void)bind_push_event(&(struct bind_event){
		.kind = EVENT_LINE, .id = id, .text = text, .length = length });
}

/* relay:watch() -> id: each line is also an event, "line", id, text */
static int l_watch(lua_State *L)
{
	static unsigned counter;
	struct relay *relay = check_relay(L);

	relay_watch(relay, line_came, ++counter);
	lua_pushinteger(L, counter);
	return 1;
}

/* relay:unwatch() */
static int l_unwatch(lua_State *L)
{
	relay_watch(check_relay(L), NULL, 0);
	return 0;
}

static int l_close(lua_State *L)
{
	struct relay **relay = luaL_checkudata(L, 1, RELAY_TYPE);
	if (*relay)
		relay_watch(*relay, NULL, 0);
	relay_release(*relay);
	*relay = NULL;
	return 0;
}

static const luaL_Reg methods[] = {
	{ "drained", l_drained }, { "tail", l_tail },   { "watch", l_watch },
	{ "unwatch", l_unwatch }, { "close", l_close }, { "__gc", l_close },
	{ "__close", l_close },   { NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "line", l_line },
	{ "relay", l_relay },
	{ NULL, NULL },
};

int bind_open_log(lua_State *L)
{
	luaL_newmetatable(L, RELAY_TYPE);
	luaL_setfuncs(L, methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	luaL_newlib(L, functions);
	return 1;
}
