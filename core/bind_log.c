/* SPDX-License-Identifier: MIT */
/* sys.log: moonrise's own messages, and the services' output. */
#include "bind.h"
#include "follow.h"
#include "forward.h"
#include "intake.h"
#include "log.h"
#include "logfile.h"
#include "record.h"
#include "relay.h"
#include "tail.h"

#include <errno.h>
#include <unistd.h>

#define RELAY_TYPE "sys.log.relay"
#define TAIL_TYPE "sys.log.tail"
#define FOLLOW_TYPE "sys.log.follow"
#define OUTPUT_TYPE "sys.log.output"

/* line(level, text) */
static int l_line(lua_State *L)
{
	size_t length;
	int level = level_number(luaL_checkstring(L, 1));
	luaL_argcheck(L, level >= 0, 1, "no level");
	const char *text = luaL_checklstring(L, 2, &length);
	log_line((enum level)level, text, length);
	return 0;
}

/* ---- tails */

/* tail() -> tail: what relays that are given it have read last */
static int l_tail(lua_State *L)
{
	struct tail **tail = lua_newuserdatauv(L, sizeof(struct tail *), 0);
	*tail = NULL;
	luaL_setmetatable(L, TAIL_TYPE);
	*tail = tail_new();
	return *tail ? 1 : luaL_error(L, "not enough memory");
}

static struct tail *check_tail(lua_State *L, int index)
{
	return *(struct tail **)luaL_checkudata(L, index, TAIL_TYPE);
}

struct tail *bind_test_tail(lua_State *L, int index)
{
	struct tail **tail = luaL_testudata(L, index, TAIL_TYPE);
	return tail ? *tail : NULL;
}

static void add_chunk(luaL_Buffer *buffer, const struct tail_chunk *chunk)
{
	luaL_addlstring(buffer, chunk->parts[0], chunk->sizes[0]);
	luaL_addlstring(buffer, chunk->parts[1], chunk->sizes[1]);
}

/* tail:finish() -> position: where the next chunk will be */
static int l_tail_finish(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)tail_end(check_tail(L, 1)));
	return 1;
}

/* tail:time(position) -> nanoseconds: when the chunk there was read; nil: there is none */
static int l_tail_time(lua_State *L)
{
	uint64_t position = (uint64_t)luaL_checkinteger(L, 2);
	struct tail_chunk chunk;

	if (!tail_next(check_tail(L, 1), &position, &chunk))
		return 0;
	lua_pushinteger(L, chunk.time);
	return 1;
}

/* tail:read(position) -> text, next position, stream, is first, is cut */
static int l_tail_read(lua_State *L)
{
	const struct tail *tail = check_tail(L, 1);
	uint64_t position = (uint64_t)luaL_checkinteger(L, 2);
	struct tail_chunk chunk;
	luaL_Buffer buffer;

	if (!tail_next(tail, &position, &chunk))
		return 0;
	luaL_buffinit(L, &buffer);
	add_chunk(&buffer, &chunk);
	luaL_pushresult(&buffer);
	lua_pushinteger(L, (lua_Integer)position);
	lua_pushstring(L, speaker_stream_names[chunk.stream]);
	lua_pushboolean(L, chunk.is_first);
	lua_pushboolean(L, chunk.is_cut);
	return 5;
}

static void something_came(unsigned id)
{
	(void)bind_push_event(&(struct bind_event){ .kind = EVENT_TAIL, .id = id });
}

/* tail:wake(id): with what comes next there is an event, "tail", id */
static int l_tail_wake(lua_State *L)
{
	tail_wake(check_tail(L, 1), something_came, (unsigned)luaL_checkinteger(L, 2));
	return 0;
}

static int l_tail_close(lua_State *L)
{
	struct tail **tail = luaL_checkudata(L, 1, TAIL_TYPE);
	tail_unref(*tail);
	*tail = NULL;
	return 0;
}

/* format(time, name, stream, text, level) -> a line of JSON, as MOONRISE_LOG=json has it */
static int l_format(lua_State *L)
{
	struct record record = { .time = luaL_checkinteger(L, 1),
				 .name = luaL_checkstring(L, 2),
				 .stream = luaL_checkstring(L, 3),
				 .level = luaL_optstring(L, 5, NULL) };
	luaL_Buffer buffer;

	record.text = luaL_checklstring(L, 4, &record.length);
	char *dst = luaL_buffinitsize(L, &buffer, record_room(RECORD_JSON, &record));
	luaL_pushresultsize(&buffer, record_write(RECORD_JSON, &record, dst));
	return 1;
}

