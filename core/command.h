/* SPDX-License-Identifier: MIT */
/* `moonrise [-OPTIONS] -- CMD`: init for one command, as small and quick as the
 * smallest inits; no Lua state. compat.c fills the same options in from the
 * command lines of tini, docker-init, catatonit and dumb-init. */
#ifndef MOONRISE_COMMAND_H
#define MOONRISE_COMMAND_H

#include "signal.h"
#include "tty.h"
#include "voice.h"

#include <stdbool.h>

#define COMMAND_AS_IS 255 /* in `rewrite`: nobody said anything about this signal */

/* What is done about the others when the command has ended. */
enum command_rest {
	REST_LEAVE,      /* nothing: the kernel ends them with PID 1 */
	REST_TERM_GROUP, /* a farewell TERM to its group */
	REST_END_ALL,    /* TERM, grace, KILL: nothing is left alive */
};

struct command_options {
	const struct voice *voice;
	char **argv; /* the command, NULL-terminated */
	enum tty_mode tty;
	enum command_rest rest;
	bool subreaper;       /* -s */
	bool group;           /* -g: signal the child's group, not the child alone */
	bool job_control;     /* when the child is stopped, we stop */
	bool stop_with_child; /* a TSTP, TTIN or TTOU sent to us stops us, too */
	bool shell_fallback;  /* as execvp(3): what is no program is a shell script */
	bool warn_reaped;     /* -w */
	bool pause;           /* run nothing, until TERM or INT */
	int verbosity;        /* -v, -q */
	int death_signal;     /* -p */
	int failed_status;    /* when the command can't be started; 0: 126 or 127 */
	unsigned char rewrite[SIGNAL_MAX + 1]; /* 0 drops */
	bool zero_status[256];                 /* -e: statuses that become 0 */
};

/* Everything off, nothing rewritten. */
void command_options_init(struct command_options *options, const struct voice *voice);

/* Exit status: the command's own; 126/127 when it could not be started. */
int command_run(const struct command_options *options);

#endif
