/* SPDX-License-Identifier: MIT */
/* Lua's own libraries without what could block or end PID 1: no os.execute, no
 * io.popen, no reading from the terminal. What stays of io is open, for
 * regular files and devices, and write; moonrise.fs does the rest. */
#include "bind.h"
#include "host.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const struct removed {
	const char *library;
	const char *names[16];
} removed[] = {
	{ "os", { "execute", "exit", "remove", "rename", "setlocale", "tmpname" } },
	{ "io", { "close", "input", "lines", "output", "popen", "read", "stdin", "tmpfile" } },
	{ "debug",
	  { "debug", "gethook", "getregistry", "getupvalue", "getuservalue", "setcstacklimit",
	    "sethook", "setlocal", "setmetatable", "setupvalue", "setuservalue", "upvalueid",
	    "upvaluejoin" } },
};

static const luaL_Reg libraries[] = {
	{ LUA_GNAME, luaopen_base },       { LUA_COLIBNAME, luaopen_coroutine },
	{ LUA_TABLIBNAME, luaopen_table }, { LUA_STRLIBNAME, luaopen_string },
	{ LUA_MATHLIBNAME, luaopen_math }, { LUA_UTF8LIBNAME, luaopen_utf8 },
	{ LUA_OSLIBNAME, luaopen_os },     { LUA_IOLIBNAME, luaopen_io },
	{ LUA_DBLIBNAME, luaopen_debug },
};

/* ---- io.open */

const char *bind_file_error(int error)
{
	return error == ENOTSUP ? "not a regular file" : strerror(error);
}

static const struct open_mode {
	const char *word;
	int flags;
} open_modes[] = {
	{ "r", O_RDONLY },
	{ "w", O_WRONLY | O_CREAT | O_TRUNC },
	{ "a", O_WRONLY | O_CREAT | O_APPEND },
	{ "r+", O_RDWR },
	{ "w+", O_RDWR | O_CREAT | O_TRUNC },
	{ "a+", O_RDWR | O_CREAT | O_APPEND },
};

/* "rb" and "r+b" are "r" and "r+". Flags for open(2), or -1. */
static int open_flags(const char *mode)
{
	size_t length = strlen(mode);

	if (length > 1 && mode[length - 1] == 'b')
		length--;
	for (size_t i = 0; i < ARRAY_SIZE(open_modes); i++)
		if (strlen(open_modes[i].word) == length &&
		    strncmp(open_modes[i].word, mode, length) == 0)
			return open_modes[i].flags;
	return -1;
}

/* A FILE, or NULL and errno. A FIFO or a socket would make PID 1 wait. */
static FILE *open_quick_file(const char *path, int flags, const char *mode)
{
	auto_close int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : ENOTSUP;
		return NULL;
	}
	FILE *file = fdopen(fd, mode);
	if (file)
		(void)keep_fd(&fd);
	return file;
}

static int close_file(lua_State *L)
{
	luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);

	return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

static int l_open(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	const char *mode = luaL_optstring(L, 2, "r");
	int flags = open_flags(mode);
	luaL_argcheck(L, flags >= 0, 2, "invalid mode");

	luaL_Stream *stream = lua_newuserdatauv(L, sizeof(*stream), 0);
	stream->closef = NULL; /* closed, until it is open */
	luaL_setmetatable(L, LUA_FILEHANDLE);
	stream->f = open_quick_file(path, flags, mode);
	if (!stream->f) {
		int error = errno;

		lua_pushnil(L);
		lua_pushfstring(L, "%s: %s", path, bind_file_error(error));
		lua_pushinteger(L, error);
		return 3;
	}
	stream->closef = close_file;
	return 1;
}

/* ---- print and io.write: in a boot they are messages, since stdout may be a pipe
 * that nobody reads */

static void say(lua_State *L, int first, const char *between)
{
	int last = lua_gettop(L);
	luaL_Buffer text;
	size_t length;

	luaL_buffinit(L, &text);
	for (int i = first; i <= last; i++) {
		if (i > first)
			luaL_addstring(&text, between);
		(void)luaL_tolstring(L, i, NULL);
		luaL_addvalue(&text);
	}
	luaL_pushresult(&text);
	const char *line = lua_tolstring(L, -1, &length);
	if (length > 0 && line[length - 1] == '\n')
		length--;
	log_line(LEVEL_NOTICE, line, length);
}

static int l_print(lua_State *L)
{
	say(L, 1, "\t");
	return 0;
}

static int l_write(lua_State *L)
{
	say(L, 1, "");
	return 0;
}

/* io.stderr:write(...) */
static int l_stream_write(lua_State *L)
{
	say(L, 2, "");
	lua_settop(L, 1);
	return 1;
}

static void redirect_output(lua_State *L)
{
	lua_register(L, "print", l_print);
	lua_getglobal(L, LUA_IOLIBNAME);
	lua_pushcfunction(L, l_write);
	lua_setfield(L, -2, "write");
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, l_stream_write);
	lua_setfield(L, -2, "write");
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "stdout");
	lua_setfield(L, -2, "stderr");
	lua_pop(L, 1);
}

/* ---- installing */

static void remove_names(lua_State *L, const struct removed *r)
{
	lua_getglobal(L, r->library);
	for (size_t i = 0; i < ARRAY_SIZE(r->names) && r->names[i]; i++) {
		lua_pushnil(L);
		lua_setfield(L, -2, r->names[i]);
	}
	lua_pop(L, 1);
}

void bind_safe_install(lua_State *L)
{
	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++) {
		luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
		lua_pop(L, 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(removed); i++)
		remove_names(L, &removed[i]);
	lua_getglobal(L, LUA_IOLIBNAME);
	lua_pushcfunction(L, l_open);
	lua_setfield(L, -2, "open");
	lua_pop(L, 1);
	if (strcmp(host_options()->mode, "boot") == 0)
		redirect_output(L);
}
