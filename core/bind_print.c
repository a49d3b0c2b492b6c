/* SPDX-License-Identifier: MIT */
/* print and io.write of a boot. Lua's own would wait for whoever reads the
 * container's stdout; here it comes out in whole lines, as what the services say
 * does, but without a name in front. What finds no room is dropped. */
#include "bind.h"
#include "output.h"
#include "record.h"

#include <stdlib.h>

#define PIECE_MAX (16 * 1024)

struct stream {
	struct output *(*output)(void);
	const char *name;
};

static const struct stream to_stdout = { output_stdout, "stdout" };
static const struct stream to_stderr = { output_stderr, "stderr" };

static void put_record(const struct stream *stream, const struct record *record)
{
	enum record_format format = record_format_from(getenv("MOONRISE_LOG"));
	struct output *output = stream->output();
	char *room;

	if (format == RECORD_PREFIX)
		format = RECORD_PLAIN;
	room = output_reserve(output, record_room(format, record));
	if (room)
		output_commit(output, record_write(format, record, room));
	(void)output_flush(output);
}

static void put(const struct stream *stream, const char *text, size_t length)
{
	struct record record = { .name = "moonrise", .key = "stream", .value = stream->name };

	do {
		record.partial = length > PIECE_MAX;
		record.text = text;
		record.length = record.partial ? PIECE_MAX : length;
		put_record(stream, &record);
		text += record.length;
		length -= record.length;
	} while (length > 0);
}

/* The arguments from `first` on, as one text; a newline at its end is the line's. */
static void say(lua_State *L, const struct stream *stream, int first, const char *between)
{
	int last = lua_gettop(L);
	luaL_Buffer buffer;
	const char *text;
	size_t length;

	luaL_buffinit(L, &buffer);
	for (int i = first; i <= last; i++) {
		if (i > first)
			luaL_addstring(&buffer, between);
		(void)luaL_tolstring(L, i, NULL);
		luaL_addvalue(&buffer);
	}
	luaL_pushresult(&buffer);
	text = lua_tolstring(L, -1, &length);
	length -= length > 0 && text[length - 1] == '\n';
	put(stream, text, length);
}

static int l_print(lua_State *L)
{
	say(L, &to_stdout, 1, "\t");
	return 0;
}

static int l_write(lua_State *L)
{
	say(L, &to_stdout, 1, "");
	return 0;
}

/* io.stderr:write(...) */
static int l_stream_write(lua_State *L)
{
	say(L, lua_touserdata(L, lua_upvalueindex(1)), 2, "");
	lua_settop(L, 1);
	return 1;
}

/* io.NAME = { write = ... }; io is on top. */
static void set_stream(lua_State *L, const struct stream *stream)
{
	lua_createtable(L, 0, 1);
	lua_pushlightuserdata(L, (void *)stream);
	lua_pushcclosure(L, l_stream_write, 1);
	lua_setfield(L, -2, "write");
	lua_setfield(L, -2, stream->name);
}

void bind_print_install(lua_State *L)
{
	lua_register(L, "print", l_print);
	lua_getglobal(L, LUA_IOLIBNAME);
	lua_pushcfunction(L, l_write);
	lua_setfield(L, -2, "write");
	set_stream(L, &to_stdout);
	set_stream(L, &to_stderr);
	lua_pop(L, 1);
}
