/* SPDX-License-Identifier: MIT */
/* libFuzzer: moonrise.template with any text as the template. It must give a text
 * or say what is wrong, with a line that the template has; never raise. What the
 * fuzzer learns from is which lines of Lua follow each other. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNTERS (1 << 14)
#define MAX_LINES 50000 /* of Lua: loops in loops are not what is looked for */

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];
static unsigned last_line, lines_run;

static const char harness[] =
	"package.path = 'lua/?.lua'\n"
	"local template, secret = require 'moonrise.template', require 'moonrise.secret'\n"
	"local strict = require 'moonrise.strict'\n"
	"local values = { a = 'text', n = 7, yes = true, no = false, f = print, s = secret.new 'pw',\n"
	"  L = { 'x', 'y' }, E = {}, t = { a = { b = 'c' }, L = { 1 } } }\n"
	"local settings = strict.readonly(values, 'setting', setmetatable({ unset = true }, { __index = values }))\n"
	"return function(text)\n"
	"  for _, v in ipairs { values, settings } do\n"
	"    local result, why = template.render(text, v, 'T')\n"
	"    if result then\n"
	"      assert(text:find('{{', 1, true) or result == text, 'plain text was changed')\n"
	"    else\n"
	"      local line = tonumber(why:match('^T:(%d+): .'))\n"
	"      assert(line and line <= select(2, text:gsub('\\n', '')) + 1, why)\n"
	"    end\n"
	"  end\n"
	"end\n";

static void on_line(lua_State *L, lua_Debug *ar)
{
	unsigned line = (unsigned)ar->currentline;

	counters[(line * 31 + last_line * 1021) % COUNTERS]++;
	last_line = line;
	if (++lines_run > MAX_LINES)
		luaL_error(L, "too many lines");
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

	if (!L)
		L = start();
	last_line = lines_run = 0;
	lua_pushvalue(L, 1);
	lua_pushlstring(L, (const char *)data, size);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK && lines_run <= MAX_LINES) {
		fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
		abort();
	}
	lua_settop(L, 1);
	return 0;
}
