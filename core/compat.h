/* SPDX-License-Identifier: MIT */
/* The command lines of other inits, for when the binary is called by their
 * names: tini and docker-init (TINI_* variables too), catatonit, dumb-init. */
#ifndef MOONRISE_COMPAT_H
#define MOONRISE_COMPAT_H

#include "command.h"

/* A parser: 0 when `options` is filled in, else the process's exit status + 1
 * (help, version, usage errors; already printed). */
typedef int compat_parser(int argc, char **argv, struct command_options *options);

/* The parser for a program name, or NULL. */
compat_parser *compat_find(const char *name);

#endif
