/* SPDX-License-Identifier: MIT */
/* What moonrise itself has to say: "moonrise: text" on stderr, one line, one
 * write, and never a wait. A message that nobody reads is dropped and counted. */
#ifndef MOONRISE_LOG_H
#define MOONRISE_LOG_H

#include "level.h"

#include <stdbool.h>
#include <stddef.h>

/* What is less urgent than $MOONRISE_LOG_LEVEL (default: info) is not said. */
void log_set_level(enum level level);
bool log_is_said(enum level level);

/* Text of several lines comes out as several lines. */
void log_line(enum level level, const char *text, size_t length);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
