/* SPDX-License-Identifier: MIT */
/* sys.net: descriptors to talk through. What they can do (read, write, close) is
 * in bind.c.
 *
 *     pipe() -> r, w               null(mode) -> fd of /dev/null
 *     pair() -> a, b               a seqpacket socket's two ends: one read, one message
 *     connect_tcp(address, port)   connect_unix(path) -> fd, maybe in progress
 *     fd:connected() -> true | false (in progress) | nil, reason, errno
 *     resolve(name) -> addresses   what can be known without asking the network
 *     addresses() -> { { interface, address, v6, loopback, link_local }... }
 *     hostname() -> name           set_hostname(name) -> true | nil, reason, errno
 *     notify(text) -> true | nil, reason, errno    to $NOTIFY_SOCKET */
#include "address.h"
#include "bind.h"
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MAX_ADDRESSES 64

static int l_pipe(lua_State *L)
{
	struct bind_fd *reader = bind_new_fd(L), *writer = bind_new_fd(L);
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return bind_fail(L, errno, "pipe");
	reader->source.fd = ends[0];
	writer->source.fd = ends[1];
	return 2;
}

static int l_pair(lua_State *L)
{
	struct bind_fd *ours = bind_new_fd(L), *theirs = bind_new_fd(L);
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return bind_fail(L, errno, "socketpair");
	ours->source.fd = ends[0];
	theirs->source.fd = ends[1];
	return 2;
}

static int l_null(lua_State *L)
{
	static const char *const words[] = { "r", "w", "rw", NULL };
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR };
	int mode = flags[luaL_checkoption(L, 1, "rw", words)];
	struct bind_fd *fd = bind_new_fd(L);
	int result = open("/dev/null", mode | O_CLOEXEC);

	return bind_give_fd(L, fd, result < 0 ? -errno : result, "/dev/null");
}

static int l_connect_tcp(lua_State *L)
{
	const char *address = luaL_checkstring(L, 1);
	lua_Integer port = luaL_checkinteger(L, 2);
	luaL_argcheck(L, port > 0 && port < 65536, 2, "no port number");
	struct bind_fd *fd = bind_new_fd(L);

	return bind_give_fd(L, fd, net_connect_tcp(address, (uint16_t)port), address);
}

static int l_connect_unix(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct bind_fd *fd = bind_new_fd(L);

	return bind_give_fd(L, fd, net_connect_unix(path), path);
}

int bind_fd_connected(lua_State *L)
{
	int r = net_connected(bind_check_fd(L, 1)->source.fd);

	if (r < 0)
		return bind_fail(L, r, "connect");
	lua_pushboolean(L, r);
	return 1;
}

static int l_resolve(lua_State *L)
{
	char addresses[NET_MAX_ADDRESSES][NET_ADDRESS_SIZE];
	const char *name = luaL_checkstring(L, 1);

	int count = net_resolve(name, addresses);
	if (count < 0)
		return bind_fail(L, count, name);
	lua_createtable(L, count, 0);
	for (int i = 0; i < count; i++) {
		lua_pushstring(L, addresses[i]);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

static void set_flag(lua_State *L, const char *key, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, key);
}

static int l_addresses(lua_State *L)
{
	struct address list[MAX_ADDRESSES];
	int count = address_list(list, MAX_ADDRESSES);

	if (count < 0)
		return bind_fail(L, count, "addresses");
	lua_createtable(L, count, 0);
	for (int i = 0; i < count; i++) {
		lua_createtable(L, 0, 5);
		lua_pushstring(L, list[i].interface);
		lua_setfield(L, -2, "interface");
		lua_pushstring(L, list[i].text);
		lua_setfield(L, -2, "address");
		set_flag(L, "v6", list[i].is_v6);
		set_flag(L, "loopback", list[i].is_loopback);
		set_flag(L, "link_local", list[i].is_link_local);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

static int l_hostname(lua_State *L)
{
	struct utsname names;

	if (uname(&names) < 0)
		return bind_fail(L, errno, "hostname");
	lua_pushstring(L, names.nodename);
	return 1;
}

static int l_set_hostname(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	int r = address_set_hostname(name);

	if (r < 0)
		return bind_fail(L, r, name);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_notify(lua_State *L)
{
	const char *text = luaL_checkstring(L, 1);

	int r = net_notify(getenv("NOTIFY_SOCKET"), text);
	if (r < 0)
		return bind_fail(L, r, "NOTIFY_SOCKET");
	lua_pushboolean(L, r);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "pipe", l_pipe },
	{ "pair", l_pair },
	{ "null", l_null },
	{ "connect_tcp", l_connect_tcp },
	{ "connect_unix", l_connect_unix },
	{ "resolve", l_resolve },
	{ "addresses", l_addresses },
	{ "hostname", l_hostname },
	{ "set_hostname", l_set_hostname },
	{ "notify", l_notify },
	{ NULL, NULL },
};

int bind_open_net(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
