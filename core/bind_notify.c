/* SPDX-License-Identifier: MIT */
/* sys.notify: what services say with sd_notify(3).
 *
 *     listen(path) -> true | nil, reason, errno
 *     same(fd, fd) -> boolean: both are the same open file
 *     strerror(errno) -> text
 *
 * Each message is an event: "notify", text, { pid, ... }, { fd, ... }. The pids are
 * those of lineage.h, looked up when the message was read: the sender's own first. */
#include "bind.h"
#include "notify.h"

#include <limits.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void arrived(const struct notify_message *message)
{
	static char data[sizeof(message->lineage) + NOTIFY_MAX_TEXT];
	size_t size = sizeof(pid_t) * (size_t)message->lineage_count;

	memcpy(data, message->lineage, size);
	memcpy(data + size, message->text, message->length);
	if (bind_push_event(&(struct bind_event){ .kind = EVENT_NOTIFY,
						  .a = message->lineage_count,
						  .text = data,
						  .length = size + message->length,
						  .fds = message->fds,
						  .fd_count = message->fd_count }) == 0)
		return;
	for (int i = 0; i < message->fd_count; i++)
		(void)close(message->fds[i]);
}

static void push_pids(lua_State *L, const char *data, int count)
{
	lua_createtable(L, count, 0);
	for (int i = 0; i < count; i++) {
		pid_t pid;

		memcpy(&pid, data + sizeof(pid) * (size_t)i, sizeof(pid));
		lua_pushinteger(L, pid);
		lua_rawseti(L, -2, i + 1);
	}
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
	size_t skip = sizeof(pid_t) * (size_t)event->a;

	lua_pushliteral(L, "notify");
	lua_pushlstring(L, event->text + skip, event->length - skip);
	push_pids(L, event->text, event->a);
	push_fds(L, event);
	return 4;
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
