/* SPDX-License-Identifier: MIT */
/* sys.control: the control socket for lua/moonrise/control.lua. Frames arrive
 * as "control" events of sys.loop.next. */
#include "bind.h"
#include "control.h"

#include <sys/types.h>
#include <unistd.h>

static void arrived(int client, const struct control_frame *frame)
{
	struct bind_event event = {
		.kind = EVENT_CONTROL,
		.id = (unsigned)client,
		.a = frame->kind,
		.text = frame->payload,
		.length = frame->length,
	};

	/* Without memory for its request, the client is better told by an end than
	 * left waiting. */
	if (bind_push_event(&event) < 0)
		control_close(client);
}

static int client_arg(lua_State *L)
{
	return (int)luaL_checkinteger(L, 1);
}

/* places() -> { path... }: where the socket may be, in order. */
static int l_places(lua_State *L)
{
	char paths[CONTROL_MAX_PLACES][CONTROL_PATH_SIZE];
	int count = control_places(geteuid(), paths);

	lua_createtable(L, count, 0);
	for (int i = 0; i < count; i++) {
		lua_pushstring(L, paths[i]);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

/* listen(path) -> true */
static int l_listen(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	int r = control_listen(path, arrived);

	if (r < 0)
		return bind_fail(L, r, path);
	lua_pushboolean(L, 1);
	return 1;
}

/* send(client, kind, payload) -> bytes that the client has not read yet */
static int l_send(lua_State *L)
{
	size_t length;
	const char *kind = luaL_checkstring(L, 2);
	const char *payload = luaL_optlstring(L, 3, "", &length);
	ssize_t waiting;

	luaL_argcheck(L, kind[0] && !kind[1], 2, "one character");
	waiting = control_send(client_arg(L), kind[0], payload, length);
	if (waiting < 0)
		return bind_fail(L, (int)waiting, "control client");
	lua_pushinteger(L, waiting);
	return 1;
}

/* close(client): once what it was sent is out */
static int l_close(lua_State *L)
{
	control_close(client_arg(L));
	return 0;
}

/* peer(client) -> uid, pid */
static int l_peer(lua_State *L)
{
	uid_t uid;
	pid_t pid;
	int r = control_peer(client_arg(L), &uid, &pid);

	if (r < 0)
		return bind_fail(L, r, "control client");
	lua_pushinteger(L, uid);
	lua_pushinteger(L, pid);
	return 2;
}

int bind_open_control(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "places", l_places }, { "listen", l_listen }, { "send", l_send },
		{ "close", l_close },   { "peer", l_peer },     { NULL, NULL },
	};

	luaL_newlib(L, functions);
	lua_pushinteger(L, CONTROL_HIGH_WATER);
	lua_setfield(L, -2, "HIGH_WATER");
	return 1;
}
