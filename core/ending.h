/* SPDX-License-Identifier: MIT */
/* How everything ends: TERM to all, grace, KILL to all, one deadline; nothing
 * is left alive. C alone, no allocation: it must work when Lua is lost. */
#ifndef MOONRISE_ENDING_H
#define MOONRISE_ENDING_H

#include "util.h"

#include <stdint.h>

#define ENDING_GRACE_NS (10 * NSEC_PER_SEC)

/* As PID 1: kill(-1). Else: every known child with its group, and, as a
 * subreaper, whatever is left below us in /proc. `term` is the first signal
 * (0: straight to KILL). Returns when nothing is left, or shortly after KILL.
 * A TERM, INT or RTMIN+3 that comes meanwhile ends the patience. */
void ending_run(int term, int64_t grace);

/* Also the last word in /dev/termination-log where that file exists. */
void ending_termination_log(const char *text);

#endif
