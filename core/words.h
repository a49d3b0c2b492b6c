/* SPDX-License-Identifier: MIT */
/* The words of the command line, `moonrise WORD ...`, and those of them that a
 * running init answers: what they take is checked here, what they mean is in
 * lua/moonrise/words.lua. */
#ifndef MOONRISE_WORDS_H
#define MOONRISE_WORDS_H

#include <stddef.h>

struct word {
	const char *name;
	const char *arguments, *help;      /* NULL: not for people */
	int (*run)(int argc, char **argv); /* argv[0] is the word; the exit status */
	int min, max;                      /* arguments that are no options */
	const char *options;
};

extern const struct word words_of_init[];
extern const size_t words_of_init_count;

/* Check the arguments, then run. The exit status; 69 (EX_UNAVAILABLE) when no init
 * answers. */
int words_run(const struct word *word, int argc, char **argv);

#endif
