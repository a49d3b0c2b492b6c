/* SPDX-License-Identifier: MIT */
/* libFuzzer: the parsers of syslog and of the journal, which one by the first byte.
 * Whatever they find must be part of what they were given, and they come to an end. */
#include "syslog.h"
#include "journal.h"

#include <stdint.h>
#include <stdlib.h>

static const char *begin, *end;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_part(struct message_part part)
{
	if (part.length > 0)
		require(part.text >= begin && part.length <= (size_t)(end - part.text));
}

static void check(const struct message *message)
{
	require(message->priority >= MESSAGE_NO_PRIORITY && message->priority <= 7);
	check_part(message->tag);
	check_part(message->pid);
	check_part(message->text);
}

static void parse_syslog(void)
{
	struct message message;

	syslog_parse(begin, (size_t)(end - begin), "here", &message);
	check(&message);
	require(message.text.text + message.text.length <= end);
}

static void parse_entries(void)
{
	const char *at = begin, *before = begin;
	struct message message;

	while (journal_next(&at, end, &message)) {
		check(&message);
		require(at > before && at <= end);
		before = at;
	}
	require(at == end);
}

static void parse_header(void)
{
	struct journal_stream stream;
	int size = journal_stream_header(begin, (size_t)(end - begin), &stream);

	require(size <= end - begin && size <= JOURNAL_HEADER_MAX);
	if (size <= 0)
		return;
	check_part(stream.identifier);
	require(begin[size - 1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(void) = { parse_syslog, parse_entries, parse_header };

	if (size == 0)
		return 0;
	begin = (const char *)data + 1;
	end = (const char *)data + size;
	parsers[data[0] % 3]();
	return 0;
}
