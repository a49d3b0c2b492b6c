/* SPDX-License-Identifier: MIT */
/* How one line of the container's output looks. This runs for every line of
 * every service, so it writes straight to where the line leaves from. */
#include "record.h"

#include "level.h"
#include "util.h"

#include <string.h>
#include <time.h>

#define ESCAPED_MAX 6  /* one byte as \u001f */
#define JSON_FRAME 192 /* keys, punctuation, the time, the stream, the level, the pid */
#define JOURNAL_FRAME 100

enum record_format record_format_from(const char *word)
{
	if (word && strcmp(word, "plain") == 0)
		return RECORD_PLAIN;
	if (word && strcmp(word, "json") == 0)
		return RECORD_JSON;
	return RECORD_PREFIX;
}

/* What memcpy of musl takes to begin is long for lines and names. Copies of a known
 * size are made in place; of two that do for all the second overlaps the first. */
static char *put(char *dst, const char *text, size_t len)
{
	char *end = dst + len;
	if (len > 512) {
		memcpy(dst, text, len);
	} else if (len >= 16) {
		for (; end - dst > 16; dst += 16, text += 16)
			memcpy(dst, text, 16);
		memcpy(end - 16, text + (end - dst) - 16, 16);
	} else if (len >= 8) {
		memcpy(dst, text, 8);
		memcpy(end - 8, text + (len - 8), 8);
	} else if (len >= 4) {
		memcpy(dst, text, 4);
		memcpy(end - 4, text + (len - 4), 4);
	} else {
		for (; dst < end; dst++, text++)
			*dst = *text;
	}
	return end;
}

static char *put_string(char *dst, const char *text)
{
	return put(dst, text, strlen(text));
}

/* Length of the UTF-8 character at `s`, 0 when it is none (overlong forms,
 * surrogates and what is past U+10FFFF included). */
static size_t utf8_length(const unsigned char *s, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (len <= 1)
		return len;
	if (len > left || s[0] > 0xf4)
		return 0;

	uint32_t code = s[0] & (0xff >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return len;
}

static char *put_escape(char *dst, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	switch (c) {
	case '"':
		return put(dst, "\\\"", 2);
	case '\\':
		return put(dst, "\\\\", 2);
	case '\n':
		return put(dst, "\\n", 2);
	case '\t':
		return put(dst, "\\t", 2);
	case '\r':
		return put(dst, "\\r", 2);
	}
	dst = put(dst, "\\u00", 4);
	*dst++ = hex[c >> 4];
	*dst++ = hex[c & 15];
	return dst;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

char *record_put_json(char *dst, const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	for (size_t i = 0; i < len;) {
		size_t n = i;
		while (n < len && is_plain(s[n]))
			n++;
		dst = put(dst, text + i, n - i);
		i = n;
		if (i == len)
			break;
		n = utf8_length(s + i, len - i);
		if (n > 1)
			dst = put(dst, text + i, n);
		else if (n == 1)
			dst = put_escape(dst, s[i]);
		else
			dst = put(dst, "\xef\xbf\xbd", 3); /* U+FFFD */
		i += n ? n : 1;
	}
	return dst;
}

/* "2025-01-31T23:59:59.123Z"; the date is worked out once a second. */
static char *put_time(char *dst, int64_t time)
{
	static time_t known = -1;
	static char date[sizeof("2025-01-31T23:59:59")];
	struct timespec when = { time / NSEC_PER_SEC, time % NSEC_PER_SEC };
	if (time == 0)
		clock_gettime(CLOCK_REALTIME, &when);
	if (when.tv_sec != known) {
		struct tm tm;
		if (gmtime_r(&when.tv_sec, &tm))
			strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
		known = when.tv_sec;
	}
	int ms = (int)(when.tv_nsec / 1000000);
	dst = put_string(dst, date);
	*dst++ = '.';
	*dst++ = (char)('0' + ms / 100);
	*dst++ = (char)('0' + ms / 10 % 10);
	*dst++ = (char)('0' + ms % 10);
	*dst++ = 'Z';
	return dst;
}

static char *put_word(char *dst, const char *key, const char *word)
{
	if (!word)
		return dst;
	dst = put_string(dst, key);
	return put_string(dst, word);
}

static char *write_json(const struct record *r, char *dst)
{
	dst = put_string(dst, "{\"time\":\"");
	dst = put_time(dst, r->time);
	dst = put_string(dst, "\",\"name\":\"");
	dst = record_put_json(dst, r->name, strlen(r->name));
	if (r->tag)
		dst = record_put_json(put_string(dst, "\",\"tag\":\""), r->tag, strlen(r->tag));
	dst = put_word(dst, "\",\"stream\":\"", r->stream);
	dst = put_word(dst, "\",\"level\":\"", r->level);
	if (r->pid > 0)
		dst += sprintf(dst, "\",\"pid\":%d,\"message\":\"", r->pid);
	else
		dst = put_string(dst, "\",\"message\":\"");
	dst = record_put_json(dst, r->text, r->length);
	if (r->partial)
		return put_string(dst, "\",\"partial\":true}");
	return put_string(dst, "\"}");
}

/* What is not said has the priority of LEVEL_INFO, as journald has it. A name ends at a
 * newline, which would begin another field. */
static char *write_journal(const struct record *r, char *dst)
{
	int level = r->level ? level_number(r->level) : LEVEL_NONE;

	dst = put_string(dst, "PRIORITY=");
	*dst++ = (char)('0' + level_to_syslog((enum level)level));
	dst = put_string(dst, "\nSYSLOG_IDENTIFIER=");
	dst = put(dst, r->name, strcspn(r->name, "\n"));
	if (r->partial)
		dst = put_string(dst, "\nCONTAINER_PARTIAL_MESSAGE=true"); /* as Docker says it */
	dst = put_string(dst, "\nMESSAGE=");
	if (r->tag)
		dst = put_string(put_string(dst, r->tag), ": ");
	dst = put(dst, r->text, r->length);
	return put_string(dst, "\n");
}

size_t record_room(enum record_format format, const struct record *r)
{
	size_t names = strlen(r->name) + (r->tag ? strlen(r->tag) : 0);
	if (format == RECORD_JOURNAL)
		return JOURNAL_FRAME + names + r->length;
	if (format != RECORD_JSON)
		return names + 2 * strlen(": ") + r->length + 2;
	return JSON_FRAME + ESCAPED_MAX * (names + r->length);
}

size_t record_write(enum record_format format, const struct record *r, char *dst)
{
	char *end = dst;
	if (format == RECORD_JSON) {
		end = write_json(r, end);
	} else if (format == RECORD_JOURNAL) {
		end = write_journal(r, end);
	} else {
		if (format == RECORD_PREFIX) {
			end = put_string(end, r->name);
			end = put(end, ": ", 2);
		}
		if (r->tag)
			end = put(put_string(end, r->tag), ": ", 2);
		end = put(end, r->text, r->length);
		if (r->partial)
			*end++ = '\\';
	}
	*end++ = '\n';
	return (size_t)(end - dst);
}
