/* SPDX-License-Identifier: MIT */
/* A cgroup for each service, where the container has a cgroup v2 of its own that it may
 * write to: all that a service consists of is then killed in one go, however fast it
 * forks. Few containers have one, so nothing depends on it. */
#ifndef MOONRISE_CGROUP_H
#define MOONRISE_CGROUP_H

/* Make the cgroup of `id`: its folder, for a spawn plan; -errno when there can't be one. */
int cgroup_make(unsigned id);

/* KILL to all in it. */
void cgroup_kill(unsigned id);

/* When all in it have gone; no cgroup is left behind. */
void cgroup_remove(unsigned id);

#endif
