/* SPDX-License-Identifier: MIT */
/* What moonrise itself has to say: "moonrise: text" on stderr, one line, one
 * write, and never a wait. A message that nobody reads is dropped and counted. */
#ifndef MOONRISE_LOG_H
#define MOONRISE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LEVEL_NONE = -1, /* of a line that does not say it */
	LEVEL_ERROR,
	LEVEL_WARNING,
	LEVEL_NOTICE,
	LEVEL_INFO,
	LEVEL_DEBUG,
};

/* The name in front of each message, if it is not "moonrise". */
void log_program(const char *name);

/* "error", "warning", "notice", "info", "debug": the level, or -EINVAL. What is
 * less urgent than $MOONRISE_LOG_LEVEL (default: info) is not said. */
int log_level_number(const char *name);
void log_set_level(enum log_level level);
bool log_is_said(enum log_level level);
const char *log_level_name(enum log_level level); /* NULL for LEVEL_NONE */

/* What syslog(3) calls it, 0 (LOG_EMERG) to 7 (LOG_DEBUG). */
enum log_level log_level_of_syslog(unsigned priority);
unsigned log_syslog_priority(enum log_level level); /* LEVEL_NONE counts as LEVEL_INFO */

/* What is less urgent than that of the services' lines does not come out: LEVEL_DEBUG
 * as long as $MOONRISE_LOG_LEVEL is not set. */
enum log_level log_level_of_services(void);

/* Text of several lines comes out as several lines. */
void log_line(enum log_level level, const char *text, size_t length);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
