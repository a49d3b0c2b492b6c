/* SPDX-License-Identifier: MIT */
/* `moonrise volume ...`: what needs no running init. */
#ifndef MOONRISE_VOLUME_H
#define MOONRISE_VOLUME_H

/* argv[0] is "volume". The exit status. */
int volume_run(int argc, char **argv);

#endif
