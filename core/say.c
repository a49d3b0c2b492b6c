/* SPDX-License-Identifier: MIT */
#include "say.h"

#include "record.h"
#include "util.h"

#include <string.h>

void say_text(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f || c == '\\')
			printf("\\%03o", c);
		else
			putchar(c);
	}
}

void say_json(const char *text)
{
	char quoted[6 * 256];

	putchar('"');
	for (size_t left = strlen(text), n; left > 0; left -= n, text += n) {
		/* Do not cut a character of several bytes. */
		for (n = left < 256 ? left : 256; n > 250 && n < left && (text[n] & 0xc0) == 0x80;)
			n--;
		printf("%.*s", (int)(record_put_json(quoted, text, n) - quoted), quoted);
	}
	putchar('"');
}
