/* SPDX-License-Identifier: MIT */
/* Build-time tool: compiles Lua modules to bytecode and writes them as one C
 * file, the arrays of embed.h. Line numbers stay in, so that a traceback says
 * "moonrise/fs.lua:41"; the names of local variables don't. It is linked with the
 * same Lua as moonrise itself: bytecode is only valid for the Lua that made it.
 *
 *     embed lua//moonrise/init.lua lua//moonrise/fs.lua ... > embedded.c
 *
 * The part of a path behind "//" is what require maps to a module's name. The first
 * modules lie together: those that each boot needs. */
#include <lauxlib.h>
#include <llimits.h>
#include <lobject.h>
#include <lstring.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct module {
	const char *path; /* lua//moonrise/fs.lua */
	const char *file; /* moonrise/fs.lua */
	char name[128];   /* moonrise.fs */
	size_t number, functions, constants, upvalues, strings;
};

static void fail(const char *path, const char *reason)
{
	fprintf(stderr, "embed: %s: %s\n", path, reason);
	exit(1);
}

static void module_init(struct module *m, const char *path)
{
	const char *split = strstr(path, "//");
	if (!split)
		fail(path, "no // before the module's name");
	m->path = path;
	m->file = split + 2;

	size_t len = strlen(m->file);
	if (len < 5 || len >= sizeof(m->name) || strcmp(m->file + len - 4, ".lua") != 0)
		fail(path, "not a .lua file");
	len -= 4;
	if (len > 5 && strncmp(m->file + len - 5, "/init", 5) == 0)
		len -= 5;
	memcpy(m->name, m->file, len);
	for (size_t i = 0; i < len; i++)
		if (m->name[i] == '/')
			m->name[i] = '.';
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct module *)a)->name, ((const struct module *)b)->name);
}

static char *read_all(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		fail(path, "cannot open");
	size_t len = 0, room = 1 << 20;
	char *text = malloc(room);
	if (!text)
		fail(path, "out of memory");
	len = fread(text, 1, room, f);
	if (len == room || ferror(f))
		fail(path, "cannot read, or larger than 1 MiB");
	fclose(f);
	*ret_len = len;
	return text;
}

/* ---- what functions of all modules share: each constant is there once */

static struct {
	char *text;
	size_t length;
} strings[UINT16_MAX];
static TValue numbers[UINT16_MAX];
static Upvaldesc upvalues[UINT16_MAX];
static size_t string_count, number_count, upvalue_count;

static size_t string_index(const TString *string)
{
	size_t i = 0, length = tsslen(string);

	while (i < string_count && (strings[i].length != length ||
				    memcmp(strings[i].text, getstr(string), length) != 0))
		i++;
	if (i == string_count) {
		strings[i].length = length;
		strings[i].text = malloc(length + 1);
		if (!strings[i].text)
			fail("a string", "out of memory");
		memcpy(strings[i].text, getstr(string), length);
		string_count++;
	}
	return i;
}

/* nil, booleans, integers and floats. */
static size_t number_index(const TValue *number)
{
	size_t i = 0;

	while (i < number_count && (rawtt(&numbers[i]) != rawtt(number) ||
				    (ttisnumber(number) && memcmp(&val_(&numbers[i]), &val_(number),
								  sizeof(number->value_)) != 0)))
		i++;
	if (i == number_count)
		numbers[number_count++] = *number;
	return i;
}

static bool same_upvalues(size_t at, const Proto *f)
{
	for (int i = 0; i < f->sizeupvalues; i++)
		if (upvalues[at + (size_t)i].instack != f->upvalues[i].instack ||
		    upvalues[at + (size_t)i].idx != f->upvalues[i].idx ||
		    upvalues[at + (size_t)i].kind != f->upvalues[i].kind)
			return false;
	return true;
}

static size_t upvalue_index(const Proto *f)
{
	size_t at = 0, count = (size_t)f->sizeupvalues;

	while (at + count <= upvalue_count && !same_upvalues(at, f))
		at++;
	if (at + count > upvalue_count) {
		at = upvalue_count;
		memcpy(&upvalues[at], f->upvalues, count * sizeof(*upvalues));
		upvalue_count += count;
	}
	return at;
}

static void write_strings(void)
{
	size_t at = 0;

	printf("const char embed_text[] =\n");
	for (size_t i = 0; i < string_count; i++) {
		printf("\t\"");
		for (size_t c = 0; c < strings[i].length; c++)
			printf("\\%03o", (unsigned char)strings[i].text[c]);
		printf("\"\n");
		free(strings[i].text);
	}
	printf("\t;\nconst unsigned embed_string_at[] = { 0");
	for (size_t i = 0; i < string_count; i++)
		printf(",%zu", at += strings[i].length);
	printf(" };\nconst unsigned embed_string_count = %zu;\n", string_count);
	printf("struct TString *embed_strings[%zu];\n", string_count);
}

static void write_numbers(void)
{
	printf("const TValue embed_numbers[] = {\n");
	for (size_t i = 0; i < number_count; i++) {
		if (ttisinteger(&numbers[i]))
			printf("\t{ { .i = (lua_Integer)%lluU }, LUA_VNUMINT },\n",
			       (unsigned long long)ivalue(&numbers[i]));
		else if (ttisfloat(&numbers[i]))
			printf("\t{ { .n = %a }, LUA_VNUMFLT },\n", fltvalue(&numbers[i]));
		else
			printf("\t{ { .i = 0 }, %d },\n", rawtt(&numbers[i]));
	}
	printf("};\n");
}

