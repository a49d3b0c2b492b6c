/* SPDX-License-Identifier: MIT */
/* Read as a whole, up to a size that no real one has: it is decoded in place. */
#include "ledger.h"

#include "file.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MAGIC "moonrise-volume "
#define SIZE_MAX_READ (16 << 20)

__attribute__((format(printf, 2, 3))) static int damaged(struct ledger *ledger, const char *fmt,
							 ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(ledger->why, sizeof(ledger->why), fmt, args);
	va_end(args);
	return -EBADMSG;
}

/* As in zlib, png and Ethernet. */
static uint32_t checksum(const char *text)
{
	uint32_t crc = 0xffffffff;

	for (; *text; text++) {
		crc ^= (unsigned char)*text;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? 0xedb88320 ^ crc >> 1 : crc >> 1;
	}
	return ~crc;
}

static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		unsigned int c;

		if (*text == '%' && sscanf(text + 1, "%2x", &c) == 1 && c > 0) {
			*out++ = (char)c;
			text += 2;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

/* "IMAGE STEP" */
static void decode_upgraded(char *name, struct ledger_entry *entry)
{
	char *space = strchr(name, ' ');

	if (!space)
		return;
	*space = '\0';
	entry->image = name;
	entry->name = space + 1;
}

static bool decode_line(char *line, struct ledger_entry *ret_entry)
{
	char sum[16];
	char *space = strchr(line, ' ');

	if (!space || space - line != 8)
		return false;
	snprintf(sum, sizeof(sum), "%08x", checksum(space + 1));
	if (strncmp(line, sum, 8) != 0)
		return false;
	ret_entry->what = space + 1;
	space = strchr(space + 1, ' ');
	if (!space)
		return false;
	*space = '\0';
	unescape(space + 1);
	ret_entry->name = space + 1;
	if (strcmp(ret_entry->what, "upgraded") == 0)
		decode_upgraded(space + 1, ret_entry);
	return true;
}

/* What follows the header; NULL when it is damaged. */
static char *decode_header(struct ledger *ledger, size_t size)
{
	char *text = ledger->text, *newline = strchr(text, '\n');
	long format;

	if (!newline && size < strlen(MAGIC "1\n"))
		return text + size; /* torn when it was first written */
	if (!newline || strncmp(text, MAGIC, strlen(MAGIC)) != 0) {
		(void)damaged(ledger, "it does not begin as a record does");
		return NULL;
	}
	format = strtol(text + strlen(MAGIC), NULL, 10);
	if (format > LEDGER_FORMAT) {
		(void)damaged(
			ledger,
			"it was written by a newer moonrise (format %ld; this one reads up to %d)",
			format, LEDGER_FORMAT);
		return NULL;
	}
	return newline + 1;
}

static int decode(struct ledger *ledger, size_t size)
{
	char *line = decode_header(ledger, size), *newline;
	size_t lines = 0;

	if (!line)
		return -EBADMSG;
	for (const char *p = line; (p = strchr(p, '\n')); p++)
		lines++;
	ledger->entries = calloc(lines + 1, sizeof(*ledger->entries));
	if (!ledger->entries)
		return -ENOMEM;
	for (; (newline = strchr(line, '\n')); line = newline + 1) {
		*newline = '\0';
		if (decode_line(line, &ledger->entries[ledger->count]))
			ledger->count++;
		else if (newline[1])
			return damaged(ledger, "line %zu is damaged", ledger->count + 2);
	}
	return 0;
}

/* ---- the last word on each step */

static bool is(const struct ledger_entry *entry, const char *what)
{
	return strcmp(entry->what, what) == 0;
}

/* Those of `once`, of `upgrade`, images, and what a later moonrise may have to say. */
static int kind_of(const struct ledger_entry *entry)
{
	static const struct {
		const char *what;
		int kind;
	} kinds[] = { { "begin", 0 }, { "done", 0 },     { "keep", 1 },
		      { "back", 1 },  { "upgraded", 1 }, { "image", 2 } };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (is(entry, kinds[i].what))
			return kinds[i].kind;
	return 3;
}

/* Entries for one step stay in their order: they lie in the text one after the other. */
static int compare(const void *a, const void *b)
{
	const struct ledger_entry *one = a, *other = b;
	int r = kind_of(one) - kind_of(other);

	if (r == 0 && kind_of(one) < 2)
		r = strcmp(one->name, other->name);
	return r ? r : one->name < other->name ? -1 : 1;
}

/* One more for the same step: what was said before stays only when it is that the step was
 * done for an earlier image. */
static size_t supersede(struct ledger_entry *entries, size_t count, const struct ledger_entry *next)
{
	bool is_upgrade = kind_of(next) == 1 && !is(next, "upgraded");

	while (count > 0 && kind_of(&entries[count - 1]) == kind_of(next) &&
	       strcmp(entries[count - 1].name, next->name) == 0 &&
	       !(is_upgrade && is(&entries[count - 1], "upgraded")))
		count--;
	return count;
}

static void keep_last(struct ledger *ledger)
{
	struct ledger_entry *entries = ledger->entries;
	size_t count = 0;

	qsort(entries, ledger->count, sizeof(*entries), compare);
	for (size_t i = 0; i < ledger->count; i++) {
		struct ledger_entry next = entries[i];

		if (kind_of(&next) < 2)
			count = supersede(entries, count, &next);
		if (!is(&next, "back"))
			entries[count++] = next;
	}
	ledger->count = count;
}

/* ---- reading */

static int load(int fd, struct ledger *ledger, size_t *ret_size)
{
	size_t size = 0, room = 0;

	for (;;) {
		ssize_t n;

		if (size + 1 >= room) {
			char *text =
				room > SIZE_MAX_READ ? NULL : realloc(ledger->text, room += 65536);

			if (!text)
				return room > SIZE_MAX_READ ? -EFBIG : -ENOMEM;
			ledger->text = text;
		}
		n = read(fd, ledger->text + size, room - size - 1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		size += n > 0 ? (size_t)n : 0;
	}
	ledger->text[size] = '\0';
	*ret_size = size;
	return 0;
}

int ledger_read(int folder, struct ledger *ret_ledger)
{
	auto_close int fd = file_open_at(folder, LEDGER_NAME);
	size_t size = 0;
	int r;

	*ret_ledger = (struct ledger){ 0 };
	if (fd < 0)
		return fd;
	r = load(fd, ret_ledger, &size);
	if (r == 0 && strlen(ret_ledger->text) != size)
		r = damaged(ret_ledger, "there is a NUL in it");
	if (r == 0)
		r = decode(ret_ledger, size);
	if (r == 0)
		keep_last(ret_ledger);
	return r;
}

void ledger_done(struct ledger *ledger)
{
	free(ledger->entries);
	free(ledger->text);
	*ledger = (struct ledger){ 0 };
}
