/* SPDX-License-Identifier: MIT */
/* What the bindings share: the one way to say no, descriptors as userdata, and
 * the queue through which Lua pulls events. */
#ifndef MOONRISE_BIND_H
#define MOONRISE_BIND_H

#include "loop.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stddef.h>

/* Pushes nil, "what: reason", errno; returns 3. `error` is positive or negative. */
int bind_fail(lua_State *L, int error, const char *what);

/* A descriptor owned by Lua: made empty (-1) first, then filled, so that no
 * allocation error can leak it. `fd` is also a loop source for watch(). */
struct bind_fd {
	struct loop_source source;
	unsigned token; /* 0: not watched */
};
struct bind_fd *bind_new_fd(lua_State *L);
struct bind_fd *bind_check_fd(lua_State *L, int index); /* raises when closed */
int bind_take_fd(lua_State *L, int index);              /* gives the number away */

/* Events for sys.loop.next. They are C data until Lua asks for them. `text` is
 * copied; 0 or -ENOMEM. */
struct bind_event {
	enum {
		EVENT_SIGNAL,  /* a: number, b: outside */
		EVENT_CHILD,   /* id, a: how, b: number, c: pid */
		EVENT_READY,   /* id: token, a: epoll events */
		EVENT_CONTROL, /* id: client, a: kind (0: closed), text */
		EVENT_WARNING, /* text */
	} kind;
	unsigned id;
	int a, b, c;
	const char *text;
	size_t length;
};
int bind_push_event(const struct bind_event *event);
bool bind_events_pending(void);

/* luaopen_... of the sys.* modules, opened when first required. */
int bind_open_loop(lua_State *L);
int bind_open_proc(lua_State *L);
int bind_open_cred(lua_State *L);
int bind_open_net(lua_State *L);
int bind_open_log(lua_State *L);
int bind_open_file(lua_State *L);
int bind_open_control(lua_State *L);
int bind_open_host(lua_State *L);

#endif
