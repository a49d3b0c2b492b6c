/* SPDX-License-Identifier: MIT */
/* sys.notify: what services say with sd_notify(3).
 *
 *     listen(path) -> true | nil, reason, errno
 *     same(fd, fd) -> boolean: both are the same open file
 *     strerror(errno) -> text
 *
 * Each message is an event: "notify", text, pid, id, { fd, ... }. The id is that of the
 * child that the sender comes from, 0 if of none, looked up when the message was read. */
#include "bind.h"
#include "net.h"
#include "notify.h"

#include <limits.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void arrived(const struct notify_message *message)
{
	if (bind_push_event(&(struct bind_event){ .kind = EVENT_NOTIFY,
						  .id = message->owner,
						  .a = message->pid,
						  .text = message->text,
						  .length = message->length,
						  .fds = message->fds,
						  .fd_count = message->fd_count }) == 0)
		return;
	for (int i = 0; i < message->fd_count; i++)
		net_close_foreign(message->fds[i]);
}

/* All owners exist before the first descriptor changes hands: the event stays in
 * the queue when there is no memory for them, and keeps its own. */
static void push_fds(lua_State *L, const struct bind_event *event)
{
	lua_createtable(L, event->fd_count, 0);
	for (int i = 0; i < event->fd_count; i++) {
		(void)bind_new_fd(L);
		lua_rawseti(L, -2, i + 1);
	}
	for (int i = 0; i < event->fd_count; i++) {
		lua_rawgeti(L, -1, i + 1);
		((struct bind_fd *)lua_touserdata(L, -1))->source.fd = event->fds[i];
		event->fds[i] = -1;
		lua_pop(L, 1);
	}
}

int bind_push_notify(lua_State *L, const struct bind_event *event)
{
	lua_pushliteral(L, "notify");
	lua_pushlstring(L, event->text, event->length);
	lua_pushinteger(L, event->a);
	lua_pushinteger(L, event->id);
	push_fds(L, event);
	return 5;
}

static int l_listen(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	int r = notify_listen(path, arrived);

	if (r < 0)
		return bind_fail(L, r, path);
	lua_pushboolean(L, 1);
	return 1;
}

/* Where kcmp(2) is not allowed, what is named by its inode alone still counts. */
static bool is_same(int a, int b)
{
	struct stat sa, sb;
	long order = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);

	if (order >= 0)
		return order == 0;
	if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0)
		return false;
	return (S_ISSOCK(sa.st_mode) || S_ISFIFO(sa.st_mode)) && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static int l_same(lua_State *L)
{
	const struct bind_fd *a = bind_check_fd(L, 1), *b = bind_check_fd(L, 2);

	lua_pushboolean(L, is_same(a->source.fd, b->source.fd));
	return 1;
}

static int l_strerror(lua_State *L)
{
	lua_pushstring(L, strerror((int)(luaL_checkinteger(L, 1) & INT_MAX)));
	return 1;
}

int bind_open_notify(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "listen", l_listen },
		{ "same", l_same },
		{ "strerror", l_strerror },
		{ NULL, NULL },
	};

	luaL_newlib(L, functions);
	return 1;
}
