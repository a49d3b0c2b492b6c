/* SPDX-License-Identifier: MIT */
/* libFuzzer: moonrise.calendar with any text as the expression. It must say what is
 * wrong, or strike at times that come after each other; never raise, never search for
 * ever. What the fuzzer learns from is which lines of Lua follow each other. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNTERS (1 << 14)
#define MAX_LINES 20000000 /* of Lua: the years to the last one, day by day */

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];
static unsigned last_line, lines_run;

static const char harness[] =
	"package.path = 'lua/?.lua'\n"
	"local calendar = require 'moonrise.calendar'\n"
	"return function(text)\n"
	"  local spec, why = calendar.parse(text)\n"
	"  if not spec then return assert(type(why) == 'string' and why ~= '', 'no reason') end\n"
	"  local after = 1774749600.5 -- an hour before a change of the clock in Europe\n"
	"  for _ = 1, 3 do\n"
	"    local struck = calendar.next(spec, after)\n"
	"    if not struck then return end\n"
	"    assert(struck > after, 'it does not go on')\n"
	"    after = struck\n"
	"  end\n"
	"end\n";

static void on_line(lua_State *L, lua_Debug *ar)
{
	unsigned line = (unsigned)ar->currentline;

	counters[(line * 31 + last_line * 1021) % COUNTERS]++;
	last_line = line;
	if (++lines_run > MAX_LINES)
		luaL_error(L, "it searches for ever");
}

static lua_State *start(void)
{
	lua_State *L = luaL_newstate();

	luaL_openlibs(L);
	if (luaL_dostring(L, harness) != LUA_OK) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		abort();
	}
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
	if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
		fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
		abort();
	}
	lua_settop(L, 1);
	return 0;
}
