/* SPDX-License-Identifier: MIT */
/* Between moonrise and moonrise-bus: a seqpacket socket, so that a message is what one
 * read gets. A message is words with a NUL between them; the first says what it is.
 *
 *     to us      watch ID ADDRESS NAME    who owns NAME on the bus at ADDRESS, from now on
 *                forget ID
 *     from us    hello VERSION            once, when we can work
 *                bus ID REASON            there is no connection; it is tried again
 *                nobody ID                owns it
 *                owner ID PID             0: the bus does not say
 *                forgotten ID
 *
 * Each request is answered, so whoever waits for room to send gets it after an answer. */
#ifndef MOONRISE_BUS_TALK_H
#define MOONRISE_BUS_TALK_H

#include <stddef.h>

#define TALK_FD 0     /* moonrise has made it our stdin */
#define TALK_MAX 4096 /* bytes of a message, each way */
#define TALK_WORDS 8

struct talk_message {
	char data[TALK_MAX + 1];
	const char *words[TALK_WORDS];
	int count;
};

/* 0, or -errno: it is no such socket. */
int talk_check(void);

/* 1, 0 at the end, or -errno: -EAGAIN when there is none, -EBADMSG when it is too long. */
int talk_receive(struct talk_message *ret_message);

/* "owner", ID, and what there is more to say. */
void talk_say(const char *what, unsigned long id, const char *more);
void talk_hello(void);

#endif
