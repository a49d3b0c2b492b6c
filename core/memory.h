/* SPDX-License-Identifier: MIT */
/* The memory of the Lua state: counted, and refused beyond a limit, so that a
 * script that eats memory meets Lua's own error long before the container's
 * limit ends PID 1. */
#ifndef MOONRISE_MEMORY_H
#define MOONRISE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#define MEMORY_RESERVE (1UL << 20)

/* What Lua may use; the process may hold up to twice as much in blocks of sizes that
 * are not wanted any more. */
void memory_set_limit(size_t bytes);
size_t memory_limit(void);
size_t memory_used(void);

/* Raises the limit by MEMORY_RESERVE, once: for the orderly stop after the
 * limit was met. */
void memory_open_reserve(void);

/* true while malloc itself is at work: no moment to jump out of it. */
bool memory_busy(void);

/* A lua_Alloc. */
void *memory_allocate(void *data, void *block, size_t old_size, size_t new_size);

#endif
