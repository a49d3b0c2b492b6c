/* SPDX-License-Identifier: MIT */
/* Signals: their names, and how they reach the loop. Every signal is blocked
 * before anything else happens and read from a signalfd, so none can interrupt
 * or kill PID 1. Real-time signals are numbered from 34 as the outside world
 * (glibc, docker, podman) does, whatever the C library. */
#ifndef MOONRISE_SIGNAL_H
#define MOONRISE_SIGNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#define SIGNAL_RTMIN 34
#define SIGNAL_MAX 64

/* Sets of signals as the kernel has them: the libcs' own sigset functions refuse
 * some of the signals 32 to 34, which the outside may send all the same. */
#define SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))
#define SIGNAL_ALL UINT64_MAX

struct signal_arrival {
	int number;
	bool outside; /* sent by the kernel or from outside the pid namespace */
};

/* "TERM", "SIGTERM", "term", "15", "RTMIN+3", "RTMAX-1": the number, or -EINVAL. */
int signal_number(const char *name);

/* "TERM", "RTMIN+3": without SIG. "?" for a number that is no signal. */
const char *signal_name(int number);

/* Block all, open the signalfd, add it to the loop. SIGCHLD makes child_reap()
 * run; every other signal is handed to `arrived`. 0 or -errno. */
int signal_init(void (*arrived)(const struct signal_arrival *arrival));

/* For who waits for nothing but signals (`moonrise -- CMD`): signal_take blocks them
 * all, signal_wait waits for one and deals with it as above. One system call where
 * the loop needs two, and no descriptor. signal_init may still follow. */
void signal_take(void (*arrived)(const struct signal_arrival *arrival));
void signal_wait(void);

/* From now on they go to somebody else: the ending. */
void signal_redirect(void (*arrived)(const struct signal_arrival *arrival));

/* Also SIGSEGV and its like are blocked and arrive here when somebody sends them
 * (the kernel forces them on a program that earns them). Who wants to catch some
 * of them sets a handler, then takes them out. */
void signal_unblock(uint64_t set);

/* Block more; the mask that was. */
uint64_t signal_block(uint64_t set);

/* Set the mask of this process. */
void signal_set_mask(uint64_t set);

/* Dispositions back to their default, those of ignored signals too. */
void signal_reset_dispositions(uint64_t set);

/* The signal mask that moonrise itself was started with: a child of
 * `moonrise -- CMD` gets it back, services get an empty one. */
uint64_t signal_inherited_mask(void);

#endif
