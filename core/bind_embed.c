/* SPDX-License-Identifier: MIT */
/* Makes a Lua function of a module inside the binary. Only what has to be writable
 * is made, in one block for each module: the functions' heads, constants and upvalues.
 * The collector does not know these (EMBED_MARK), so a table in the registry keeps
 * the strings alive: each is interned once, however many functions name it. */
#include "bind.h"
#include "embed.h"

#include <lstate.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

struct reader {
	const struct embed_module *module;
	const struct embed_function *function;
	const Instruction *code;
	const ls_byte *line;
	const AbsLineInfo *absolute;
	const unsigned short *constant;
	Proto *proto;
	TValue *value;
	Upvaldesc *upvalue;
	Proto **inner;
	int anchors; /* index of the table, and how many are in it */
	lua_Integer anchored;
};

static bool is_used;

void bind_embed_forget(void)
{
	if (is_used)
		memset(embed_strings, 0, embed_string_count * sizeof(*embed_strings));
	is_used = false;
}

static bool was_read;

void bind_embed_drop(void)
{
	if (was_read && embed_read_once)
		(void)madvise((void *)embed_read_once,
			      (size_t)(embed_read_once_end - embed_read_once), MADV_DONTNEED);
	was_read = false;
}

static TString *string(lua_State *L, struct reader *r, unsigned index)
{
	if (!embed_strings[index]) {
		unsigned at = embed_string_at[index];

		lua_pushlstring(L, embed_text + at, embed_string_at[index + 1] - at);
		TString *made = (TString *)lua_topointer(L, -1);
		lua_rawseti(L, r->anchors, ++r->anchored);
		embed_strings[index] = made;
		is_used = true;
	}
	return embed_strings[index];
}

static TValue *read_constants(lua_State *L, struct reader *r, int count)
{
	TValue *values = r->value;

	r->value += count;
	for (int i = 0; i < count; i++) {
		unsigned index = *r->constant++;

		if (index < embed_string_count) {
			setsvalue(L, &values[i], string(L, r, index));
		} else {
			values[i] = embed_numbers[UINT16_MAX - index];
		}
	}
	return values;
}

static Upvaldesc *read_upvalues(struct reader *r, const struct embed_function *e)
{
	Upvaldesc *upvalues = r->upvalue;

	r->upvalue += e->upvalue_count;
	for (int i = 0; i < e->upvalue_count; i++) {
		const unsigned char *u = embed_upvalues[e->upvalues + i];

		upvalues[i] = (Upvaldesc){ .instack = u[0], .idx = u[1], .kind = u[2] };
	}
	return upvalues;
}

static Proto *read_function(lua_State *L, struct reader *r)
{
	const struct embed_function *e = r->function++;
	Proto *f = r->proto++;

	*f = (Proto){ .tt = LUA_VPROTO,
		      .marked = EMBED_MARK,
		      .numparams = e->parameters,
		      .is_vararg = e->is_vararg,
		      .maxstacksize = e->stack,
		      .sizeupvalues = e->upvalue_count,
		      .sizek = e->constants,
		      .sizecode = e->code,
		      .sizelineinfo = e->code,
		      .sizep = e->functions,
		      .sizeabslineinfo = e->absolute,
		      .linedefined = e->line,
		      .lastlinedefined = e->last_line,
		      .code = (Instruction *)r->code,
		      .p = r->inner,
		      .upvalues = read_upvalues(r, e),
		      .lineinfo = (ls_byte *)r->line,
		      .abslineinfo = (AbsLineInfo *)r->absolute,
		      .source = (TString *)r->module->source };
	f->k = read_constants(L, r, e->constants);
	r->code += e->code;
	r->line += e->code;
	r->absolute += e->absolute;
	r->inner += e->functions;
	for (int i = 0; i < f->sizep; i++)
		f->p[i] = read_function(L, r);
	return f;
}

/* The block with all functions of a module, on the stack. */
static Proto *read_module(lua_State *L, const struct embed_module *m, int anchors)
{
	size_t protos = m->function_count * sizeof(Proto),
	       values = m->constant_count * sizeof(TValue),
	       upvalues = m->upvalue_count * sizeof(Upvaldesc),
	       inner = m->function_count * sizeof(Proto *);
	char *block = lua_newuserdatauv(L, protos + values + upvalues + inner, 0);
	struct reader reader = { .module = m,
				 .function = m->functions,
				 .code = m->code,
				 .line = m->lines,
				 .absolute = m->absolute,
				 .constant = m->constants,
				 .proto = (Proto *)block,
				 .value = (TValue *)(block + protos),
				 .upvalue = (Upvaldesc *)(block + protos + values),
				 .inner = (Proto **)(block + protos + values + upvalues),
				 .anchors = anchors,
				 .anchored = (lua_Integer)lua_rawlen(L, anchors) };

	was_read = true;
	return read_function(L, &reader);
}

/* Nothing of it ever goes: a try that ran out of memory has left strings that other
 * modules may use by now, and a second function has the same parts. */
static Proto *find_or_read(lua_State *L, const struct embed_module *m)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, m) == LUA_TNIL) {
		lua_createtable(L, (int)m->new_strings, 1);
		lua_pushvalue(L, -1);
		lua_rawsetp(L, LUA_REGISTRYINDEX, m);
	}
	int anchors = lua_gettop(L);
	if (lua_rawgetp(L, anchors, m) != LUA_TNIL)
		return lua_touserdata(L, -1);
	Proto *f = read_module(L, m, anchors);
	lua_rawsetp(L, anchors, m);
	return f;
}

void bind_load_embedded(lua_State *L, const struct embed_module *m)
{
	int top = lua_gettop(L);
	Proto *f = find_or_read(L, m);

	lua_settop(L, top);
	/* The function that it becomes has, as each main function, _ENV alone. */
	if (luaL_loadbufferx(L, "", 0, m->name, "t") != LUA_OK)
		lua_error(L);
	((LClosure *)lua_topointer(L, -1))->p = f;
}
