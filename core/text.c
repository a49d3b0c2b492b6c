/* SPDX-License-Identifier: MIT */
/* UTF-8 is decoded here and not by the C library, whose answer depends on a
 * locale that an image may not have. */
#include "text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define LENGTH_MAX (256 * 1024)

static int char_width(uint32_t c)
{
	int width = c < 128 ? 1 : wcwidth((wchar_t)c);

	return width < 0 ? 1 : width;
}

size_t text_char(const char *s, size_t size, int *ret_width)
{
	unsigned char lead = (unsigned char)s[0];
	size_t length = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;
	uint32_t value = length == 1 ? lead : lead & (0x7f >> length);

	for (size_t i = 1; i < length; i++) {
		if (i >= size || ((unsigned char)s[i] & 0xc0) != 0x80) {
			*ret_width = 1;
			return 1;
		}
		value = value << 6 | ((unsigned char)s[i] & 0x3f);
	}
	*ret_width = char_width(value);
	return length;
}

int text_width(const char *s, size_t size)
{
	int total = 0, width;

	for (size_t i = 0; i < size; total += width)
		i += text_char(s + i, size - i, &width);
	return total;
}

size_t text_after(const struct text *text, size_t at)
{
	int width;

	if (at < text->length)
		at += text_char(text->bytes + at, text->length - at, &width);
	while (at < text->length) {
		size_t n = text_char(text->bytes + at, text->length - at, &width);
		if (width > 0)
			break;
		at += n;
	}
	return at;
}

size_t text_before(const struct text *text, size_t at)
{
	size_t last = 0;

	for (size_t i = 0; i < at; i = text_after(text, i))
		last = i;
	return last;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

size_t text_word_before(const struct text *text, size_t at)
{
	while (at > 0 && !is_word(text->bytes[at - 1]))
		at--;
	while (at > 0 && is_word(text->bytes[at - 1]))
		at--;
	return at;
}

size_t text_word_after(const struct text *text, size_t at)
{
	while (at < text->length && !is_word(text->bytes[at]))
		at++;
	while (at < text->length && is_word(text->bytes[at]))
		at++;
	return at;
}

void text_insert(struct text *text, const char *s, size_t size)
{
	size_t needed = text->length + size + 1;

	if (needed > LENGTH_MAX)
		return;
	if (needed > text->capacity) {
		char *bytes = realloc(text->bytes, needed * 2);
		if (!bytes)
			return;
		text->bytes = bytes;
		text->capacity = needed * 2;
	}
	memmove(text->bytes + text->cursor + size, text->bytes + text->cursor,
		text->length - text->cursor);
	memcpy(text->bytes + text->cursor, s, size);
	text->length += size;
	text->cursor += size;
	text->bytes[text->length] = '\0';
}

void text_erase(struct text *text, size_t from, size_t to)
{
	if (from >= to)
		return;
	memmove(text->bytes + from, text->bytes + to, text->length - to);
	text->length -= to - from;
	text->bytes[text->length] = '\0';
	text->cursor = from;
}
