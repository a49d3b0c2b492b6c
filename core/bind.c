/* SPDX-License-Identifier: MIT */
/* What the bindings share: the one way to say no, descriptors as userdata, and
 * the queue of events that Lua pulls with sys.loop.next. */
#include "bind.h"

#include "net.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>

#define FD_TYPE "moonrise.fd"

int bind_fail(lua_State *L, int error, const char *what)
{
	if (error < 0)
		error = -error;
	lua_pushnil(L);
	if (what && *what)
		lua_pushfstring(L, "%s: %s", what, strerror(error));
	else
		lua_pushstring(L, strerror(error));
	lua_pushinteger(L, error);
	return 3;
}

/* ---- events */

struct queued {
	struct queued *next;
	struct bind_event event;
	char data[]; /* fds, text */
};

static struct queued *first, **last = &first;

int bind_push_event(const struct bind_event *event)
{
	size_t fds_size = sizeof(int) * (size_t)event->fd_count;
	struct queued *q = malloc(sizeof(*q) + fds_size + event->length + 1);
	if (!q)
		return -ENOMEM;
	char *text = q->data + fds_size;
	q->next = NULL;
	q->event = *event;
	q->event.fds = (int *)q->data;
	q->event.text = text;
	if (fds_size)
		memcpy(q->data, event->fds, fds_size);
	if (event->length)
		memcpy(text, event->text, event->length);
	text[event->length] = '\0';
	*last = q;
	last = &q->next;
	return 0;
}

const struct bind_event *bind_first_event(void)
{
	return first ? &first->event : NULL;
}

void bind_drop_event(void)
{
	struct queued *q = first;

	first = q->next;
	if (!first)
		last = &first;
	for (int i = 0; i < q->event.fd_count; i++)
		net_close_foreign(q->event.fds[i]);
	free(q);
}

/* ---- descriptors */

static struct bind_fd *watched;

static void forget_watch(struct bind_fd *fd)
{
	struct bind_fd **p = &watched;

	while (*p && *p != fd)
		p = &(*p)->next;
	if (*p)
		*p = fd->next;
	fd->token = 0;
}

/* EPOLLONESHOT has switched the source off; the next watch switches it on. */
static void fd_ready(struct loop_source *source, uint32_t events)
{
	struct bind_fd *fd = container_of(source, struct bind_fd, source);
	struct bind_event event = { .kind = EVENT_READY, .id = fd->token, .a = (int)events };

	forget_watch(fd);
	(void)bind_push_event(&event);
}

int bind_watch_fd(struct bind_fd *fd, uint32_t events)
{
	static unsigned counter;
	int r;

	events |= EPOLLONESHOT;
	r = fd->added ? loop_change(&fd->source, events) : loop_add(&fd->source, events);
	if (r < 0 && r != -EPERM)
		return r;
	fd->added = r >= 0;
	fd->token = ++counter & INT_MAX;
	fd->next = watched;
	watched = fd;
	/* A regular file: always ready, never hung up, nothing for epoll. */
	if (!fd->added && events & (EPOLLIN | EPOLLOUT))
		fd_ready(&fd->source, events);
	return (int)(counter & INT_MAX);
}

void bind_unwatch_fd(struct bind_fd *fd)
{
	if (fd->token)
		forget_watch(fd);
	if (fd->added)
		loop_remove(&fd->source);
	fd->added = false;
}

struct bind_fd *bind_watched_fd(unsigned token)
{
	struct bind_fd *fd = watched;

	while (fd && fd->token != token)
		fd = fd->next;
	return fd;
}

struct bind_fd *bind_new_fd(lua_State *L)
{
	struct bind_fd *fd = lua_newuserdatauv(L, sizeof(*fd), 0);

	memset(fd, 0, sizeof(*fd));
	fd->source.fd = -1;
	fd->source.ready = fd_ready;
	luaL_setmetatable(L, FD_TYPE);
	return fd;
}

