/* SPDX-License-Identifier: MIT */
/* The last 64 KiB that a service has written, on both streams and over its restarts,
 * in the order in which it came. Readers hold a position and not a copy: who is slow
 * misses something, and costs nothing. */
#ifndef MOONRISE_TAIL_H
#define MOONRISE_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAIL_MAX (64 * 1024)

struct tail;

/* What was read at once, not always whole lines. */
struct tail_chunk {
	int64_t time; /* nanoseconds of CLOCK_REALTIME */
	int stream;
	bool is_first; /* of a process: what came before has nothing to do with it */
	bool is_cut;   /* bytes in front of it are lost */
	const char *parts[2];
	size_t sizes[2];
};

struct tail *tail_new(void);              /* NULL: no memory */
struct tail *tail_ref(struct tail *tail); /* NULL is fine */
void tail_unref(struct tail *tail);

/* Without memory for the ring, what comes is not kept. */
void tail_append(struct tail *tail, int stream, bool is_first, const char *data, size_t length);

/* Where the next chunk will be. */
uint64_t tail_end(const struct tail *tail);

/* The chunk at `position`, or the oldest one after it; moves `position` behind it.
 * false: there is none yet. It is valid until the next tail_append. */
bool tail_next(const struct tail *tail, uint64_t *position, struct tail_chunk *ret_chunk);

/* Calls `came` when something is appended: once. */
void tail_wake(struct tail *tail, void (*came)(unsigned id), unsigned id);

#endif
