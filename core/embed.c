/* SPDX-License-Identifier: MIT */
/* Build-time tool: compiles Lua modules to bytecode and writes them as one C
 * file, the array of embed.h. Line numbers stay in, so that a traceback says
 * "moonrise/fs.lua:41". It is linked with the same Lua as moonrise itself:
 * bytecode is only valid for the Lua that made it.
 *
 *     embed lua//moonrise/init.lua lua//moonrise/fs.lua ... > embedded.c
 *
 * The part of a path behind "//" is what require maps to a module's name. */
#include <lauxlib.h>
#include <lobject.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct module {
	const char *path; /* lua//moonrise/fs.lua */
	const char *file; /* moonrise/fs.lua */
	char name[128];   /* moonrise.fs */
	size_t offset, size;
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

static size_t written;

static int write_bytes(lua_State *L, const void *data, size_t len, void *unused)
{
	(void)L;
	(void)unused;
	const unsigned char *p = data;
	for (size_t i = 0; i < len; i++)
		printf("%u,%s", p[i], ++written % 24 ? "" : "\n");
	return 0;
}

/* The names of local variables and upvalues are half of all strings in the
 * bytecode, and PID 1 would have to read them at each start. Lines stay. */
static void strip_names(Proto *function)
{
	function->sizelocvars = 0;
	for (int i = 0; i < function->sizeupvalues; i++)
		function->upvalues[i].name = NULL;
	for (int i = 0; i < function->sizep; i++)
		strip_names(function->p[i]);
}

static void write_chunk(lua_State *L, struct module *m)
{
	size_t len;
	char chunkname[160];
	char *text = read_all(m->path, &len);
	snprintf(chunkname, sizeof(chunkname), "@%s", m->file);
	if (luaL_loadbufferx(L, text, len, chunkname, "t") != LUA_OK)
		fail(m->path, lua_tostring(L, -1));
	free(text);

	strip_names(((const LClosure *)lua_topointer(L, -1))->p);
	m->offset = written;
	lua_dump(L, write_bytes, NULL, 0);
	m->size = written - m->offset;
	lua_pop(L, 1);
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
	qsort(modules, count, sizeof(*modules), by_name);

	printf("#include \"embed.h\"\n\n");
	printf("const unsigned char embed_bytes[] __attribute__((aligned(EMBED_ALIGN))) = {\n");
	for (size_t i = 0; i < count; i++)
		write_chunk(L, &modules[i]);
	printf("};\nconst size_t embed_size = sizeof(embed_bytes);\n\n");
	printf("const struct embed_module embed_modules[] = {\n");
	for (size_t i = 0; i < count; i++)
		printf("\t{ \"%s\", embed_bytes + %zu, %zu },\n", modules[i].name,
		       modules[i].offset, modules[i].size);
	printf("};\nconst size_t embed_count = %zu;\n", count);

	free(modules);
	lua_close(L);
	if (fflush(stdout) != 0)
		fail("stdout", "cannot write");
	return 0;
}
