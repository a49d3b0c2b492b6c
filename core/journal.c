/* SPDX-License-Identifier: MIT */
#include "journal.h"

#include "util.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* ---- the native protocol */

struct field {
	struct message_part name, value;
};

static uint64_t read_size(const char *data)
{
	uint64_t size = 0;

	for (int i = 7; i >= 0; i--)
		size = size << 8 | (unsigned char)data[i];
	return size;
}

/* The value behind "NAME\n": where it ends, or NULL. */
static const char *take_binary(const char *at, const char *end, struct message_part *ret_value)
{
	size_t left = (size_t)(end - at);
	uint64_t size = left > 8 ? read_size(at) : UINT64_MAX;

	if (size >= left - 8 || at[8 + size] != '\n') /* room for the newline, too */
		return NULL;
	*ret_value = (struct message_part){ at + 8, (size_t)size };
	return at + 8 + size + 1;
}

static const char *behind_line(const char *newline, const char *end)
{
	return newline < end ? newline + 1 : end;
}

/* One field, of which the line is the first, or the only one; false: it is none. */
static bool take_field(const char **data, const char *end, const char *newline,
		       struct field *ret_field)
{
	const char *line = *data, *next = behind_line(newline, end);
	const char *equals = memchr(line, '=', (size_t)(newline - line));
	const char *name_end = equals ? equals : newline;

	ret_field->name = (struct message_part){ line, (size_t)(name_end - line) };
	if (equals)
		ret_field->value =
			(struct message_part){ equals + 1, (size_t)(newline - equals - 1) };
	else
		next = take_binary(next, end, &ret_field->value);
	if (next)
		*data = next;
	return next != NULL;
}

static int to_priority(struct message_part value)
{
	bool fits = value.length == 1 && *value.text >= '0' && *value.text <= '7';

	return fits ? *value.text - '0' : MESSAGE_NO_PRIORITY;
}

static bool is_called(const struct field *field, const char *name)
{
	return field->name.length == strlen(name) &&
	       memcmp(field->name.text, name, field->name.length) == 0;
}

static void keep(const struct field *field, struct message *message)
{
	const struct {
		const char *name;
		struct message_part *part;
	} wanted[] = {
		{ "MESSAGE", &message->text },
		{ "SYSLOG_IDENTIFIER", &message->tag },
		{ "SYSLOG_PID", &message->pid },
	};

	if (message->priority == MESSAGE_NO_PRIORITY && is_called(field, "PRIORITY"))
		message->priority = to_priority(field->value);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (wanted[i].part->length == 0 && is_called(field, wanted[i].name))
			*wanted[i].part = field->value;
}

/* The last line may lack its newline. */
static const char *end_of_line(const char *line, const char *end)
{
	const char *newline = memchr(line, '\n', (size_t)(end - line));

	return newline ? newline : end;
}

/* What begins with a dot or a hash says something to the journal, not in it. */
static bool is_command(const char *line)
{
	return *line == '.' || *line == '#';
}

bool journal_next(const char **data, const char *end, struct message *ret_message)
{
	const char *at = *data;
	bool has_fields = false, is_over = false;
	struct field field;

	*ret_message = (struct message){ .priority = MESSAGE_NO_PRIORITY };
	while (at < end && !is_over) {
		const char *newline = end_of_line(at, end);

		if (newline == at || is_command(at)) {
			is_over = newline == at && has_fields;
			at = behind_line(newline, end);
		} else if (take_field(&at, end, newline, &field)) {
			has_fields = true;
			keep(&field, ret_message);
		} else {
			at = end;
		}
	}
	*data = at;
	return has_fields;
}

/* ---- streams */

enum { IDENTIFIER, UNIT, PRIORITY, PREFIXES, FORWARDS, HEADER_LINES = FORWARDS + 3 };

int journal_stream_header(const char *data, size_t length, struct journal_stream *ret_stream)
{
	struct message_part lines[HEADER_LINES];
	size_t count = 0, at = 0;

	while (count < HEADER_LINES) {
		const char *newline = memchr(data + at, '\n', length - at);

		if (!newline)
			return length >= JOURNAL_HEADER_MAX ? -EBADMSG : 0;
		lines[count].text = data + at;
		lines[count++].length = (size_t)(newline - data) - at;
		at = (size_t)(newline - data) + 1;
	}
	if (at > JOURNAL_HEADER_MAX || lines[PREFIXES].length != 1)
		return -EBADMSG;
	*ret_stream = (struct journal_stream){ .identifier = lines[IDENTIFIER],
					       .priority = to_priority(lines[PRIORITY]),
					       .has_prefixes = *lines[PREFIXES].text == '1' };
	return (int)at;
}
