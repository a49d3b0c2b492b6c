/* SPDX-License-Identifier: MIT */
/* Messages to syslog, as logger, syslog(3), Python and others write them. */
#include "syslog.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *message;
	int priority;
	const char *tag, *pid, *text;
} cases[] = {
	{ "<78>Nov 29 07:48:07 CRON[12]: (root) CMD (true)", 6, "CRON", "12", "(root) CMD (true)" },
	{ "<13>Nov  9 07:48:07 root: hello", 5, "root", "", "hello" },
	{ "<13>Nov  9 07:48:07 here root: hello", 5, "root", "", "hello" },
	{ "<13>Nov  9 07:48:07 there root: hello", 5, "", "", "there root: hello" },
	{ "<13>Nov  9 07:48:07 here", 5, "", "", "" },
	{ "<13>2026-11-29T07:48:07.123456+01:00 here app[1]: x", 5, "app", "1", "x" },
	{ "<13>2026-11-29T07:48:07Z app: x", 5, "app", "", "x" },
	{ "<13>2026-11-29T07:48:07 app: x", 5, "", "", "2026-11-29T07:48:07 app: x" },
	{ "<22>postfix/smtpd[314]: connect", 6, "postfix/smtpd", "314", "connect" },
	{ "<11>text alone", 3, "", "", "text alone" },
	{ "<11>tag:", 3, "tag", "", "" },
	{ "<11>tag:text", 3, "", "", "tag:text" },
	{ "<11>: text", 3, "", "", ": text" },
	{ "<11>[]: text", 3, "", "", "[]: text" },
	{ "<11>a[]: text", 3, "a", "", "text" },
	{ "<11>a\033[1m: text", 3, "", "", "a\033[1m: text" },
	{ "<7>", 7, "", "", "" },
	{ "<191>local", 7, "", "", "local" },
	{ "", -1, "", "", "" },
	{ "no priority", -1, "", "", "no priority" },
	{ "app[1]: no priority", -1, "app", "1", "no priority" },
	{ "<>text", -1, "", "", "<>text" },
	{ "<1234>text", -1, "", "", "<1234>text" },
	{ "<1", -1, "", "", "<1" },
	{ "<13>Nov 29 07:48:07 a: two\nlines\n\n", 5, "a", "", "two\nlines" },
	{ "<13>1 2026-11-29T07:48:07.1Z here app 12 ID - text", 5, "app", "12", "text" },
	{ "<13>1 - - - - - - text", 5, "", "", "text" },
	{ "<13>1 - - app - - - \xef\xbb\xbf"
	  "text",
	  5, "app", "", "text" },
	{ "<13>1 - - app - - -", 5, "app", "", "" },
	{ "<13>1 - - - 12 - - text", 5, "", "", "text" },
	{ "<13>1 - h app 1 - [a b=\"]\\\"]\"][c] text", 5, "app", "1", "text" },
	{ "<13>1 - h app 1 - [a b=\"]\\\"] text", 5, "", "", "1 - h app 1 - [a b=\"]\\\"] text" },
	{ "<13>1 - h app 1 - [a]text", 5, "", "", "1 - h app 1 - [a]text" },
	{ "<13>1 file changed", 5, "", "", "1 file changed" },
	{ "<13>1 - h app", 5, "", "", "1 - h app" },
	{ "1 - - - - - - text", -1, "", "", "1 - - - - - - text" },
};

static void is(struct message_part part, const char *text)
{
	assert_int_equal(part.length, strlen(text));
	assert_memory_equal(part.text, text, part.length);
}

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct message m;

		print_message("%s\n", cases[i].message);
		syslog_parse(cases[i].message, strlen(cases[i].message), "here", &m);
		assert_int_equal(m.priority, cases[i].priority);
		is(m.tag, cases[i].tag);
		is(m.pid, cases[i].pid);
		is(m.text, cases[i].text);
	}
}

/* Read no byte more than there are, wherever it is cut off; ASan would see it. */
static void test_cut_off(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t n = 0; n < strlen(cases[i].message); n++) {
			auto_free char *copy = malloc(n ? n : 1);
			struct message m;

			memcpy(copy, cases[i].message, n);
			syslog_parse(copy, n, "here", &m);
			assert_true(m.text.text + m.text.length <= copy + n);
		}
	}
}

static void test_nul_at_the_end(void **state)
{
	struct message m;

	(void)state;
	syslog_parse("<13>a: b\n\0", 10, "here", &m);
	is(m.text, "b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_nul_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
