/* SPDX-License-Identifier: MIT */
/* The sockets where programs expect syslog and the journal: /dev/log, and in
 * /run/systemd/journal dev-log, socket and stdout (stream.h). What comes there goes the
 * way of the services' pipes. While the container's stdout is not read, the sockets
 * are not read either, and who writes waits. */
#ifndef MOONRISE_INTAKE_H
#define MOONRISE_INTAKE_H

#include <stdbool.h>

#define INTAKE_FILE_MAX (16 * 1024 * 1024) /* of an entry that comes as a file */

/* Serve those of them that can be made below `root`, "" for us; one that somebody else
 * serves is left alone. Only the first call counts. */
void intake_open(const char *root);

/* Is that one of them? Nobody should send there what has come from there. */
bool intake_serves(const char *path);

/* At the end of PID 1: take what is left in them. It is said when the output is
 * drained. */
void intake_flush(void);

/* Remove what was made. */
void intake_done(void);

#endif
