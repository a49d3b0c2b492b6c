/* SPDX-License-Identifier: MIT */
/* require, loadfile, dofile and load, as an init may offer them: what is read is
 * a regular file (a FIFO would block PID 1 for ever), and it is text (bytecode
 * can crash the engine). A module may wait while it loads.
 *
 * require "moonrise.fs" and "sys.proc" always mean our own modules. Any other
 * name is looked for in the script's folder, in the image's library folders, and
 * then inside the binary. */
#include "bind.h"
#include "embed.h"
#include "host.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const luaL_Reg system_modules[] = {
	{ "sys.control", bind_open_control }, { "sys.cred", bind_open_cred },
	{ "sys.file", bind_open_file },       { "sys.host", bind_open_host },
	{ "sys.listen", bind_open_listen },   { "sys.log", bind_open_log },
	{ "sys.loop", bind_open_loop },       { "sys.net", bind_open_net },
	{ "sys.notify", bind_open_notify },   { "sys.proc", bind_open_proc },
};

static const char *const library_dirs[] = {
	"/etc/moonrise/lua",
	"/usr/local/share/moonrise/lua",
	"/usr/share/moonrise/lua",
};

/* ---- files */

/* 0 and *ret_text (malloc), or -errno. */
static int read_regular_file(const char *path, char **ret_text, size_t *ret_length)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
	auto_free char *text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	ssize_t n = read(fd, text, (size_t)st.st_size);
	if (n < 0)
		return -errno;
	*ret_text = text;
	*ret_length = (size_t)n;
	text = NULL;
	return 0;
}

/* Where a "#!" line ends; the newline stays, it counts. */
static const char *skip_interpreter(const char *text, size_t *length)
{
	const char *end = *length && *text == '#' ? memchr(text, '\n', *length) : text;

	if (!end)
		end = text + *length;
	*length -= (size_t)(end - text);
	return end;
}

/* LUA_OK with the chunk, else a message, on the stack. The text is C's: no jump
 * may leave here, so luaL_loadbufferx (protected) comes last. *ret_error is
 * -errno when it was the file. */
static int load_file(lua_State *L, const char *path, const char *chunk_name, int *ret_error)
{
	char *text = NULL;
	size_t length = 0;

	lua_pushfstring(L, "@%s", chunk_name);
	*ret_error = read_regular_file(path, &text, &length);
	if (*ret_error < 0) {
		lua_pushfstring(L, "cannot read %s: %s", path, bind_file_error(-*ret_error));
		lua_remove(L, -2);
		return LUA_ERRFILE;
	}
	const char *code = skip_interpreter(text, &length);
	int status = luaL_loadbufferx(L, code, length, lua_tostring(L, -1), "t");
	free(text);
	lua_remove(L, -2);
	return status;
}

/* ---- require */

static int compare_name(const void *name, const void *module)
{
	return strcmp(name, ((const struct embed_module *)module)->name);
}

static bool is_own_name(const char *name)
{
	return strncmp(name, "moonrise.", 9) == 0 || strcmp(name, "moonrise") == 0;
}

/* Every finder pushes a loader and a place for it and returns true; or nothing. */
static bool find_system(lua_State *L, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(system_modules); i++) {
		if (strcmp(system_modules[i].name, name) != 0)
			continue;
		lua_pushcfunction(L, system_modules[i].func);
		lua_pushliteral(L, ":sys:");
		return true;
	}
	return false;
}

static bool bytecode_was_read;

void bind_forget_bytecode(void)
{
	if (bytecode_was_read)
		(void)madvise((void *)embed_bytes, embed_size, MADV_DONTNEED);
	bytecode_was_read = false;
}

static bool find_embedded(lua_State *L, const char *name)
{
	const struct embed_module *m =
		bsearch(name, embed_modules, embed_count, sizeof(*m), compare_name);

	if (!m)
		return false;
	bytecode_was_read = true;
	if (luaL_loadbufferx(L, (const char *)m->chunk, m->size, name, "b") != LUA_OK)
		lua_error(L);
	lua_pushliteral(L, ":embedded:");
	return true;
}

