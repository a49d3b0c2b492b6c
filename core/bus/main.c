/* SPDX-License-Identifier: MIT */
/* moonrise-bus: D-Bus for moonrise, which speaks none itself. moonrise starts it when
 * a script needs it, with a socket as its stdin, and says what it wants to know. */
#include "name.h"
#include "talk.h"

#include "util.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

static sd_event *event;

static int watch(const char *const *words)
{
	return name_watch(event, strtoul(words[1], NULL, 10), words[2], words[3]);
}

static int forget(const char *const *words)
{
	unsigned long id = strtoul(words[1], NULL, 10);

	name_forget(id);
	talk_say("forgotten", id, NULL);
	return 0;
}

static const struct {
	const char *name;
	int count; /* of words */
	int (*act)(const char *const *words);
} requests[] = {
	{ "watch", 4, watch },
	{ "forget", 2, forget },
};

static int act(const struct talk_message *message)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (message->count == requests[i].count &&
		    strcmp(message->words[0], requests[i].name) == 0)
			return requests[i].act(message->words);
	return -EBADMSG;
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct talk_message message;
	int r;

	(void)source;
	(void)fd;
	(void)events;
	(void)data;
	while ((r = talk_receive(&message)) != -EAGAIN) {
		if (r == 1)
			r = act(&message);
		else if (r != -EBADMSG)
			return sd_event_exit(event, r < 0 ? EX_IOERR : 0);
		if (r < 0)
			fprintf(stderr, "a request that can't be met: %s\n", strerror(-r));
	}
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return puts("moonrise-bus " MOONRISE_VERSION) < 0;
	if (argc > 1 || talk_check() < 0) {
		fputs("moonrise-bus is started by moonrise, when a boot script needs D-Bus.\n",
		      stderr);
		return EX_USAGE;
	}
	r = sd_event_new(&event);
	if (r >= 0)
		r = sd_event_add_io(event, NULL, TALK_FD, EPOLLIN, on_request, NULL);
	if (r < 0) {
		fprintf(stderr, "cannot begin: %s\n", strerror(-r));
		return EX_OSERR;
	}
	talk_hello();
	r = sd_event_loop(event);
	return r < 0 ? EX_OSERR : r;
}
