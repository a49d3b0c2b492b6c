/* SPDX-License-Identifier: MIT */
/* The one place where the program waits: epoll over sources, and a deadline.
 * Signals arrive here too (signal.h adds its signalfd as a source). */
#ifndef MOONRISE_LOOP_H
#define MOONRISE_LOOP_H

#include <stdint.h>

/* Embed it in what it stands for; `ready` gets back to that with container_of. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source, uint32_t events); /* EPOLLIN | ... */
};

#define LOOP_FOREVER INT64_MAX
#define LOOP_NOW 0

/* 0 or -errno. */
int loop_init(void);
void loop_done(void);

/* Events as in epoll_ctl(2), EPOLLONESHOT and EPOLLET included. 0 or -errno;
 * -EPERM for a regular file, which epoll does not take: it is always ready. */
int loop_add(struct loop_source *source, uint32_t events);
int loop_change(struct loop_source *source, uint32_t events);

/* Safe inside any `ready`, also for a source whose event is still pending in
 * the same turn: it is not called any more. */
void loop_remove(struct loop_source *source);

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t loop_time(void);

/* A descriptor that can be read whenever CLOCK_REALTIME has been set, or has jumped
 * because the machine slept; what is read is ECANCELED. -errno. */
int loop_clock_changes(void);

/* Wait until at least one source was ready or `deadline` (loop_time) has come,
 * then call them. LOOP_NOW polls. Number of sources called, or -errno. */
int loop_turn(int64_t deadline);

#endif
