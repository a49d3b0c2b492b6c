/* SPDX-License-Identifier: MIT */
/* What the bindings share: the one way to say no, descriptors as userdata, and
 * the queue through which Lua pulls events. */
#ifndef MOONRISE_BIND_H
#define MOONRISE_BIND_H

#include "child.h"
#include "loop.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stddef.h>

struct tail;
struct output;

/* Registers what several modules share; called once for a state. */
void bind_init(lua_State *L);

/* A metatable in the registry, its own __index. */
void bind_new_type(lua_State *L, const char *name, const luaL_Reg *methods);

/* Pushes nil, "what: reason", errno; returns 3. `error` is positive or negative. */
int bind_fail(lua_State *L, int error, const char *what);

/* A descriptor owned by Lua: made empty (-1) first, then filled, so that no
 * allocation error can leak it; bind_give_fd fills the one on top of the stack with
 * what a core function has opened, or says why there is none. `source` is what sys.loop.watch gives
 * to the loop; it stays there, switched off, between two watches. */
struct bind_fd {
	struct loop_source source;
	unsigned token;       /* 0: not watched */
	struct bind_fd *next; /* in the list of the watched ones */
	bool added;           /* the loop knows `source` */
	bool nonblocking;
};
struct bind_fd *bind_new_fd(lua_State *L);
int bind_give_fd(lua_State *L, struct bind_fd *fd, int result, const char *what);
struct bind_fd *bind_check_fd(lua_State *L, int index); /* raises when closed */
struct bind_fd *bind_test_fd(lua_State *L, int index);  /* NULL: none, or closed */
int bind_take_fd(lua_State *L, int index);              /* gives the number away */
int bind_nonblocking(struct bind_fd *fd);               /* 0 or -errno */
int bind_watch_fd(struct bind_fd *fd, uint32_t events); /* token, or -errno */
void bind_unwatch_fd(struct bind_fd *fd);
struct bind_fd *bind_watched_fd(unsigned token); /* or NULL */
int bind_fd_connected(lua_State *L);             /* fd:connected(), in bind_net.c */

/* NULL: it is none. */
struct tail *bind_test_tail(lua_State *L, int index);
struct output *bind_test_output(lua_State *L, int index);

/* Events for sys.loop.next. They are C data until Lua asks for them. `text` and
 * `fds` are copied; 0 or -ENOMEM. */
struct bind_event {
	enum {
		EVENT_SIGNAL,  /* a: number, b: outside */
		EVENT_CHILD,   /* id, a: how, b: number, c: others are left */
		EVENT_READY,   /* id: token, a: epoll events */
		EVENT_CONTROL, /* id: client, a: kind (0: closed), text */
		EVENT_WARNING, /* text */
		EVENT_LINE,    /* id: of the watch, text */
		EVENT_TAIL,    /* id: what tail:wake was given */
		EVENT_NOTIFY,  /* id: of the sender's child, a: its pid, text, fds */
	} kind;
	unsigned id;
	int a, b, c;
	const char *text;
	size_t length;
	int *fds; /* the event's own once it is pushed; -1: Lua has it */
	int fd_count;
};
#define BIND_CHILD_GONE (CHILD_DUMPED + 1) /* `how`: nobody is left any more */
int bind_push_event(const struct bind_event *event);
int bind_push_notify(lua_State *L, const struct bind_event *event); /* in bind_notify.c */

/* The oldest event, or NULL. It is dropped only after Lua has got it whole. */
const struct bind_event *bind_first_event(void);
void bind_drop_event(void);

/* Lua's own libraries and require, made safe for PID 1; called once for a state. */
void bind_safe_install(lua_State *L);
void bind_require_install(lua_State *L);
/* host.c stopped it: until the first process runs, or the first wait, nothing is garbage. */
void bind_start_collector(lua_State *L);

/* Of a duration; one that is longer than anybody can wait is not infinite. */
int64_t bind_nanoseconds(lua_Number seconds);
void bind_forget_bytecode(void);        /* its pages; require gets them back */
const char *bind_file_error(int error); /* ENOTSUP: it is no regular file */

/* The running thread: `enter` at first, then known by sys.host itself. `overrun`
 * is for guard_init, `warn` for lua_setwarnf. */
void bind_host_enter(lua_State *L);
void bind_host_overrun(void);
void bind_host_warn(void *data, const char *piece, int more);

extern const char *const bind_our_variables[]; /* of the environment; NULL at the end */
/* The options of sys.proc.spawn, argument 1 on the stack. */
struct spawn_plan;
void bind_fill_plan(lua_State *L, struct spawn_plan *plan);

/* luaopen_... of the sys.* modules, opened when first required. */
int bind_open_loop(lua_State *L);
int bind_open_proc(lua_State *L);
int bind_open_cred(lua_State *L);
int bind_open_net(lua_State *L);
int bind_open_listen(lua_State *L);
int bind_open_log(lua_State *L);
int bind_open_file(lua_State *L);
int bind_open_control(lua_State *L);
int bind_open_host(lua_State *L);
int bind_open_notify(lua_State *L);

#endif