int bind_give_fd(lua_State *L, struct bind_fd *fd, int result, const char *what)
{
	if (result < 0)
		return bind_fail(L, result, what);
	fd->source.fd = result;
	return 1;
}

struct bind_fd *bind_check_fd(lua_State *L, int index)
{
	struct bind_fd *fd = luaL_checkudata(L, index, FD_TYPE);

	luaL_argcheck(L, fd->source.fd >= 0, index, "the descriptor is closed");
	return fd;
}

struct bind_fd *bind_test_fd(lua_State *L, int index)
{
	struct bind_fd *fd = luaL_testudata(L, index, FD_TYPE);

	return fd && fd->source.fd >= 0 ? fd : NULL;
}

int bind_take_fd(lua_State *L, int index)
{
	struct bind_fd *fd = bind_check_fd(L, index);

	bind_unwatch_fd(fd);
	(void)bind_nonblocking(fd);
	return keep_fd(&fd->source.fd);
}

/* Our end of a pipe must never block us, while the child's end keeps blocking
 * as programs expect; which end is ours shows when it is first used. */
int bind_nonblocking(struct bind_fd *fd)
{
	if (fd->nonblocking)
		return 0;
	int flags = fcntl(fd->source.fd, F_GETFL);
	if (flags < 0 || fcntl(fd->source.fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	fd->nonblocking = true;
	return 0;
}

static int l_read(lua_State *L)
{
	struct bind_fd *fd = bind_check_fd(L, 1);
	lua_Integer max = luaL_optinteger(L, 2, 4096);
	luaL_Buffer b;
	luaL_argcheck(L, max > 0 && max <= 1 << 20, 2, "out of range");

	int r = bind_nonblocking(fd);
	if (r < 0)
		return bind_fail(L, r, "read");
	char *data = luaL_buffinitsize(L, &b, (size_t)max);
	ssize_t n = read(fd->source.fd, data, (size_t)max);
	if (n < 0)
		return bind_fail(L, errno, "read");
	luaL_pushresultsize(&b, (size_t)n);
	return 1;
}

static int l_write(lua_State *L)
{
	struct bind_fd *fd = bind_check_fd(L, 1);
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);

	int r = bind_nonblocking(fd);
	if (r < 0)
		return bind_fail(L, r, "write");
	ssize_t n = write(fd->source.fd, data, len);
	if (n < 0)
		return bind_fail(L, errno, "write");
	lua_pushinteger(L, n);
	return 1;
}

/* Also __close and __gc: closing twice is fine. A service may have sent it. */
static int l_close(lua_State *L)
{
	struct bind_fd *fd = luaL_checkudata(L, 1, FD_TYPE);

	bind_unwatch_fd(fd);
	net_close_foreign(fd->source.fd);
	fd->source.fd = -1;
	return 0;
}

static int l_number(lua_State *L)
{
	lua_pushinteger(L, bind_check_fd(L, 1)->source.fd);
	return 1;
}

static int l_tostring(lua_State *L)
{
	struct bind_fd *fd = luaL_checkudata(L, 1, FD_TYPE);

	if (fd->source.fd < 0)
		lua_pushliteral(L, "fd (closed)");
	else
		lua_pushfstring(L, "fd (%d)", fd->source.fd);
	return 1;
}

static const luaL_Reg fd_methods[] = {
	{ "read", l_read },
	{ "write", l_write },
	{ "close", l_close },
	{ "number", l_number },
	{ "connected", bind_fd_connected },
	{ "__close", l_close },
	{ "__gc", l_close },
	{ "__tostring", l_tostring },
	{ NULL, NULL },
};

void bind_new_type(lua_State *L, const char *name, const luaL_Reg *methods)
{
	luaL_newmetatable(L, name);
	luaL_setfuncs(L, methods, 0);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

void bind_init(lua_State *L)
{
	bind_new_type(L, FD_TYPE, fd_methods);
}
