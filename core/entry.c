/* SPDX-License-Identifier: MIT */
/* A line is decoded field by field, and each has one way to be written: what does not
 * look as if entry_encode had made it is damage. A path must not lead anywhere but
 * down, since it is what files are made and removed by. */
#include "entry.h"

#include "util.h"

#include <string.h>

/* ---- order */

static int rank(unsigned char c)
{
	return c == '\0' ? 0 : c == '/' ? 1 : c + 1;
}

int entry_compare(const char *path, const char *other)
{
	while (*path && *path == *other) {
		path++;
		other++;
	}
	return rank((unsigned char)*path) - rank((unsigned char)*other);
}

bool entry_same_time(const struct timespec *one, const struct timespec *other)
{
	return one->tv_sec == other->tv_sec &&
	       (one->tv_nsec == other->tv_nsec || one->tv_nsec == 0 || other->tv_nsec == 0);
}

/* ---- encoding */

static const char digits[] = "0123456789abcdef";

static char *put_hex(char *out, const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	return out;
}

/* With leading zeros up to `width`. A manifest has many numbers, and printf is slow. */
static char *put_number(char *out, uint64_t number, unsigned int base, int width)
{
	char text[24], *first = text + sizeof(text);

	do
		*--first = digits[number % base];
	while ((number /= base) > 0 || text + sizeof(text) - first < width);
	while (first < text + sizeof(text))
		*out++ = *first++;
	return out;
}

static char *put_decimal(char *out, uint64_t number, char end)
{
	out = put_number(out, number, 10, 1);
	*out++ = end;
	return out;
}

static char *put_time(char *out, const struct timespec *time)
{
	uint64_t seconds = (uint64_t)time->tv_sec;

	if (time->tv_sec < 0) {
		*out++ = '-';
		seconds = -seconds;
	}
	out = put_decimal(out, seconds, '.');
	return put_number(out, (uint64_t)time->tv_nsec, 10, 9);
}

static bool is_plain(unsigned char c)
{
	return c > ' ' && c != '%' && c != 0x7f;
}

static char *put_text(char *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (is_plain(c)) {
			*out++ = (char)c;
		} else {
			*out++ = '%';
			out = put_hex(out, &c, 1);
		}
	}
	return out;
}

void entry_escape(const char *text, char ret_text[static 3 * PATH_MAX])
{
	*put_text(ret_text, text) = '\0';
}

static char *put_content(char *out, const struct entry *entry)
{
	if (entry->type == 'l')
		return put_text(out, entry->target);
	if (entry->type == 'c' || entry->type == 'b')
		return put_number(put_decimal(out, entry->device[0], ':'), entry->device[1], 10, 1);
	if (entry->has_hash)
		return put_hex(out, entry->hash, ENTRY_HASH);
	*out++ = '-';
	return out;
}

size_t entry_encode(const struct entry *entry, bool timeless, char ret_line[static ENTRY_LINE_MAX])
{
	char *out = ret_line;

	*out++ = entry->type;
	*out++ = ' ';
	out = put_number(out, entry->mode, 8, 4);
	*out++ = ' ';
	out = put_decimal(out, entry->uid, ' ');
	out = put_decimal(out, entry->gid, ' ');
	out = put_decimal(out, entry->size, ' ');
	if (timeless && (entry->type != 'f' || entry->has_hash))
		*out++ = '-';
	else
		out = put_time(out, &entry->mtime);
	*out++ = ' ';
	if (entry->group)
		out = put_number(out, entry->group, 10, 1);
	else
		*out++ = '-';
	*out++ = ' ';
	if (entry->has_xattrs)
		out = put_hex(out, entry->xattrs, XATTR_DIGEST);
	else
		*out++ = '-';
	*out++ = ' ';
	out = put_content(out, entry);
	*out++ = ' ';
	out = put_text(out, entry->path);
	*out = '\0';
	return (size_t)(out - ret_line);
}

/* ---- decoding */

/* The next field of the line, NULL after the last. */
static char *next_field(char **line)
{
	char *field = *line;

	if (!field)
		return NULL;
	*line = strchr(field, ' ');
	if (*line)
		*(*line)++ = '\0';
	return field;
}

static bool get_number(const char *text, int base, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (*text < '0' || digit >= (uint64_t)base ||
		    number > (max - digit) / (uint64_t)base)
			return false;
		number = number * (uint64_t)base + digit;
	}
	*ret_number = number;
	return true;
}

