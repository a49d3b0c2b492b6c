/* SPDX-License-Identifier: MIT */
/* What the container is called and where it is reached. */
#ifndef MOONRISE_ADDRESS_H
#define MOONRISE_ADDRESS_H

#include "net.h"

#include <net/if.h>
#include <stdbool.h>

struct address {
	char interface[IF_NAMESIZE];
	char text[NET_ADDRESS_SIZE];
	bool is_v6, is_loopback, is_link_local;
};

/* Of interfaces that are up: how many, at most `max`, or -errno. */
int address_list(struct address *ret_addresses, int max);

/* -EPERM where the name is not ours to set: 0 or -errno. */
int address_set_hostname(const char *name);

#endif
