/* SPDX-License-Identifier: MIT */
/* The terminal of `docker run -it`: handed to the child as its foreground
 * group, taken back at the end; window sizes travel with it by themselves. */
#ifndef MOONRISE_TTY_H
#define MOONRISE_TTY_H

#include <stdbool.h>
#include <sys/types.h>

/* true when fd 0 is a terminal that we may give away. */
bool tty_present(void);

/* In the parent after the child has ended or stopped: take it back and restore
 * the settings (termios) it had at start. */
void tty_save(void);
void tty_take_back(void);
int tty_give(pid_t group);

#endif
