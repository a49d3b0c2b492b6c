/* SPDX-License-Identifier: MIT */
/* The talking end: `moonrise status`, `health`, `eval`, `repl` ... No Lua state:
 * a health check costs little more than /bin/true. */
#ifndef MOONRISE_CLIENT_H
#define MOONRISE_CLIENT_H

#include <stdbool.h>

/* true when `word` is a command for a running init. */
bool client_knows(const char *word);

/* argv[0] is the word. The exit status; 69 (EX_UNAVAILABLE) when no init
 * answers. */
int client_run(int argc, char **argv);

#endif