static void write_upvalues(void)
{
	printf("const unsigned char embed_upvalues[][3] = {\n");
	for (size_t i = 0; i < upvalue_count; i++)
		printf("\t{ %d, %d, %d },\n", upvalues[i].instack, upvalues[i].idx,
		       upvalues[i].kind);
	printf("};\n");
}

/* ---- one module: an array for each kind of thing, through all its functions */

static void write_code(const Proto *f)
{
	for (int i = 0; i < f->sizecode; i++)
		printf("%#x,", f->code[i]);
}

static void write_lines(const Proto *f)
{
	for (int i = 0; i < f->sizelineinfo; i++)
		printf("%d,", f->lineinfo[i]);
}

static void write_absolute_lines(const Proto *f)
{
	for (int i = 0; i < f->sizeabslineinfo; i++)
		printf("{%d,%d},", f->abslineinfo[i].pc, f->abslineinfo[i].line);
}

/* A number's index is written from the end on: how many strings there will be is not
 * known yet. */
static void write_constants(const Proto *f)
{
	for (int i = 0; i < f->sizek; i++)
		printf("%zu,", ttisstring(&f->k[i]) ? string_index(tsvalue(&f->k[i]))
						    : UINT16_MAX - number_index(&f->k[i]));
}

static void write_function(const Proto *f)
{
	printf("\n\t{ %d, %d, %d, %d, %d, %d, %zu, %d, %d, %d, %d },", f->sizecode, f->sizek,
	       f->sizeabslineinfo, f->sizep, f->linedefined, f->lastlinedefined, upvalue_index(f),
	       f->sizeupvalues, f->numparams, f->is_vararg, f->maxstacksize);
}

/* In the order in which they are read again: each one before those inside it. */
static void for_each(const Proto *f, void (*write)(const Proto *f))
{
	write(f);
	for (int i = 0; i < f->sizep; i++)
		for_each(f->p[i], write);
}

static size_t function_count, constant_count, upvalues_of_all;

static void count(const Proto *f)
{
	function_count++;
	constant_count += (size_t)f->sizek;
	upvalues_of_all += (size_t)f->sizeupvalues;
}

static void write_array(const char *type, const char *name, size_t module, const Proto *f,
			void (*write)(const Proto *f), const char *end)
{
	printf("static const %s %s_%zu[] = { ", type, name, module);
	for_each(f, write);
	printf("%s };\n", end);
}

static void write_module(lua_State *L, struct module *m, size_t number)
{
	size_t length;
	char chunkname[160];
	char *text = read_all(m->path, &length);
	snprintf(chunkname, sizeof(chunkname), "@%s", m->file);
	if (luaL_loadbufferx(L, text, length, chunkname, "t") != LUA_OK)
		fail(m->path, lua_tostring(L, -1));
	free(text);
	if (strlen(chunkname) > LUAI_MAXSHORTLEN)
		fail(m->path, "the name is too long");

	const Proto *f = ((const LClosure *)lua_topointer(L, -1))->p;
	size_t before = string_count;
	function_count = constant_count = upvalues_of_all = 0;
	for_each(f, count);
	m->number = number;
	m->functions = function_count;
	m->constants = constant_count;
	m->upvalues = upvalues_of_all;
	write_array("Instruction", "code", number, f, write_code, "");
	write_array("ls_byte", "lines", number, f, write_lines, "");
	write_array("AbsLineInfo", "absolute", number, f, write_absolute_lines, "{ 0, 0 }");
	write_array("unsigned short", "constants", number, f, write_constants, "0");
	write_array("struct embed_function", "functions", number, f, write_function, "\n");
	printf("static const struct embed_source source_%zu = EMBED_SOURCE(\"%s\");\n\n", number,
	       chunkname);
	m->strings = string_count - before;
	lua_pop(L, 1);
}

static void write_index(const struct module *modules, size_t count)
{
	printf("const struct embed_module embed_modules[] = {\n");
	for (size_t i = 0; i < count; i++) {
		size_t n = modules[i].number;

		printf("\t{ \"%s\", &source_%zu, code_%zu, lines_%zu, absolute_%zu, constants_%zu, "
		       "functions_%zu, %zu, %zu, %zu, %zu },\n",
		       modules[i].name, n, n, n, n, n, n, modules[i].functions,
		       modules[i].constants, modules[i].upvalues, modules[i].strings);
	}
	printf("};\nconst size_t embed_count = %zu;\n", count);
}

int main(int argc, char **argv)
{
	lua_State *L = luaL_newstate();
	size_t count = (size_t)argc - 1;
	struct module *modules = calloc(count + 1, sizeof(*modules));
	if (!L || !modules)
		fail("start", "out of memory");
	for (size_t i = 0; i < count; i++)
		module_init(&modules[i], argv[i + 1]);

	printf("#include \"embed.h\"\n\n");
	for (size_t i = 0; i < count; i++)
		write_module(L, &modules[i], i);
	if (string_count + number_count > UINT16_MAX || upvalue_count > UINT16_MAX)
		fail("the modules", "too many constants");
	write_strings();
	write_numbers();
	write_upvalues();
	qsort(modules, count, sizeof(*modules), by_name);
	write_index(modules, count);

	free(modules);
	lua_close(L);
	if (fflush(stdout) != 0)
		fail("stdout", "cannot write");
	return 0;
}
