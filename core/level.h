/* SPDX-License-Identifier: MIT */
/* How urgent a line is: moonrise's own words and syslog's numbers for it. */
#ifndef MOONRISE_LEVEL_H
#define MOONRISE_LEVEL_H

enum level {
	LEVEL_NONE = -1, /* of a line that does not say it */
	LEVEL_ERROR,
	LEVEL_WARNING,
	LEVEL_NOTICE,
	LEVEL_INFO,
	LEVEL_DEBUG,
};

/* "error", "warning", "notice", "info", "debug": the level, or -EINVAL. */
int level_number(const char *name);
const char *level_name(enum level level); /* NULL for LEVEL_NONE */

/* What syslog(3) calls it, 0 (LOG_EMERG) to 7 (LOG_DEBUG). */
enum level level_of_syslog(unsigned priority);
unsigned level_to_syslog(enum level level); /* LEVEL_NONE counts as LEVEL_INFO */

/* $MOONRISE_LOG_LEVEL, or `otherwise` when that is unset or unknown. */
enum level level_wanted(enum level otherwise);

#endif
