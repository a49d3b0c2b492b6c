/* SPDX-License-Identifier: MIT */
/* A connection to a message bus, shared by all who want something of it, and made
 * again for as long as somebody does: the bus may come later, and come back. */
#ifndef MOONRISE_BUS_LINK_H
#define MOONRISE_BUS_LINK_H

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

struct link;

/* Embed it. `up` and `down` are called when the connection changes. In `down`, and
 * before link_leave, the client lets go of all that it has of the bus. */
struct link_client {
	void (*up)(struct link_client *client, sd_bus *bus);
	void (*down)(struct link_client *client, const char *reason);
	struct link *link;
	struct link_client *next;
};

/* Tells the client at once how things are. 0 or -errno. */
int link_join(sd_event *event, const char *address, struct link_client *client);

/* Without a client there is no connection. */
void link_leave(struct link_client *client);

#endif
