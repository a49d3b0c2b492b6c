/* SPDX-License-Identifier: MIT */
/* From the services' pipes to the container's stdout, in whole lines. While the
 * stdout is not read, the pipes are not read either: a service that writes too
 * much waits, and PID 1 does not. */
#ifndef MOONRISE_RELAY_H
#define MOONRISE_RELAY_H

#include "output.h"
#include "speaker.h"
#include "tail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay;

/* Takes the pipe's reading end over. NULL when there is no memory or no room in the loop
 * (errno); it is closed then. What comes is also kept in `tail`, if there is one. */
struct relay *relay_new(int fd, const char *name, enum speaker_stream stream, struct tail *tail);

/* Before anything has come: its lines go there. */
void relay_send_to(struct relay *relay, struct output *output);

/* To say more of where it comes from. */
struct speaker *relay_speaker(struct relay *relay);

/* The owner lets go. What still comes through the pipe is forwarded all the
 * same; the relay frees itself at the end of it. NULL is fine. */
void relay_release(struct relay *relay);

/* true once the end of the pipe was seen and everything in it is on its way. */
bool relay_drained(const struct relay *relay);

/* As tail_next, but only what came through this relay; `position` is 0 at first. */
bool relay_tail_next(const struct relay *relay, uint64_t *position, struct tail_chunk *ret_chunk);

/* From now on each line also goes to `line`; NULL: no more. It must not release the
 * relay. */
void relay_watch(struct relay *relay, void (*line)(unsigned id, const char *text, size_t length),
		 unsigned id);

/* At the end of PID 1: take what is left in the pipes and write out what waits,
 * turning the loop until that is done or `end` has come. */
void relay_flush(const struct output_end *end);

#endif