/* Our own modules keep their short names in tracebacks wherever they are from. */
static bool find_file(lua_State *L, const char *name, const char *dir, const char *suffix)
{
	char path[PATH_MAX];
	size_t start = strlen(dir) + 1, end = start + strlen(name);
	int error;

	if (snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix) >= (int)sizeof(path))
		return false;
	for (size_t i = start; i < end; i++)
		if (path[i] == '.')
			path[i] = '/';
	if (load_file(L, path, is_own_name(name) ? path + start : path, &error) == LUA_OK) {
		lua_pushstring(L, path);
		return true;
	}
	if (error != -ENOENT && error != -ENOTDIR)
		lua_error(L);
	lua_pop(L, 1);
	return false;
}

static bool find_in_dir(lua_State *L, const char *name, const char *dir)
{
	return find_file(L, name, dir, ".lua") || find_file(L, name, dir, "/init.lua");
}

static bool find_preloaded(lua_State *L, const char *name)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return false;
	}
	lua_pushliteral(L, ":preload:");
	return true;
}

static bool find_in_libraries(lua_State *L, const char *name)
{
	const char *script = host_options()->script;
	const char *slash = script ? strrchr(script, '/') : NULL;
	char dir[PATH_MAX];

	if (!script)
		return false;
	if (!slash)
		(void)snprintf(dir, sizeof(dir), ".");
	else
		(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - script), script);
	if (find_in_dir(L, name, dir))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(library_dirs); i++)
		if (find_in_dir(L, name, library_dirs[i]))
			return true;
	return false;
}

static bool find_module(lua_State *L, const char *name)
{
	const char *lua_dir = host_options()->lua_dir;

	return find_system(L, name) || (lua_dir && find_in_dir(L, name, lua_dir)) ||
	       (is_own_name(name) && find_embedded(L, name)) || find_preloaded(L, name) ||
	       find_in_libraries(L, name) || find_embedded(L, name);
}

/* Stack: 1 name, 2 table of the loaded, 3 place, 4 what the loader returned. */
static int finish_require(lua_State *L, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	if (!lua_isnil(L, 4)) {
		lua_pushvalue(L, 1);
		lua_pushvalue(L, 4);
		lua_rawset(L, 2);
	}
	lua_pushvalue(L, 1);
	if (lua_rawget(L, 2) == LUA_TNIL) {
		lua_pushvalue(L, 1);
		lua_pushboolean(L, 1);
		lua_rawset(L, 2);
		lua_pushboolean(L, 1);
	}
	lua_pushvalue(L, 3);
	return 2;
}

static int l_require(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	lua_settop(L, 1);
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	if (lua_getfield(L, 2, name) != LUA_TNIL)
		return 1;
	lua_pop(L, 1);
	if (!find_module(L, name))
		return luaL_error(L, "no module '%s': looked in the script's folder, %s, %s, %s",
				  name, library_dirs[0], library_dirs[1], library_dirs[2]);
	lua_insert(L, 3); /* place below the loader */
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 3);
	lua_callk(L, 2, 1, 0, finish_require);
	return finish_require(L, LUA_OK, 0);
}

/* ---- load and friends */

static int l_loadfile(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	bool has_env = !lua_isnone(L, 3);
	int error;

	if (load_file(L, path, path, &error) != LUA_OK) {
		lua_pushnil(L);
		lua_insert(L, -2);
		return 2;
	}
	if (has_env) {
		lua_pushvalue(L, 3);
		lua_setupvalue(L, -2, 1);
	}
	return 1;
}

static int finish_dofile(lua_State *L, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	return lua_gettop(L) - 1;
}

static int l_dofile(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	int error;

	lua_settop(L, 1);
	if (load_file(L, path, path, &error) != LUA_OK)
		return lua_error(L);
	lua_callk(L, 0, LUA_MULTRET, 0, finish_dofile);
	return finish_dofile(L, LUA_OK, 0);
}

/* Lua's own load (the upvalue), with the mode fixed to text. */
static int l_load(lua_State *L)
{
	bool has_env = !lua_isnone(L, 4);

	lua_settop(L, has_env ? 4 : 3);
	lua_pushliteral(L, "t");
	lua_replace(L, 3);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

void bind_require_install(lua_State *L)
{
	lua_getglobal(L, "load");
	lua_pushcclosure(L, l_load, 1);
	lua_setglobal(L, "load");
	lua_register(L, "require", l_require);
	lua_register(L, "loadfile", l_loadfile);
	lua_register(L, "dofile", l_dofile);

	lua_createtable(L, 0, 2);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_setfield(L, -2, "loaded");
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	lua_setfield(L, -2, "preload");
	lua_setglobal(L, "package");
}
