/* SPDX-License-Identifier: MIT */
/* getifaddrs(3) asks the kernel by netlink and waits for nobody. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* False for what is no address of IP. */
static bool convert(const struct ifaddrs *entry, struct address *ret)
{
	const struct sockaddr_in *v4 = (const void *)entry->ifa_addr;
	const struct sockaddr_in6 *v6 = (const void *)entry->ifa_addr;

	if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP))
		return false;
	if (entry->ifa_addr->sa_family != AF_INET && entry->ifa_addr->sa_family != AF_INET6)
		return false;
	*ret = (struct address){
		.is_v6 = entry->ifa_addr->sa_family == AF_INET6,
		.is_loopback = entry->ifa_flags & IFF_LOOPBACK,
	};
	(void)snprintf(ret->interface, sizeof(ret->interface), "%s", entry->ifa_name);
	if (!ret->is_v6)
		return inet_ntop(AF_INET, &v4->sin_addr, ret->text, sizeof(ret->text));
	ret->is_link_local = IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr);
	return inet_ntop(AF_INET6, &v6->sin6_addr, ret->text, sizeof(ret->text));
}

int address_list(struct address *ret_addresses, int max)
{
	struct ifaddrs *list;
	int count = 0;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (const struct ifaddrs *entry = list; entry && count < max; entry = entry->ifa_next)
		count += convert(entry, &ret_addresses[count]);
	freeifaddrs(list);
	return count;
}

int address_set_hostname(const char *name)
{
	return sethostname(name, strlen(name)) < 0 ? -errno : 0;
}
