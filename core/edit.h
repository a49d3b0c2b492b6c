/* SPDX-License-Identifier: MIT */
/* A line editor for `moonrise repl`: emacs keys, history, completion. It knows
 * the ANSI sequences that every terminal of today understands and no terminfo,
 * since the image may have none. */
#ifndef MOONRISE_EDIT_H
#define MOONRISE_EDIT_H

#include <stddef.h>

/* What could stand at the end of `left`: strings, each with its NUL, in memory
 * that the editor frees. The first is the end of `left` that the others would
 * replace. *ret_size counts the NULs, too; NULL: nothing fits. */
typedef char *edit_completer(const char *left, size_t length, size_t *ret_size);

enum edit_result {
	EDIT_LINE,
	EDIT_INTERRUPTED, /* Ctrl-C: the line is given up */
	EDIT_END,         /* Ctrl-D on an empty line, end of file */
};

/* Reads a line; *ret_line belongs to the caller, without its newline; NULL
 * unless EDIT_LINE. Where nobody can edit (a pipe, TERM=dumb) it is read as it
 * comes, and the prompt is shown only to a terminal. */
enum edit_result edit_line(const char *prompt, edit_completer *complete, char **ret_line);

/* For the up key. */
void edit_remember(const char *line);

#endif
