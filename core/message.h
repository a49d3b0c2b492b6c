/* SPDX-License-Identifier: MIT */
/* What a client of syslog or the journal says, in parts of the text in which it came. */
#ifndef MOONRISE_MESSAGE_H
#define MOONRISE_MESSAGE_H

#include <stddef.h>

struct message_part {
	const char *text;
	size_t length; /* 0: it is not there */
};

#define MESSAGE_NO_PRIORITY (-1)

struct message {
	int priority;            /* 0 to 7, as in syslog(3), or MESSAGE_NO_PRIORITY */
	struct message_part tag; /* "CRON" of "CRON[12]: text" */
	struct message_part pid; /* "12", or whatever is said */
	struct message_part text;
};

#endif
