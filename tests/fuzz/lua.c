/* SPDX-License-Identifier: MIT */
/* libFuzzer for modules in Lua: HARNESS names a file of Lua that returns a function;
 * it is called with any text and must not raise. What the fuzzer learns from is which
 * lines of Lua follow each other. The file may return how many of them one call may
 * run (loops in loops are not what is looked for), and true where more is a finding. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNTERS (1 << 14)

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];
static lua_Integer last_line, lines_run, max_lines;
static bool is_endless_wrong;

static void on_line(lua_State *L, lua_Debug *ar)
{
	lua_Integer line = ar->currentline;

	counters[(line * 31 + last_line * 1021) % COUNTERS]++;
	last_line = line;
	if (++lines_run > max_lines)
		luaL_error(L, "it goes on for ever");
}

_Noreturn static void give_up(lua_State *L)
{
	fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
	abort();
}

/* The time is in the seed of Lua's hashes, and so in the order of its tables. */
time_t __wrap_time(time_t *ret_time);

time_t __wrap_time(time_t *ret_time)
{
	if (ret_time)
		*ret_time = 0;
	return 0;
}

static lua_State *start(void)
{
	lua_State *L = luaL_newstate();

	luaL_openlibs(L);
	if (luaL_dostring(L, "package.path = 'lua/?.lua;/usr/share/lua/5.4/?.lua'") != LUA_OK ||
	    luaL_loadfile(L, HARNESS) != LUA_OK || lua_pcall(L, 0, 3, 0) != LUA_OK)
		give_up(L);
	max_lines = luaL_optinteger(L, 2, 50000);
	is_endless_wrong = lua_toboolean(L, 3);
	lua_settop(L, 1);
	lua_sethook(L, on_line, LUA_MASKLINE, 0);
	return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static lua_State *L;

	if (!L) {
		(void)setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
		L = start();
	}
	last_line = lines_run = 0;
	lua_pushvalue(L, 1);
	lua_pushlstring(L, (const char *)data, size);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK && (lines_run <= max_lines || is_endless_wrong))
		give_up(L);
	lua_settop(L, 1);
	return 0;
}
