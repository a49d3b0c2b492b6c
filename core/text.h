/* SPDX-License-Identifier: MIT */
/* A line of UTF-8 with a cursor, for the line editor: where characters and words
 * begin, how wide they are, insert and erase. */
#ifndef MOONRISE_TEXT_H
#define MOONRISE_TEXT_H

#include <stddef.h>

struct text {
	char *bytes; /* NUL-terminated once something was inserted */
	size_t length, cursor, capacity;
};

/* Length in bytes of the character at `s`, and how many columns it takes; what
 * is not UTF-8 counts byte by byte. */
size_t text_char(const char *s, size_t size, int *ret_width);
int text_width(const char *s, size_t size);

/* Neighbours of `at`; a character goes with the accents that combine with it. */
size_t text_after(const struct text *text, size_t at);
size_t text_before(const struct text *text, size_t at);
size_t text_word_after(const struct text *text, size_t at);
size_t text_word_before(const struct text *text, size_t at);

/* At the cursor, which moves behind it. What would make the line endless, or has
 * no memory, is not inserted. */
void text_insert(struct text *text, const char *s, size_t size);
/* The cursor is left at `from`. */
void text_erase(struct text *text, size_t from, size_t to);

#endif
