/* SPDX-License-Identifier: MIT */
/* A counting allocator for Lua, which tells us the size of each block itself:
 * nothing is stored beside the blocks. */
#include "memory.h"

#include <signal.h>
#include <stdlib.h>

static size_t limit, used, reserve;
static volatile sig_atomic_t busy;

void memory_set_limit(size_t bytes)
{
	limit = bytes;
}

size_t memory_limit(void)
{
	return limit;
}

size_t memory_used(void)
{
	return used;
}

void memory_open_reserve(void)
{
	reserve = MEMORY_RESERVE;
}

bool memory_busy(void)
{
	return busy;
}

void *memory_allocate(void *data, void *block, size_t old_size, size_t new_size)
{
	void *moved = NULL;

	(void)data;
	if (!block)
		old_size = 0; /* Lua passes the kind of object instead */
	if (new_size > old_size && new_size - old_size > limit + reserve - used)
		return NULL;
	busy = 1;
	if (new_size == 0)
		free(block);
	else
		moved = realloc(block, new_size);
	busy = 0;
	if (moved || new_size == 0)
		used += new_size - old_size;
	return moved;
}
