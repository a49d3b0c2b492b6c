/* SPDX-License-Identifier: MIT */
/* Command lines from tables. An option is one row: its names, its argument, what
 * it does and what the help says of it, so that none of them can drift apart. */
#ifndef MOONRISE_OPTION_H
#define MOONRISE_OPTION_H

#include <stdbool.h>
#include <stddef.h>

struct option_row {
	char letter;          /* 0: no short name */
	const char *name;     /* long name, or NULL */
	const char *argument; /* what the help calls it; NULL: takes none */
	const char *help;     /* NULL: not listed */
	size_t flag;          /* without `set`: the bool at this offset of the target */
	/* 0, or an exit status + 1: the program ends there. It has said why. */
	int (*set)(void *target, const char *value);
};

struct option_table {
	const char *program; /* in front of complaints */
	const struct option_row *rows;
	size_t count;
	/* What follows a complaint about an option; the exit status + 1. */
	int (*usage)(const char *program);
	const struct option_table *also; /* its names may have been meant, too; or NULL */
};

/* Reads the options in front of the first argument that is none; "--" ends them,
 * too. Returns the index of what follows, or -(status + 1). */
int option_scan(const struct option_table *table, int argc, char **argv, void *target);

/* true when `argument` is, or begins with, one of the table's options. */
bool option_is_known(const struct option_table *table, const char *argument);

/* Digits only, and in range; else -1. */
int option_number(const char *text, int max);

/* The rows' names and help texts, aligned, for the standard output. */
void option_print(const struct option_table *table);

/* The one of `count` words, `stride` bytes apart, that was probably meant, or NULL
 * when none is near. `words` points to the first `const char *`. */
const char *option_nearest(const char *word, const void *words, size_t count, size_t stride);

#endif
