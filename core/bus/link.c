/* SPDX-License-Identifier: MIT */
/* Nothing here waits: sd_bus_start begins, and a message that sd-bus makes itself says
 * when the connection is there, another when it is gone. A bus that can't be reached is
 * tried again after some time, and at once when its socket turns up in its folder. */
#include "link.h"

#include "util.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>

#define FIRST_DELAY 5000 /* microseconds; the socket is bound before it is listened on */
#define LAST_DELAY 1000000
#define LOCAL "org.freedesktop.DBus.Local"

struct link {
	struct link *next;
	struct link_client *clients;
	sd_event *event;
	char *address;
	sd_bus *bus;
	bool is_up;
	const char *reason; /* why it is not */
	uint64_t delay;
	sd_event_source *retry, *folder;
	char *missing; /* what is awaited in the folder */
};

static struct link *links;

static void connect_bus(struct link *link);

static void tell(const struct link *link, struct link_client *client)
{
	if (link->is_up)
		client->up(client, link->bus);
	else
		client->down(client, link->reason);
}

static void tell_all(const struct link *link)
{
	for (struct link_client *c = link->clients, *next; c; c = next) {
		next = c->next;
		tell(link, c);
	}
}

/* ---- trying again */

static int on_retry(sd_event_source *source, uint64_t time, void *data)
{
	struct link *link = data;
	const char *before = link->reason;

	(void)source;
	(void)time;
	connect_bus(link);
	if (strcmp(link->reason, before) != 0)
		tell_all(link);
	return 0;
}

static void retry_later(struct link *link)
{
	link->retry = sd_event_source_disable_unref(link->retry);
	(void)sd_event_add_time_relative(link->event, &link->retry, CLOCK_MONOTONIC, link->delay, 0,
					 on_retry, link);
	link->delay = link->delay * 2 < LAST_DELAY ? link->delay * 2 : LAST_DELAY;
}

static int on_folder(sd_event_source *source, const struct inotify_event *event, void *data)
{
	struct link *link = data;

	(void)source;
	if (event->len == 0 || strcmp(event->name, link->missing) != 0)
		return 0;
	link->delay = FIRST_DELAY;
	retry_later(link);
	return 0;
}

static void stop_trying(struct link *link)
{
	link->retry = sd_event_source_disable_unref(link->retry);
	link->folder = sd_event_source_disable_unref(link->folder);
	free(link->missing);
	link->missing = NULL;
}

/* The path in "unix:path=/run/x%20y,guid=...", or false. */
static bool socket_path(const char *address, char *ret_path)
{
	static const char prefix[] = "unix:path=";
	unsigned byte;
	size_t length = 0;

	if (strncmp(address, prefix, sizeof(prefix) - 1) != 0)
		return false;
	for (const char *s = address + sizeof(prefix) - 1; *s && !strchr(",;", *s); s++) {
		if (length == PATH_MAX - 1)
			return false;
		if (*s == '%' && sscanf(s + 1, "%2x", &byte) == 1) {
			ret_path[length++] = (char)byte;
			s += s[1] && s[2] ? 2 : 0;
		} else {
			ret_path[length++] = *s;
		}
	}
	ret_path[length] = '\0';
	return length > 1 && *ret_path == '/';
}

/* The nearest folder that is there, and what of the path is to come in it next. */
static void watch_folder(struct link *link)
{
	char path[PATH_MAX];
	char *slash;

	if (!socket_path(link->address, path))
		return;
	do {
		slash = strrchr(path, '/');
		free(link->missing);
		link->missing = strdup(slash + 1);
		*slash = '\0';
	} while (slash != path && access(path, F_OK) < 0);
	if (link->missing)
		(void)sd_event_add_inotify(link->event, &link->folder, slash == path ? "/" : path,
					   IN_CREATE | IN_MOVED_TO, on_folder, link);
}

/* ---- the connection */

static void try_again(struct link *link, const char *reason)
{
	link->is_up = false;
	link->reason = reason;
	link->bus = sd_bus_close_unref(link->bus);
	stop_trying(link);
	watch_folder(link);
	retry_later(link);
}

static int on_connected(sd_bus_message *message, void *data, sd_bus_error *error)
{
	struct link *link = data;

	(void)message;
	(void)error;
	link->is_up = true;
	link->delay = FIRST_DELAY;
	stop_trying(link);
	tell_all(link);
	return 0;
}

/* First the clients, whose slots hold the bus. */
static int on_disconnected(sd_bus_message *message, void *data, sd_bus_error *error)
{
	struct link *link = data;

	(void)message;
	(void)error;
	link->reason = link->is_up ? "it has closed the connection" : "it refuses the connection";
	link->is_up = false;
	tell_all(link);
	try_again(link, link->reason);
	return 0;
}

static int on_signal(struct link *link, const char *member, sd_bus_message_handler_t handler)
{
	return sd_bus_match_signal_async(link->bus, NULL, LOCAL, "/org/freedesktop/DBus/Local",
					 LOCAL, member, handler, NULL, link);
}

/* A client of a bus, whose loop is ours. 0 or -errno. */
static int start_bus(struct link *link)
{
	int r = sd_bus_new(&link->bus);

	if (r >= 0)
		r = sd_bus_set_address(link->bus, link->address);
	if (r >= 0)
		r = sd_bus_set_bus_client(link->bus, true);
	if (r >= 0)
		r = sd_bus_set_connected_signal(link->bus, true);
	if (r >= 0)
		r = sd_bus_start(link->bus);
	if (r >= 0)
		r = sd_bus_attach_event(link->bus, link->event, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = on_signal(link, "Connected", on_connected);
	if (r >= 0)
		r = on_signal(link, "Disconnected", on_disconnected);
	return r;
}

static void connect_bus(struct link *link)
{
	int r = start_bus(link);

	link->reason = "it has not answered yet";
	if (r < 0)
		try_again(link, strerror(-r));
}

/* ---- clients */

static struct link *find(const char *address)
{
	struct link *link = links;

	while (link && strcmp(link->address, address) != 0)
		link = link->next;
	return link;
}

static struct link *make(sd_event *event, const char *address)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->event = event;
	link->delay = FIRST_DELAY;
	link->address = strdup(address);
	if (!link->address) {
		free(link);
		return NULL;
	}
	link->next = links;
	links = link;
	connect_bus(link);
	return link;
}

static void drop(struct link *link)
{
	struct link **p = &links;

	while (*p != link)
		p = &(*p)->next;
	*p = link->next;
	stop_trying(link);
	sd_bus_close_unref(link->bus);
	free(link->address);
	free(link);
}

int link_join(sd_event *event, const char *address, struct link_client *client)
{
	struct link *link = find(address);

	if (!link)
		link = make(event, address);
	if (!link)
		return -ENOMEM;
	client->link = link;
	client->next = link->clients;
	link->clients = client;
	tell(link, client);
	return 0;
}

void link_leave(struct link_client *client)
{
	struct link *link = client->link;
	struct link_client **p = &link->clients;

	while (*p != client)
		p = &(*p)->next;
	*p = client->next;
	if (!link->clients)
		drop(link);
}
