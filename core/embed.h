/* SPDX-License-Identifier: MIT */
/* The Lua modules inside the binary, as bytecode. The array is written by the
 * build-time tool embed.c and sorted by name. */
#ifndef MOONRISE_EMBED_H
#define MOONRISE_EMBED_H

#include <stddef.h>

struct embed_module {
	const char *name; /* as in require: "moonrise.fs" */
	const unsigned char *chunk;
	size_t size;
};

extern const struct embed_module embed_modules[];
extern const size_t embed_count;

/* All chunks, in pages of their own: once read, they need not stay in memory. */
#define EMBED_ALIGN 4096
extern const unsigned char embed_bytes[];
extern const size_t embed_size;

#endif
