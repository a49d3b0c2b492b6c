/* SPDX-License-Identifier: MIT */
/* The terminal of `docker run -it`, on descriptor 0: who has it, and back again.
 * A session leader gives it away whole, so that the child may do job control in a
 * session of its own; anybody else lends it to the child's process group, so that
 * the shell above goes on with its own job control. Window sizes and Ctrl-C then
 * reach the child without us. */
#ifndef MOONRISE_TTY_H
#define MOONRISE_TTY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum tty_mode {
	TTY_LEAVE,   /* the child stays in our group */
	TTY_GROUP,   /* a group of its own, lent the terminal */
	TTY_SESSION, /* a session of its own, given the terminal */
};

/* true when descriptor 0 is our session's terminal and our group is in its
 * foreground: only then is it ours to give. */
bool tty_ours(void);

/* Remember the settings for tty_restore. */
void tty_save(void);
void tty_restore(void);

/* Before the child of TTY_SESSION starts: let go of the terminal. The hang-up
 * that the kernel then sends to our own group is swallowed; it isn't meant for
 * the child. Returns the set (SIGNAL_BIT) of what was swallowed. */
uint64_t tty_release(void);

/* Lend it to a group, when it is ours; take it back, when that group has it (0:
 * whoever has it). true: it has changed hands. */
bool tty_lend(pid_t group);
bool tty_take_back(pid_t group);

/* After the session that was given the terminal has ended: be its owner again. */
void tty_claim(void);

#endif
