/* SPDX-License-Identifier: MIT */
/* Who owns a name on a message bus: said when it is asked, and each time that it
 * changes. */
#ifndef MOONRISE_BUS_NAME_H
#define MOONRISE_BUS_NAME_H

#include <systemd/sd-event.h>

/* 0 or -errno: -EINVAL for what is no name. */
int name_watch(sd_event *event, unsigned long id, const char *address, const char *name);
void name_forget(unsigned long id);

#endif
