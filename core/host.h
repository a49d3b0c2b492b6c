/* SPDX-License-Identifier: MIT */
/* The Lua state: opened, given the embedded modules, called once, protected.
 * What can go wrong in there (an error nobody caught, no memory, a fatal signal,
 * a C function that never returns) ends in host_run's return, and C goes on. */
#ifndef MOONRISE_HOST_H
#define MOONRISE_HOST_H

#include <stddef.h>
#include <stdint.h>

struct host_options {
	const char *mode;    /* "boot", "check", "settings" */
	const char *script;  /* path */
	char **args;         /* what follows the script; NULL-terminated */
	const char *lua_dir; /* --lua DIR: modules from disk, or NULL */
	const char *format;  /* settings: "text", "markdown", "json" */
	size_t memory_limit; /* bytes; 0: the default */
};

#define HOST_MEMORY_LIMIT (64UL << 20)

/* Runs the init to its end; returns the exit status. */
int host_run(const struct host_options *options);

/* The program takes the place of the init, once what the services wrote is out; see
 * handover.h. When it can't, the sockets of control.h and notify.h are closed all the
 * same. */
struct spawn_plan;
int host_hand_over(const struct spawn_plan *plan);

/* For the bindings: what host_run was given, and when (loop_time) Lua has to have
 * come to its end: LOOP_FOREVER, until it is to stop. */
const struct host_options *host_options(void);
int64_t host_deadline(void);
void host_set_deadline(int64_t from_now);

#endif
