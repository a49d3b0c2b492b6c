/* SPDX-License-Identifier: MIT */
/* The bus is asked for its signal first and then for the owner, and it answers in this
 * order, so nothing is missed in between. An owner is worth something when its process
 * is known, so this is asked before the owner is told. */
#include "name.h"

#include "link.h"
#include "talk.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define DBUS "org.freedesktop.DBus"
#define PATH "/org/freedesktop/DBus"

struct name {
	struct link_client client;
	struct name *next;
	unsigned long id;
	char *name;
	sd_bus_slot *changes, *question;
};

static struct name *names;

static void say(const struct name *n, const char *what, const char *more)
{
	talk_say(what, n->id, more);
}

/* A new question takes the place of one that is not answered yet. */
static void ask(struct name *n, sd_bus *bus, const char *method, sd_bus_message_handler_t answer,
		const char *argument)
{
	n->question = sd_bus_slot_unref(n->question);
	(void)sd_bus_call_method_async(bus, &n->question, DBUS, PATH, DBUS, method, answer, n, "s",
				       argument);
}

/* ---- the owner's process */

/* a{sv} */
static uint32_t read_pid(sd_bus_message *message)
{
	const char *key;
	uint32_t pid = 0;

	if (sd_bus_message_enter_container(message, 'a', "{sv}") < 0)
		return 0;
	while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
		if (sd_bus_message_read(message, "s", &key) < 0)
			return 0;
		if (strcmp(key, "ProcessID") == 0)
			(void)sd_bus_message_read(message, "v", "u", &pid);
		else
			(void)sd_bus_message_skip(message, "v");
		(void)sd_bus_message_exit_container(message);
	}
	return pid;
}

/* When the owner is gone again, the bus says that, too. */
static int on_credentials(sd_bus_message *message, void *data, sd_bus_error *error)
{
	const struct name *n = data;
	char pid[16];

	(void)error;
	if (sd_bus_message_is_method_error(message, DBUS ".Error.NameHasNoOwner"))
		return 0;
	(void)snprintf(pid, sizeof(pid), "%u", (unsigned)read_pid(message));
	say(n, "owner", pid);
	return 0;
}

static void tell(struct name *n, sd_bus *bus, const char *owner)
{
	if (*owner) {
		ask(n, bus, "GetConnectionCredentials", on_credentials, owner);
	} else {
		n->question = sd_bus_slot_unref(n->question);
		say(n, "nobody", NULL);
	}
}

/* ---- the name */

static int on_owner(sd_bus_message *message, void *data, sd_bus_error *error)
{
	const sd_bus_error *trouble = sd_bus_message_get_error(message);
	struct name *n = data;
	const char *owner = "";

	(void)error;
	if (trouble && strcmp(trouble->name, DBUS ".Error.NameHasNoOwner") != 0) {
		say(n, "bus", trouble->message);
		return 0;
	}
	if (!trouble && sd_bus_message_read(message, "s", &owner) < 0)
		return 0;
	tell(n, sd_bus_message_get_bus(message), owner);
	return 0;
}

static int on_change(sd_bus_message *message, void *data, sd_bus_error *error)
{
	struct name *n = data;
	const char *name, *before, *owner;

	(void)error;
	if (sd_bus_message_read(message, "sss", &name, &before, &owner) >= 0)
		tell(n, sd_bus_message_get_bus(message), owner);
	return 0;
}

static void up(struct link_client *client, sd_bus *bus)
{
	struct name *n = container_of(client, struct name, client);
	char rule[512];

	(void)snprintf(rule, sizeof(rule),
		       "type='signal',sender='" DBUS "',path='" PATH "',interface='" DBUS "',"
		       "member='NameOwnerChanged',arg0='%s'",
		       n->name);
	(void)sd_bus_add_match_async(bus, &n->changes, rule, on_change, NULL, n);
	ask(n, bus, "GetNameOwner", on_owner, n->name);
}

static void let_go(struct name *n)
{
	n->changes = sd_bus_slot_unref(n->changes);
	n->question = sd_bus_slot_unref(n->question);
}

static void down(struct link_client *client, const char *reason)
{
	struct name *n = container_of(client, struct name, client);

	let_go(n);
	say(n, "bus", reason);
}

/* ---- for moonrise */

static void free_name(struct name *n)
{
	free(n->name);
	free(n);
}

int name_watch(sd_event *event, unsigned long id, const char *address, const char *name)
{
	struct name *n;
	int r;

	if (!sd_bus_service_name_is_valid(name))
		return -EINVAL;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	*n = (struct name){ .client = { .up = up, .down = down }, .id = id, .name = strdup(name) };
	r = n->name ? link_join(event, address, &n->client) : -ENOMEM;
	if (r < 0) {
		free_name(n);
		return r;
	}
	n->next = names;
	names = n;
	return 0;
}

void name_forget(unsigned long id)
{
	struct name **p = &names, *n;

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	n = *p;
	if (!n)
		return;
	*p = n->next;
	let_go(n);
	link_leave(&n->client);
	free_name(n);
}
