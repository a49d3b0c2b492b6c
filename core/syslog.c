/* SPDX-License-Identifier: MIT */
/* A cursor runs over the message. Each step takes what it knows off the front, or
 * leaves everything as it is. */
#include "syslog.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define TAG_MAX 64
#define BOM "\xef\xbb\xbf"

struct cursor {
	const char *at, *end;
};

static size_t left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

static bool take(struct cursor *c, const char *text)
{
	size_t n = strlen(text);

	if (left(c) < n || memcmp(c->at, text, n) != 0)
		return false;
	c->at += n;
	return true;
}

/* Characters are as in `pattern`, where 0 is any digit, a any letter, _ a digit or a
 * space; all others are themselves. */
static bool take_pattern(struct cursor *c, const char *pattern)
{
	size_t n = strlen(pattern);

	if (left(c) < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char is = (unsigned char)c->at[i];
		bool fits = pattern[i] == '0'   ? isdigit(is)
			    : pattern[i] == 'a' ? isalpha(is)
			    : pattern[i] == '_' ? isdigit(is) || is == ' '
						: is == (unsigned char)pattern[i];
		if (!fits)
			return false;
	}
	c->at += n;
	return true;
}

/* Up to the next space, which is taken, too, or the end; false: there is nothing. */
static bool take_word(struct cursor *c, struct message_part *ret_word)
{
	const char *space = memchr(c->at, ' ', left(c));
	const char *end = space ? space : c->end;

	if (end == c->at)
		return false;
	*ret_word = (struct message_part){ c->at, (size_t)(end - c->at) };
	c->at = space ? space + 1 : end;
	return true;
}

/* "<13>" */
static int take_priority(struct cursor *c)
{
	const char *p = c->at;
	int value = 0;

	if (p == c->end || *p++ != '<')
		return MESSAGE_NO_PRIORITY;
	while (p < c->end && isdigit((unsigned char)*p) && p - c->at <= 3)
		value = value * 10 + (*p++ - '0');
	if (p == c->end || *p != '>' || p == c->at + 1)
		return MESSAGE_NO_PRIORITY;
	c->at = p + 1;
	return value & 7;
}

/* "2026-11-29T07:48:07.123456+01:00 " */
static bool take_iso_time(struct cursor *c)
{
	struct cursor try = *c;

	if (!take_pattern(&try, "0000-00-00T00:00:00"))
		return false;
	if (take(&try, "."))
		while (try.at < try.end && isdigit((unsigned char)*try.at))
			try.at++;
	if (!take(&try, "Z") && !take_pattern(&try, "+00:00") && !take_pattern(&try, "-00:00"))
		return false;
	if (!take(&try, " "))
		return false;
	*c = try;
	return true;
}

/* ---- RFC 3164 */

static bool is_tag(struct message_part word)
{
	if (word.length == 0 || word.length > TAG_MAX)
		return false;
	for (size_t i = 0; i < word.length; i++)
		if ((unsigned char)word.text[i] <= ' ' || word.text[i] == 0x7f)
			return false;
	return true;
}

/* "CRON[12]: " or "CRON: " */
static void take_tag(struct cursor *c, struct message *m)
{
	struct cursor try = *c;
	struct message_part word, pid = { 0 };

	if (!take_word(&try, &word) || word.text[--word.length] != ':')
		return;
	const char *bracket = memchr(word.text, '[', word.length);
	if (bracket && word.text[word.length - 1] == ']') {
		pid.text = bracket + 1;
		pid.length = (size_t)(word.text + word.length - 1 - pid.text);
		word.length = (size_t)(bracket - word.text);
	}
	if (!is_tag(word) || (pid.length > 0 && !is_tag(pid)))
		return;
	m->tag = word;
	m->pid = pid;
	*c = try;
}

static void parse_3164(struct cursor *c, const char *hostname, struct message *m)
{
	struct cursor try;
	struct message_part word;

	if (take_pattern(c, "aaa _0 00:00:00 ") || take_iso_time(c)) {
		try = *c;
		if (take_word(&try, &word) && word.length == strlen(hostname) &&
		    memcmp(word.text, hostname, word.length) == 0)
			*c = try;
	}
	take_tag(c, m);
}

/* ---- RFC 5424 */

/* [id name="value with \"quotes\" and ]"] */
static bool take_element(struct cursor *c)
{
	bool quoted = false;

	if (!take(c, "["))
		return false;
	while (c->at < c->end) {
		char is = *c->at++;

		if (quoted && is == '\\' && c->at < c->end)
			c->at++;
		else if (is == '"')
			quoted = !quoted;
		else if (is == ']' && !quoted)
			return true;
	}
	return false;
}

static bool take_structured_data(struct cursor *c)
{
	if (!take(c, "-")) {
		if (!take_element(c))
			return false;
		while (c->at < c->end && *c->at == '[')
			if (!take_element(c))
				return false;
	}
	return c->at == c->end || take(c, " ");
}

static struct message_part unless_nil(struct message_part word)
{
	if ((word.length == 1 && *word.text == '-') || !is_tag(word))
		word.length = 0;
	return word;
}

/* false: it is none, and nothing has changed. */
static bool parse_5424(struct cursor *c, struct message *m)
{
	struct message_part host, app, pid, id;
	struct cursor try = *c;

	if (!take(&try, "1 ") || (!take(&try, "- ") && !take_iso_time(&try)))
		return false;
	if (!take_word(&try, &host) || !take_word(&try, &app) || !take_word(&try, &pid) ||
	    !take_word(&try, &id) || !take_structured_data(&try))
		return false;
	(void)take(&try, BOM);
	m->tag = unless_nil(app);
	if (m->tag.length > 0)
		m->pid = unless_nil(pid);
	*c = try;
	return true;
}

/* ---- */

void syslog_parse(const char *data, size_t length, const char *hostname,
		  struct message *ret_message)
{
	struct cursor c = { data, data + length };
	struct message m = { 0 };

	while (c.end > c.at && (c.end[-1] == '\n' || c.end[-1] == '\0'))
		c.end--;
	m.priority = take_priority(&c);
	if (m.priority == MESSAGE_NO_PRIORITY || !parse_5424(&c, &m))
		parse_3164(&c, hostname, &m);
	m.text = (struct message_part){ c.at, left(&c) };
	*ret_message = m;
}
