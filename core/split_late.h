/* SPDX-License-Identifier: MIT */
/* An image that was not split when it was built is split when a container of it boots. */
#ifndef MOONRISE_SPLIT_LATE_H
#define MOONRISE_SPLIT_LATE_H

#include "path.h"

#include <stdbool.h>

/* TEMPLATE VOLUME "file"|"paths" NAME..., where each NAME is a list, or what stands in one.
 * On stdout, in lines with what say_text gives: "fault TEXT" for what is wrong with the
 * list, and then nothing is changed; "denied" when this process may not change the image;
 * "moved PATH" for what is, or in a rehearsal would be, a link to the volume from now on.
 * 0 or -errno. */
int split_late(char **args, bool rehearsal, struct path *ret_where);

#endif
