/* SPDX-License-Identifier: MIT */
/* Text of unknown content on the standard output: names of files, and of steps. */
#ifndef MOONRISE_SAY_H
#define MOONRISE_SAY_H

/* As part of a line: control characters and backslashes as "\" and three octal digits. */
void say_text(const char *text);

/* As a JSON string, with its quotes. */
void say_json(const char *text);

#endif