/* level(line) -> line without the "<4>" that it begins with, the level's name or nil */
static int l_level(lua_State *L)
{
	size_t length;
	const char *text = luaL_checklstring(L, 1, &length);
	enum level level = speaker_take_level(&text, &length);

	lua_pushlstring(L, text, length);
	lua_pushstring(L, level_name(level));
	return 2;
}

/* ---- where it comes from */

/* serve([root]): syslog and the journal, from the first call on */
static int l_serve(lua_State *L)
{
	intake_open(luaL_optstring(L, 1, ""));
	return 0;
}

/* ---- outputs other than the container's */

static const char *const formats[] = { "prefix", "plain", "json", NULL };

static struct output **new_output(lua_State *L)
{
	struct output **output = lua_newuserdatauv(L, sizeof(struct output *), 0);
	*output = NULL;
	luaL_setmetatable(L, OUTPUT_TYPE);
	return output;
}

/* to_pipe(fd, format) -> output: takes the descriptor over */
static int l_to_pipe(lua_State *L)
{
	int format = luaL_checkoption(L, 2, NULL, formats);
	struct output **output = new_output(L);
	int fd = bind_take_fd(L, 1);

	*output = output_new_pipe(fd, (enum record_format)format);
	if (*output)
		return 1;
	int error = errno;
	close(fd);
	return bind_fail(L, error, "pipe");
}

/* to_file(path, max, keep, format) -> output: max 0: it is never full */
static int l_to_file(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	lua_Integer max = luaL_checkinteger(L, 2), keep = luaL_checkinteger(L, 3);
	int format = luaL_checkoption(L, 4, NULL, formats);
	struct output **output = new_output(L);
	struct logfile file;

	int r = logfile_open(path, max, (unsigned)keep, &file);
	if (r < 0)
		return bind_fail(L, r, path);
	*output = output_new_file(&file, (enum record_format)format);
	if (*output)
		return 1;
	logfile_close(&file);
	return bind_fail(L, ENOMEM, path);
}

/* to_journal(path) -> output | nil, reason, errno: there is no journal */
static int l_to_journal(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct output **output = new_output(L);
	struct forward forward;

	int fd = intake_serves(path) ? -ECONNREFUSED : forward_open(path, &forward);
	if (fd < 0)
		return bind_fail(L, fd, path);
	*output = output_new_journal(fd, &forward);
	if (*output)
		return 1;
	close(fd);
	return bind_fail(L, ENOMEM, path);
}

/* NULL: it is not given. */
static struct output *opt_output(lua_State *L, int index)
{
	struct output **output =
		lua_isnoneornil(L, index) ? NULL : luaL_checkudata(L, index, OUTPUT_TYPE);
	return output ? *output : NULL;
}

struct output *bind_test_output(lua_State *L, int index)
{
	struct output **output = luaL_testudata(L, index, OUTPUT_TYPE);
	return output ? *output : NULL;
}

/* output:flush() -> boolean: nothing waits in it any more */
static int l_output_flush(lua_State *L)
{
	struct output *output = opt_output(L, 1);
	lua_pushboolean(L, !output || output_flush(output));
	return 1;
}

/* output:close(): no more is written, whoever still has it */
static int l_output_close(lua_State *L)
{
	struct output *output = opt_output(L, 1);
	if (output)
		output_close(output);
	return 0;
}

static int l_output_gc(lua_State *L)
{
	struct output **output = luaL_checkudata(L, 1, OUTPUT_TYPE);
	if (*output)
		output_unref(*output);
	*output = NULL;
	return 0;
}

static const luaL_Reg output_methods[] = {
	{ "flush", l_output_flush },
	{ "close", l_output_close },
	{ "__gc", l_output_gc },
	{ NULL, NULL },
};

/* ---- relays */

