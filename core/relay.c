/* SPDX-License-Identifier: MIT */
/* From the services' pipes to the container's stdout. A read takes what is there,
 * the whole lines in it go straight to the output's queue, and the rest, most
 * often the beginning of a line, is held. When the queue has no room, the relay
 * stalls: it leaves the loop and stands in line until the reader has read.
 * All room for that is set aside with the relay, so no line is ever lost to malloc. */
#include "relay.h"

#include "loop.h"
#include "output.h"
#include "speaker.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#define READ_MAX (64 * 1024) /* what a pipe holds */
#define HELD_MAX (SPEAKER_LINE_MAX + READ_MAX)
#define LOWEST_FD 64  /* of a relay; so many a process can have without a table */
#define LAST_READS 16 /* 1 MiB: the largest pipe that an ordinary user can make */

struct relay {
	struct loop_source source;
	struct output_waiter waiter;
	struct relay *next; /* all of them */
	struct speaker speaker;
	bool stalled, ended, released;

	uint64_t tail_start; /* where ours begins in the speaker's tail */
	bool has_read;

	size_t held_length;
	char *held; /* HELD_MAX, pages that are there when they are needed */
};

static struct relay *relays;

/* ---- the pipe */

static void stall(struct relay *r)
{
	loop_remove(&r->source);
	r->stalled = true;
	output_wait(r->speaker.output, &r->waiter);
}

static void free_relay(struct relay *r)
{
	(void)munmap(r->held, HELD_MAX);
	free(r);
}

static void destroy(struct relay *r)
{
	for (struct relay **p = &relays; *p; p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			break;
		}
	}
	speaker_done(&r->speaker);
	free_relay(r);
}

static void end(struct relay *r)
{
	loop_remove(&r->source);
	close(r->source.fd);
	r->source.fd = -1;
	if (r->released)
		destroy(r);
}

enum pump { PUMP_MORE, PUMP_EMPTY, PUMP_FULL, PUMP_END };

/* One read, and its lines. */
static enum pump pump(struct relay *r)
{
	static char data[HELD_MAX];
	size_t length = r->held_length;
	ssize_t n = 0;
	bool full, empty = false;

	memcpy(data, r->held, length);
	if (length <= SPEAKER_LINE_MAX && !r->ended) {
		n = read(r->source.fd, data + length, READ_MAX);
		empty = n < 0 && errno == EAGAIN; /* but whole lines may be held */
		r->ended = n <= 0 && !empty;
	}
	if (n > 0) {
		if (!r->speaker.keeps_lines)
			tail_append(r->speaker.tail, r->speaker.stream, !r->has_read, data + length,
				    (size_t)n);
		r->has_read = true;
		length += (size_t)n;
	}
	size_t done = speaker_say(&r->speaker, data, length, r->ended, &full);
	r->held_length = length - done;
	memcpy(r->held, data + done, r->held_length);
	return full ? PUMP_FULL : r->ended ? PUMP_END : empty ? PUMP_EMPTY : PUMP_MORE;
}

/* Up to `reads` of them, until there is no more or nowhere to put it. */
static enum pump pump_some(struct relay *r, int reads)
{
	enum pump pumped = PUMP_MORE;
	while (pumped == PUMP_MORE && reads-- > 0)
		pumped = pump(r);
	if (pumped == PUMP_FULL)
		stall(r);
	else if (pumped == PUMP_END)
		end(r);
	return pumped;
}

/* The reader has read. */
static bool on_room(struct output_waiter *waiter)
{
	struct relay *r = container_of(waiter, struct relay, waiter);
	r->stalled = false;
	enum pump pumped = pump_some(r, 1);
	if (pumped == PUMP_MORE || pumped == PUMP_EMPTY)
		(void)loop_add(&r->source, EPOLLIN);
	return pumped != PUMP_FULL;
}

static void on_readable(struct loop_source *source, uint32_t events)
{
	struct relay *r = container_of(source, struct relay, source);
	struct output *out = output_ref(r->speaker.output); /* `r` may be no more then */
	(void)events;
	pump_some(r, 1);
	output_settle(out);
	output_unref(out);
}

/* ---- for others */

/* The low numbers are for what the next process gets, which copies all below that: see
 * spawn.c. Where there is no room above, the old place will do. */
static int move_up(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);

	if (moved < 0)
		return fd;
	(void)close(fd);
	return moved;
}

struct relay *relay_new(int fd, const char *name, enum speaker_stream stream, struct tail *tail)
{
	auto_close int reader = move_up(fd);
	struct relay *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->held = mmap(NULL, HELD_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->held == MAP_FAILED) {
		free(r);
		errno = ENOMEM;
		return NULL;
	}
	r->source = (struct loop_source){ reader, on_readable };
	r->waiter.room = on_room;

	/* The reading end is ours alone, the flag does not reach the writers. */
	int error = fcntl(reader, F_SETFL, O_NONBLOCK) < 0 ? -errno : loop_add(&r->source, EPOLLIN);
	if (error < 0) {
		free_relay(r);
		errno = -error;
		return NULL;
	}
	(void)keep_fd(&reader);
	speaker_init(&r->speaker, name, stream, tail);
	r->tail_start = tail ? tail_end(tail) : 0;
	r->next = relays;
	relays = r;
	return r;
}

void relay_send_to(struct relay *r, struct output *output)
{
	speaker_send_to(&r->speaker, output);
}

struct speaker *relay_speaker(struct relay *r)
{
	return &r->speaker;
}

void relay_watch(struct relay *r, void (*line)(unsigned id, const char *text, size_t length),
		 unsigned id)
{
	r->speaker.on_line = line;
	r->speaker.watch = id;
}

bool relay_tail_next(const struct relay *r, uint64_t *position, struct tail_chunk *ret_chunk)
{
	if (*position < r->tail_start)
		*position = r->tail_start;
	while (tail_next(r->speaker.tail, position, ret_chunk))
		if (ret_chunk->stream == (int)r->speaker.stream)
			return true;
	return false;
}

bool relay_drained(const struct relay *r)
{
	return r->source.fd < 0;
}

void relay_release(struct relay *r)
{
	if (!r)
		return;
	r->released = true;
	if (relay_drained(r))
		destroy(r);
}

/* Whether any of them has to wait for room. */
static bool pump_all(int reads)
{
	bool stalls = false;
	for (struct relay *r = relays, *next; r; r = next) {
		next = r->next;
		if (r->stalled || (r->source.fd >= 0 && pump_some(r, reads) == PUMP_FULL))
			stalls = true;
	}
	return stalls;
}

/* What is in the pipes now; not to their ends, which may never come when a
 * process that is not ours has one of them. */
void relay_flush(const struct output_end *end)
{
	bool stalls = true;
	while (stalls) {
		stalls = pump_all(LAST_READS);
		stalls = output_drain(end) && stalls && loop_time() < end->deadline;
	}
	for (struct relay *r = relays; r; r = r->next)
		r->ended = true; /* lines without an end */
	pump_all(1);
	output_drain(end);
}
