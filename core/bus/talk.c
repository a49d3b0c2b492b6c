/* SPDX-License-Identifier: MIT */
/* Sending may wait: moonrise reads whatever else it does. */
#include "talk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int talk_check(void)
{
	int type = 0;
	socklen_t length = sizeof(type);

	if (getsockopt(TALK_FD, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
		return -errno;
	return type == SOCK_SEQPACKET ? 0 : -EPROTOTYPE;
}

static void split(struct talk_message *message, size_t length)
{
	const char *word = message->data, *end = word + length;

	for (message->count = 0; word < end && message->count < TALK_WORDS; message->count++) {
		message->words[message->count] = word;
		word += strlen(word) + 1;
	}
}

int talk_receive(struct talk_message *ret_message)
{
	ssize_t n = recv(TALK_FD, ret_message->data, TALK_MAX, MSG_DONTWAIT | MSG_TRUNC);

	if (n <= 0)
		return n < 0 ? -errno : 0;
	if (n > TALK_MAX)
		return -EBADMSG;
	ret_message->data[n] = '\0';
	split(ret_message, (size_t)n);
	return 1;
}

/* When moonrise has gone, the next talk_receive says so. */
static void send_words(const char *words, int length)
{
	(void)send(TALK_FD, words, (size_t)(length < TALK_MAX ? length : TALK_MAX), MSG_NOSIGNAL);
}

void talk_say(const char *what, unsigned long id, const char *more)
{
	char words[TALK_MAX];
	int length = snprintf(words, sizeof(words), "%s%c%lu", what, '\0', id);

	if (more)
		length += snprintf(words + length, sizeof(words) - (size_t)length, "%c%s", '\0',
				   more);
	send_words(words, length);
}

void talk_hello(void)
{
	static const char words[] = "hello\0" MOONRISE_VERSION;

	send_words(words, sizeof(words) - 1);
}
