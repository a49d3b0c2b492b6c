/* SPDX-License-Identifier: MIT */
/* What keeps the Lua state from taking the process with it. Everything that may
 * run a script's code is called through guard_call. Two things end that call
 * from outside: a fatal signal in it, and code that uses the CPU for seconds
 * without giving the hook a chance (a pathological pattern in string.find, a
 * finalizer that spins). Then the state is lost, and C goes on alone.
 *
 * The same CPU timer takes time slices: while one thread of Lua runs for longer
 * than a slice, `overrun` is called, inside the signal handler, each tick. It is
 * a timer of CPU time (SIGPROF): it never fires while the process sleeps. */
#ifndef MOONRISE_GUARD_H
#define MOONRISE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

/* 0, or -errno when the timer or the handlers can't be had. */
int guard_init(void (*overrun)(void));

/* The signals that it has handlers for. */
uint64_t guard_signals(void);

/* Calls `call(data)`; NULL when it returned, else why it was ended ("segmentation
 * fault"). Once only: what was lost is not entered again. */
const char *guard_call(void (*call)(void *data), void *data);

/* Ends guard_call from inside, for what can't be returned from (lua_atpanic). */
_Noreturn void guard_give_up(const char *reason);

/* A slice begins. Costs one addition: the clock is read by the timer. */
void guard_new_slice(void);

/* Nothing of Lua runs between these two: time used there counts for nobody. */
void guard_pause(void);
void guard_resume(void);

/* The hook has run, so the code that runs is not stuck. */
void guard_alive(void);

/* true when the slice is over; when that is so long ago that our own Lua code is
 * suspended like a script's; and when code which can't be suspended must be
 * broken off. */
bool guard_over(void);
bool guard_late(void);
bool guard_overdue(void);

#endif
