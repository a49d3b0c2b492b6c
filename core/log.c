/* SPDX-License-Identifier: MIT */
/* What moonrise itself has to say. It must work at any time, also when memory is
 * gone and Lua is lost, so nothing here allocates. */
#include "log.h"

#include "output.h"
#include "record.h"
#include "util.h"

#include <stdarg.h>
#include <string.h>

#define TEXT_MAX 8192 /* of one message; a longer one is cut */
#define UNSET (-2)

static int level_limit = UNSET;
static enum record_format format;
static unsigned lost; /* messages dropped since the last one that went out */

void log_set_level(enum level level)
{
	level_limit = level;
}

/* The environment is read with the first message: `moonrise -- CMD` has none. */
static void read_environment(void)
{
	if (level_limit == UNSET)
		level_limit = level_wanted(LEVEL_INFO);
	format = record_format_from(getenv("MOONRISE_LOG"));
	if (format == RECORD_PLAIN)
		format = RECORD_PREFIX; /* our own lines always say whose they are */
}

bool log_is_said(enum level level)
{
	if (level_limit == UNSET)
		read_environment();
	return (int)level <= level_limit;
}

static bool put(struct output *out, enum level level, const char *text, size_t length)
{
	struct record record = {
		.name = "moonrise", .level = level_name(level), .text = text, .length = length
	};
	char *dst = output_reserve(out, record_room(format, &record));
	if (dst)
		output_commit(out, record_write(format, &record, dst));
	return dst != NULL;
}

static void put_lost(struct output *out)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "%u messages lost: nobody read them", lost);
	if (lost > 0 && put(out, LEVEL_WARNING, text, (size_t)length))
		lost = 0;
}

/* Terminal escapes in what others made us say must not reach a terminal. */
static size_t copy_clean(char *dst, const char *text, size_t length)
{
	if (length > TEXT_MAX)
		length = TEXT_MAX;
	while (length > 0 && text[length - 1] == '\n')
		length--;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		dst[i] = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : text[i];
	}
	return length;
}

void log_line(enum level level, const char *text, size_t length)
{
	char clean[TEXT_MAX];
	if (!log_is_said(level))
		return;

	struct output *out = output_stderr();
	output_flush(out);
	put_lost(out);
	length = copy_clean(clean, text, length);
	for (const char *line = clean, *end = clean + length;;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		if (!put(out, level, line, (size_t)((newline ? newline : end) - line)))
			lost++;
		if (!newline)
			break;
		line = newline + 1;
	}
	output_flush(out);
}

static void log_format(enum level level, const char *fmt, va_list args)
{
	char text[TEXT_MAX];
	int length = vsnprintf(text, sizeof(text), fmt, args);
	if (length > 0)
		log_line(level, text,
			 (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
}

#define DEFINE_LOG(name, level)               \
	void name(const char *fmt, ...)       \
	{                                     \
		va_list args;                 \
		va_start(args, fmt);          \
		log_format(level, fmt, args); \
		va_end(args);                 \
	}

DEFINE_LOG(log_error, LEVEL_ERROR)
DEFINE_LOG(log_warning, LEVEL_WARNING)
DEFINE_LOG(log_notice, LEVEL_NOTICE)
DEFINE_LOG(log_info, LEVEL_INFO)
DEFINE_LOG(log_debug, LEVEL_DEBUG)
