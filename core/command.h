/* SPDX-License-Identifier: MIT */
/* `moonrise [-OPTIONS] -- CMD`: init for one command, as small and quick as the
 * smallest inits; no Lua state. compat.c fills the same options in from the
 * command lines of tini, docker-init, catatonit and dumb-init. */
#ifndef MOONRISE_COMMAND_H
#define MOONRISE_COMMAND_H

#include "signal.h"

#include <stdbool.h>

struct command_options {
	const char *program; /* what messages call us: "moonrise", "tini" ... */
	char **argv;         /* the command, NULL-terminated */
	bool subreaper;      /* -s */
	bool group;          /* -g: signal the child's group, not the child alone */
	bool new_session;    /* dumb-init's default */
	bool warn_reaped;    /* -w */
	bool kill_rest;      /* end all others before we exit */
	int verbosity;
	int death_signal;                      /* -p */
	unsigned char rewrite[SIGNAL_MAX + 1]; /* identity at first; 0 drops */
	bool zero_status[256];                 /* -e: statuses that become 0 */
};

void command_options_init(struct command_options *options);

/* Exit status: the command's own; 126/127 when it could not be started. */
int command_run(const struct command_options *options);

#endif