static bool get_number32(const char *text, int base, uint32_t max, uint32_t *ret_number)
{
	uint64_t number;

	if (!get_number(text, base, max, &number))
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

static int hex_digit(char c)
{
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -1;
}

static bool get_hex(const char *text, unsigned char *ret_bytes, size_t size)
{
	if (strlen(text) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret_bytes[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* "-" or hexadecimal. */
static bool get_digest(const char *text, unsigned char *ret_bytes, size_t size, bool *ret_has)
{
	*ret_has = strcmp(text, "-") != 0;
	return !*ret_has || get_hex(text, ret_bytes, size);
}

static bool get_text(const char *text, char ret_text[static PATH_MAX])
{
	size_t length = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (length + 1 >= PATH_MAX)
			return false;
		if (c == '%') {
			int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);

			if (low < 0)
				return false;
			c = (unsigned char)(high << 4 | low);
			if (c == '\0' || is_plain(c))
				return false;
			text += 2;
		} else if (!is_plain(c)) {
			return false;
		}
		ret_text[length++] = (char)c;
	}
	ret_text[length] = '\0';
	return length > 0;
}

static bool is_below(const char *path)
{
	for (;;) {
		size_t length = strcspn(path, "/");

		if (length == 0 || length > NAME_MAX || (length == 1 && path[0] == '.') ||
		    (length == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[length] == '\0')
			return true;
		path += length + 1;
	}
}

static bool get_type(const char *text, struct entry *entry)
{
	entry->type = text[0];
	return text[0] && !text[1] && strchr("dflpcbs", text[0]);
}

static bool get_mode(const char *text, struct entry *entry)
{
	return get_number32(text, 8, 07777, &entry->mode);
}

static bool get_uid(const char *text, struct entry *entry)
{
	return get_number32(text, 10, UINT32_MAX - 1, &entry->uid);
}

static bool get_gid(const char *text, struct entry *entry)
{
	return get_number32(text, 10, UINT32_MAX - 1, &entry->gid);
}

static bool get_size(const char *text, struct entry *entry)
{
	return get_number(text, 10, INT64_MAX, &entry->size);
}

static bool get_mtime(const char *text, struct entry *entry)
{
	char seconds[24];
	size_t length = strcspn(text, ".");
	bool negative = text[0] == '-';
	uint64_t whole, nanoseconds;

	if (length >= sizeof(seconds) || strlen(text + length) != 10)
		return false;
	memcpy(seconds, text, length);
	seconds[length] = '\0';
	if (!get_number(seconds + negative, 10, INT64_MAX, &whole) ||
	    !get_number(text + length + 1, 10, 999999999, &nanoseconds))
		return false;
	entry->mtime.tv_sec = negative ? -(time_t)whole : (time_t)whole;
	entry->mtime.tv_nsec = (long)nanoseconds;
	return true;
}

static bool get_group(const char *text, struct entry *entry)
{
	entry->group = 0;
	return strcmp(text, "-") == 0 ||
	       (get_number32(text, 10, UINT32_MAX, &entry->group) && entry->group > 0);
}

static bool get_xattrs(const char *text, struct entry *entry)
{
	return get_digest(text, entry->xattrs, XATTR_DIGEST, &entry->has_xattrs);
}

static bool get_device(char *text, uint32_t ret_device[2])
{
	char *colon = strchr(text, ':');

	if (!colon)
		return false;
	*colon = '\0';
	return get_number32(text, 10, UINT32_MAX, &ret_device[0]) &&
	       get_number32(colon + 1, 10, UINT32_MAX, &ret_device[1]);
}

static bool get_content(char *text, struct entry *entry)
{
	entry->has_hash = false;
	entry->target[0] = '\0';
	entry->device[0] = entry->device[1] = 0;
	switch (entry->type) {
	case 'f':
		return get_digest(text, entry->hash, ENTRY_HASH, &entry->has_hash);
	case 'l':
		return get_text(text, entry->target);
	case 'c':
	case 'b':
		return get_device(text, entry->device);
	default:
		return strcmp(text, "-") == 0;
	}
}

const char *entry_decode(char *line, struct entry *ret_entry)
{
	static const struct {
		bool (*get)(const char *text, struct entry *entry);
		const char *fault;
	} fields[] = {
		{ get_type, "it has no known type" },
		{ get_mode, "its mode is none" },
		{ get_uid, "its owner is none" },
		{ get_gid, "its group is none" },
		{ get_size, "its size is none" },
		{ get_mtime, "its time is none" },
		{ get_group, "its group of hard links is none" },
		{ get_xattrs, "its digest of attributes is none" },
	};
	char *text;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		text = next_field(&line);
		if (!text || !fields[i].get(text, ret_entry))
			return fields[i].fault;
	}
	text = next_field(&line);
	if (!text || !get_content(text, ret_entry))
		return "its content is none";
	text = next_field(&line);
	if (!text || line || !get_text(text, ret_entry->path) || !is_below(ret_entry->path))
		return "its path is none";
	return NULL;
}
