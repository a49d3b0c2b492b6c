/* SPDX-License-Identifier: MIT */
/* Signals: their names, and how they reach the loop. Every catchable signal is
 * blocked before anything else happens and read from a signalfd, so none can
 * interrupt or kill PID 1. Real-time signals are numbered from 34 as the
 * outside world (glibc, docker, podman) does, whatever the C library. */
#ifndef MOONRISE_SIGNAL_H
#define MOONRISE_SIGNAL_H

#include <signal.h>
#include <stdbool.h>

#define SIGNAL_RTMIN 34
#define SIGNAL_MAX 64

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

/* The signal mask and ignored signals that moonrise itself was started with;
 * a child of `moonrise -- CMD` gets them back, services get clean ones. */
const sigset_t *signal_inherited_mask(void);

#endif
