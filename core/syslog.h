/* SPDX-License-Identifier: MIT */
/* What a message to syslog says: RFC 3164 as syslog(3) and everybody else writes it,
 * and RFC 5424. Nothing is copied, and there is no message that can't be read: what
 * is not understood is text. */
#ifndef MOONRISE_SYSLOG_H
#define MOONRISE_SYSLOG_H

#include "message.h"

/* Some senders write the name of the machine behind the time: `hostname` is left out. */
void syslog_parse(const char *data, size_t length, const char *hostname,
		  struct message *ret_message);

#endif
