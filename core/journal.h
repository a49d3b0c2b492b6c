/* SPDX-License-Identifier: MIT */
/* What is sent to the journal: the native protocol, which is a list of fields, each
 *     NAME=value\n            or, for values with newlines or any bytes,
 *     NAME\n  <length, 8 bytes, little-endian>  value\n
 * and an empty line between two entries; and the seven lines in front of a stream.
 * Nothing is copied. */
#ifndef MOONRISE_JOURNAL_H
#define MOONRISE_JOURNAL_H

#include "message.h"

#include <stdbool.h>

/* Takes the next entry off `*data`, which ends at `end`: false when there is none.
 * The message is made of its fields MESSAGE, PRIORITY, SYSLOG_IDENTIFIER and
 * SYSLOG_PID. Of a field that comes twice the first counts; what is no field ends all. */
bool journal_next(const char **data, const char *end, struct message *ret_message);

/* How a stream begins: sd_journal_stream_fd(3). */
struct journal_stream {
	struct message_part identifier;
	int priority; /* of lines that have no "<4>" in front, or MESSAGE_NO_PRIORITY */
	bool has_prefixes;
};

#define JOURNAL_HEADER_MAX 1024

/* How many of the bytes belong to the header, when it is whole; 0: not yet; -EBADMSG:
 * it is none, or longer than JOURNAL_HEADER_MAX. */
int journal_stream_header(const char *data, size_t length, struct journal_stream *ret_stream);

#endif
