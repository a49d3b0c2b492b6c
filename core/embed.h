/* SPDX-License-Identifier: MIT */
/* The Lua modules inside the binary, as bytecode that is run where it lies: what
 * Lua's own loader would copy to the heap, string by string, stays in the file.
 * Written by the build-time tool embed.c, made a function of by bind_embed.c. */
#ifndef MOONRISE_EMBED_H
#define MOONRISE_EMBED_H

#include <lgc.h>
#include <lobject.h>
#include <stddef.h>

/* For the collector: neither white, so nothing marks or frees it, nor black. */
#define EMBED_MARK G_OLD

/* A TString with room for its text. */
struct embed_source {
	CommonHeader;
	lu_byte extra, shrlen;
	unsigned int hash;
	union {
		size_t lnglen;
		struct TString *hnext;
	} u;
	char contents[LUAI_MAXSHORTLEN + 1];
};
_Static_assert(offsetof(struct embed_source, contents) == offsetof(TString, contents), "TString");

#define EMBED_SOURCE(text)                                                           \
	{                                                                            \
		.tt = LUA_VSHRSTR, .marked = EMBED_MARK, .shrlen = sizeof(text) - 1, \
		.contents = text                                                     \
	}

/* A function, in the order in which it stands before those inside it. Its code, lines
 * and constants follow those of the function before it. */
struct embed_function {
	unsigned short code, constants, absolute, functions; /* how many of each */
	unsigned short line, last_line;
	unsigned short upvalues; /* where they begin in embed_upvalues */
	unsigned char upvalue_count, parameters, is_vararg, stack;
};

struct embed_module {
	const char *name; /* as in require: "moonrise.fs" */
	const struct embed_source *source;
	const Instruction *code;
	const ls_byte *lines;
	const AbsLineInfo *absolute;
	const unsigned short *constants; /* of embed_string_at, or from the end of embed_numbers */
	const struct embed_function *functions;
	size_t function_count, constant_count, upvalue_count;
	size_t new_strings; /* that no module before it has */
};

/* Sorted by name. */
extern const struct embed_module embed_modules[];
extern const size_t embed_count;

/* What is read once, where the linker has put it together. */
extern const char embed_read_once[] __attribute__((weak)),
	embed_read_once_end[] __attribute__((weak));

extern const char embed_text[];
extern const unsigned embed_string_at[], embed_string_count;
extern struct TString *embed_strings[]; /* as the state has them; NULL: not yet */
extern const TValue embed_numbers[];
extern const unsigned char embed_upvalues[][3]; /* instack, idx, kind */

#endif