/* relay(fd, name, stream, tail, output) -> relay: takes the descriptor over */
static int l_relay(lua_State *L)
{
	const char *name = luaL_checkstring(L, 2);
	int stream = luaL_checkoption(L, 3, NULL, speaker_stream_names);
	struct tail *tail = check_tail(L, 4);
	struct output *output = opt_output(L, 5);
	struct relay **relay = lua_newuserdatauv(L, sizeof(struct relay *), 0);
	*relay = NULL;
	luaL_setmetatable(L, RELAY_TYPE);

	*relay = relay_new(bind_take_fd(L, 1), name, (enum speaker_stream)stream, tail);
	if (!*relay)
		return bind_fail(L, errno, name);
	if (output)
		relay_send_to(*relay, output);
	return 1;
}

static struct relay *check_relay(lua_State *L)
{
	struct relay **relay = luaL_checkudata(L, 1, RELAY_TYPE);
	luaL_argcheck(L, *relay, 1, "the relay is closed");
	return *relay;
}

/* relay:drained() -> boolean */
static int l_drained(lua_State *L)
{
	lua_pushboolean(L, relay_drained(check_relay(L)));
	return 1;
}

/* relay:tail() -> string: the last bytes that came */
static int l_relay_tail(lua_State *L)
{
	const struct relay *relay = check_relay(L);
	struct tail_chunk chunk;
	uint64_t position = 0;
	luaL_Buffer buffer;

	luaL_buffinit(L, &buffer);
	while (relay_tail_next(relay, &position, &chunk))
		add_chunk(&buffer, &chunk);
	luaL_pushresult(&buffer);
	return 1;
}

static void line_came(unsigned id, const char *text, size_t length)
{
	(void)bind_push_event(&(struct bind_event){
		.kind = EVENT_LINE, .id = id, .text = text, .length = length });
}

/* relay:watch() -> id: each line is also an event, "line", id, text */
static int l_watch(lua_State *L)
{
	static unsigned counter;
	struct relay *relay = check_relay(L);

	relay_watch(relay, line_came, ++counter);
	lua_pushinteger(L, counter);
	return 1;
}

/* relay:unwatch() */
static int l_unwatch(lua_State *L)
{
	relay_watch(check_relay(L), NULL, 0);
	return 0;
}

static int l_close(lua_State *L)
{
	struct relay **relay = luaL_checkudata(L, 1, RELAY_TYPE);
	if (*relay)
		relay_watch(*relay, NULL, 0);
	relay_release(*relay);
	*relay = NULL;
	return 0;
}

/* ---- followed files */

/* follow(pattern, name, tail, output) -> follow: closed, it is not followed any more */
static int l_follow(lua_State *L)
{
	const char *pattern = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
	struct tail *tail = check_tail(L, 3);
	struct output *output = opt_output(L, 4);
	struct follow **follow = lua_newuserdatauv(L, sizeof(struct follow *), 0);
	*follow = NULL;
	luaL_setmetatable(L, FOLLOW_TYPE);
	*follow = follow_new(pattern, name, tail, output);
	return *follow ? 1 : bind_fail(L, errno, pattern);
}

static int l_follow_close(lua_State *L)
{
	struct follow **follow = luaL_checkudata(L, 1, FOLLOW_TYPE);
	follow_free(*follow);
	*follow = NULL;
	return 0;
}

static const luaL_Reg follow_methods[] = {
	{ "close", l_follow_close },
	{ "__gc", l_follow_close },
	{ NULL, NULL },
};

static const luaL_Reg methods[] = {
	{ "drained", l_drained }, { "tail", l_relay_tail }, { "watch", l_watch },
	{ "unwatch", l_unwatch }, { "close", l_close },     { "__gc", l_close },
	{ "__close", l_close },   { NULL, NULL },
};

static const luaL_Reg tail_methods[] = {
	{ "finish", l_tail_finish }, { "time", l_tail_time },  { "read", l_tail_read },
	{ "wake", l_tail_wake },     { "__gc", l_tail_close }, { NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "serve", l_serve },     { "line", l_line },
	{ "relay", l_relay },     { "tail", l_tail },
	{ "format", l_format },   { "level", l_level },
	{ "follow", l_follow },   { "to_pipe", l_to_pipe },
	{ "to_file", l_to_file }, { "to_journal", l_to_journal },
	{ NULL, NULL },
};

int bind_open_log(lua_State *L)
{
	bind_new_type(L, RELAY_TYPE, methods);
	bind_new_type(L, TAIL_TYPE, tail_methods);
	bind_new_type(L, FOLLOW_TYPE, follow_methods);
	bind_new_type(L, OUTPUT_TYPE, output_methods);
	luaL_newlib(L, functions);
	return 1;
}
