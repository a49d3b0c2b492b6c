/* SPDX-License-Identifier: MIT */
/* The talking end: finds the init's socket, sends one request, copies what comes
 * back to stdout and stderr until the exit status comes. Output is written as it
 * arrives. No Lua state: a health check costs little more than /bin/true. */
#ifndef MOONRISE_CLIENT_H
#define MOONRISE_CLIENT_H

#include <stddef.h>

#define CLIENT_INCOMPLETE -1 /* beside the exit statuses: the chunk wants more lines */

/* "moonrise: ..." on the standard error. */
__attribute__((format(printf, 1, 2))) void client_complain(const char *format, ...);

/* 0, or -1 and a complaint that names the places. */
int client_connect(void);

/* Words with NUL between them. An error shows when the answer is read. */
void client_send(char **words, int count);

/* Until the request has ended: its exit status, CLIENT_INCOMPLETE, or 69
 * (EX_UNAVAILABLE) and a complaint when the init went away. */
int client_follow(void);

/* The same, but what is for stdout is kept, with a NUL behind it. The caller frees
 * `data`, also after an error. */
struct client_text {
	char *data;
	size_t size;
};
int client_keep(struct client_text *text);

/* Give up when nothing comes for 10 s. */
void client_be_impatient(void);

/* Interrupt the running request. Safe in a signal handler. */
void client_interrupt(void);

/* What could stand at the end of `left`: see edit.h. */
char *client_complete(const char *left, size_t length, size_t *ret_size);

#endif
