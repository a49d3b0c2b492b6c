/* SPDX-License-Identifier: MIT */
/* The container's stdout and stderr, written to without ever blocking and
 * without setting O_NONBLOCK on what we were given: that flag belongs to the
 * open file, which is shared with whoever started us. Up to 64 KiB wait in
 * memory for a slow reader; the loop tells when it reads again. */
#ifndef MOONRISE_OUTPUT_H
#define MOONRISE_OUTPUT_H

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* The longest record: a piece of 16 KiB with each byte escaped, and a frame. */
#define OUTPUT_RECORD_MAX (100 * 1024)
#define OUTPUT_QUEUE_MAX (64 * 1024)

struct output;

/* When fd 1 and 2 are the same file, both are one output: a line of one never
 * lands in the middle of a line of the other. */
struct output *output_stdout(void);
struct output *output_stderr(void);

/* An output of our own: the writing end of a pipe, which is taken over, or a file,
 * `file` being copied, or a journal, as forward_open has it. Without memory NULL, and
 * all of it is still the caller's. */
struct forward;
struct logfile;
struct output *output_new_pipe(int fd, enum record_format format);
struct output *output_new_file(const struct logfile *file, enum record_format format);
struct output *output_new_journal(int fd, const struct forward *forward);
struct output *output_ref(struct output *output);
void output_unref(struct output *output); /* writes what it can at once */

/* No more is written, what comes is dropped. */
void output_close(struct output *output);

/* How its records look; ret_is_own: it is none of the container's. */
enum record_format output_format(const struct output *output, bool *ret_is_own);

/* Is that a file which we write? */
bool output_writes_to(const struct stat *st);

/* Room for `size` bytes (at most OUTPUT_RECORD_MAX), or NULL while too much
 * waits to be read. Then output_commit what was put there. */
char *output_reserve(struct output *output, size_t size);
void output_commit(struct output *output, size_t size);

/* Writes what the reader takes now; the loop writes the rest. true when
 * nothing waits any more. */
bool output_flush(struct output *output);

/* Who waits for room. Embed it; `room` gets back to what it stands for with
 * container_of, and is false when there was not enough, and it waits again. */
struct output_waiter {
	bool (*room)(struct output_waiter *waiter);
	struct output_waiter *next;
};

/* Calls `room` from the loop when something was written; of several in the order in
 * which they came, so that none is starved by the others. */
void output_wait(struct output *output, struct output_waiter *waiter);
void output_leave(struct output *output, struct output_waiter *waiter);

/* As output_flush; and whoever waits goes on, since nobody would tell them when the
 * reader has just taken everything. */
void output_settle(struct output *output);

/* How long the end waits for readers: as long as they read, and for a moment when
 * they do not, but never after the deadline. */
struct output_end {
	int64_t patience, deadline;
};

/* Turns the loop until nothing waits in any, nor for room: true; or `end` has come. */
bool output_drain(const struct output_end *end);

#endif
