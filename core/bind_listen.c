/* SPDX-License-Identifier: MIT */
/* sys.listen: what services are given to listen on.
 *
 *     inet(address|nil, port, type, backlog, reuse_port) -> fd    type: "stream", "datagram"
 *     unix(path, type, backlog, mode, uid, gid) -> fd    also "seqpacket"; uid, gid: -1 leaves
 *     fifo(path, mode, uid, gid) -> fd
 *     accept(fd) -> fd, address, port      address "" for a unix socket
 *     adopt(number) -> fd                  one that we inherited */
#include "bind.h"
#include "listen.h"

static int check_type(lua_State *L, int index)
{
	static const char *const words[] = { "stream", "datagram", "seqpacket", NULL };
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

	return types[luaL_checkoption(L, index, NULL, words)];
}

static struct listen_rights check_rights(lua_State *L, int index)
{
	return (struct listen_rights){ .mode = (unsigned)luaL_checkinteger(L, index),
				       .uid = (uid_t)luaL_checkinteger(L, index + 1),
				       .gid = (gid_t)luaL_checkinteger(L, index + 2) };
}

static int l_inet(lua_State *L)
{
	const char *address = luaL_optstring(L, 1, NULL);
	lua_Integer port = luaL_checkinteger(L, 2);
	int type = check_type(L, 3), backlog = (int)luaL_checkinteger(L, 4);

	luaL_argcheck(L, port > 0 && port < 65536, 2, "no port number");
	struct bind_fd *fd = bind_new_fd(L);
	return bind_give_fd(
		L, fd, listen_inet(address, (uint16_t)port, type, backlog, lua_toboolean(L, 5)),
		NULL);
}

static int l_unix(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	int type = check_type(L, 2), backlog = (int)luaL_checkinteger(L, 3);
	struct listen_rights rights = check_rights(L, 4);
	struct bind_fd *fd = bind_new_fd(L);

	return bind_give_fd(L, fd, listen_unix(path, type, backlog, &rights), NULL);
}

static int l_fifo(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct listen_rights rights = check_rights(L, 2);
	struct bind_fd *fd = bind_new_fd(L);

	return bind_give_fd(L, fd, listen_fifo(path, &rights), NULL);
}

static int l_accept(lua_State *L)
{
	struct bind_fd *listener = bind_check_fd(L, 1);
	struct bind_fd *fd = bind_new_fd(L);
	char address[NET_ADDRESS_SIZE];
	uint16_t port;

	int r = bind_nonblocking(listener);
	if (r >= 0)
		r = listen_accept(listener->source.fd, address, &port);
	if (r < 0)
		return bind_fail(L, r, "accept");
	fd->source.fd = r;
	lua_pushstring(L, address);
	lua_pushinteger(L, port);
	return 3;
}

static int l_adopt(lua_State *L)
{
	int number = (int)luaL_checkinteger(L, 1);
	struct bind_fd *fd = bind_new_fd(L);
	int r = listen_adopt(number);

	return bind_give_fd(L, fd, r < 0 ? r : number, "adopt");
}

static const luaL_Reg functions[] = {
	{ "inet", l_inet },     { "unix", l_unix },   { "fifo", l_fifo },
	{ "accept", l_accept }, { "adopt", l_adopt }, { NULL, NULL },
};

int bind_open_listen(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
