/* SPDX-License-Identifier: MIT */
/* Lua tells the size of a block when it gives it back, so blocks need no headers:
 * they are cut from large pieces, and a free block holds the link to the next free
 * one of its class. That saves the start of PID 1 a hundred system calls and page
 * faults that malloc would make. What is larger than LARGE_MAX is malloc's. */
#include "memory.h"

#include "util.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

/* Classes of sizes: multiples of STEP up to SMALL_MAX, then four for each doubling. */
#define STEP 16
#define SMALL_MAX 1024
#define SMALL_CLASSES (SMALL_MAX / STEP)
#define CLASSES (SMALL_CLASSES + 4 * 5)

#define FIRST (192 * 1024) /* what a small boot script needs */
#define PIECE (64 * 1024)

/* 0: malloc has them all, for ASan to watch. */
#ifndef MEMORY_LARGE_MAX
#define MEMORY_LARGE_MAX (32 * 1024)
#endif
#define LARGE_MAX ((size_t)MEMORY_LARGE_MAX)

struct block {
	struct block *next;
};

static size_t limit, reserve;
static size_t used; /* by Lua: this is limited */
static size_t held; /* pieces and large blocks */
static volatile sig_atomic_t busy;
static struct block *free_blocks[CLASSES];
static char *piece, *piece_end;

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

static size_t class_of(size_t size)
{
	size_t doublings, quarter;

	if (size <= SMALL_MAX)
		return (size - 1) / STEP;
	doublings = (size_t)(__builtin_clzl(SMALL_MAX) - __builtin_clzl(size - 1));
	quarter = (size - 1) >> (__builtin_ctzl(SMALL_MAX) + doublings - 2) & 3;
	return SMALL_CLASSES + 4 * doublings + quarter;
}

static size_t class_size(size_t class)
{
	size_t large = class - SMALL_CLASSES;

	if (class < SMALL_CLASSES)
		return (class + 1) * STEP;
	return ((size_t)SMALL_MAX / 4 * (large % 4 + 5)) << large / 4;
}

static void give_back(void *memory, size_t size)
{
	struct block *block = memory;

	block->next = free_blocks[class_of(size)];
	free_blocks[class_of(size)] = block;
}

/* The rest of the old piece becomes free blocks. */
static void split_rest(void)
{
	for (size_t class = CLASSES; class -- > 0;) {
		size_t size = class_size(class);

		for (; (size_t)(piece_end - piece) >= size; piece += size)
			give_back(piece, size);
	}
}

/* Free blocks of one class are no help to another, and a script that has met the
 * limit once must be able to go on; one that fills class after class must not. */
static bool may_hold(size_t more)
{
	size_t most = 2 * (limit + reserve);

	return more <= most && held <= most - more;
}

static bool new_piece(void)
{
	size_t size = piece ? PIECE : FIRST;
	int populate = piece ? 0 : MAP_POPULATE;
	char *memory = MAP_FAILED;

	if (may_hold(size))
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | populate, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	held += size;
	split_rest();
	piece = memory;
	piece_end = memory + size;
	return true;
}

static void *take(size_t size)
{
	size_t class = class_of(size);
	struct block *block = free_blocks[class];

	if (block) {
		free_blocks[class] = block->next;
		return block;
	}
	size = class_size(class);
	if ((size_t)(piece_end - piece) < size && !new_piece())
		return NULL;
	block = (struct block *)piece;
	piece += size;
	return block;
}

static void *resize_large(void *block, size_t old_size, size_t new_size)
{
	void *moved;

	if (new_size > old_size && !may_hold(new_size - old_size))
		return NULL;
	moved = realloc(block, new_size);
	if (moved)
		held += new_size - old_size;
	return moved;
}

static void *new_block(size_t size)
{
	return size <= LARGE_MAX ? take(size) : resize_large(NULL, 0, size);
}

static void drop_block(void *block, size_t size)
{
	if (size > LARGE_MAX) {
		free(block);
		held -= size;
	} else if (size > 0) {
		give_back(block, size);
	}
}

static void *move_block(void *block, size_t old_size, size_t new_size)
{
	void *moved;

	if (old_size > LARGE_MAX && new_size > LARGE_MAX)
		return resize_large(block, old_size, new_size);
	if (old_size <= LARGE_MAX && new_size <= LARGE_MAX &&
	    class_of(old_size) == class_of(new_size))
		return block;
	moved = new_block(new_size);
	if (!moved)
		return NULL;
	memcpy(moved, block, old_size < new_size ? old_size : new_size);
	drop_block(block, old_size);
	return moved;
}

static void *resize(void *block, size_t old_size, size_t new_size)
{
	if (new_size == 0) {
		drop_block(block, old_size);
		return NULL;
	}
	return old_size ? move_block(block, old_size, new_size) : new_block(new_size);
}

void *memory_allocate(void *data, void *block, size_t old_size, size_t new_size)
{
	void *result;

	(void)data;
	if (!block)
		old_size = 0; /* Lua passes the kind of object instead */
	if (new_size > old_size && new_size - old_size > limit + reserve - used)
		return NULL;
	busy = 1;
	result = resize(block, old_size, new_size);
	busy = 0;
	/* Lua counts on it that less is always there: then it stays where it is, and
	 * will be a small block in the place of a large one. */
	if (!result && new_size > 0 && new_size < old_size)
		result = block;
	if (result || new_size == 0)
		used += new_size - old_size;
	return result;
}
