/* SPDX-License-Identifier: MIT */
/* What clients of the journal send, and what they should not. */
#include "journal.h"

#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ENTRY(text) text, sizeof(text) - 1

/* One entry each, and what is left behind it. */
static const struct {
	const char *data;
	size_t length;
	bool is_entry;
	int priority;
	const char *message, *identifier, *rest;
} cases[] = {
	{ ENTRY("MESSAGE=hello\nPRIORITY=4\nSYSLOG_IDENTIFIER=app\n"), true, 4, "hello", "app",
	  "" },
	{ ENTRY("PRIORITY=4\nMESSAGE=hello"), true, 4, "hello", "", "" },
	{ ENTRY("MESSAGE\n\3\0\0\0\0\0\0\0a\nb\nPRIORITY=7\n"), true, 7, "a\nb", "", "" },
	{ ENTRY("MESSAGE\n\0\0\0\0\0\0\0\0\nX=1\n"), true, -1, "", "", "" },
	{ ENTRY("MESSAGE=one\n\nMESSAGE=two\n"), true, -1, "one", "", "MESSAGE=two\n" },
	{ ENTRY("\n\n\nMESSAGE=one\n"), true, -1, "one", "", "" },
	{ ENTRY("MESSAGE=one\nMESSAGE=two\n"), true, -1, "one", "", "" },
	{ ENTRY("MESSAGE==\n"), true, -1, "=", "", "" },
	{ ENTRY("X=1\n"), true, -1, "", "", "" },
	{ ENTRY("PRIORITY=8\n"), true, -1, "", "", "" },
	{ ENTRY("PRIORITY=44\nPRIORITY=1\n"), true, 1, "", "", "" },
	{ ENTRY("#x\n.y\nMESSAGE=a\n.z"), true, -1, "a", "", "" },
	{ ENTRY(""), false, -1, "", "", "" },
	{ ENTRY("\n\n"), false, -1, "", "", "" },
	{ ENTRY("noise"), false, -1, "", "", "" },
	{ ENTRY("MESSAGE\n\4\0\0\0\0\0\0\0a\nb\n"), false, -1, "", "", "" },
	{ ENTRY("MESSAGE\n\377\377\377\377\377\377\377\377a\nb\n"), false, -1, "", "", "" },
	{ ENTRY("MESSAGE\n\1\0\0\0\0\0\0\0ab"), false, -1, "", "", "" },
	{ ENTRY("MESSAGE\n\1\0\0"), false, -1, "", "", "" },
	{ ENTRY("MESSAGE\n"), false, -1, "", "", "" },
	{ ENTRY("MESSAGE=one\nnoise\nX=1\n"), true, -1, "one", "", "" },
};

static void is(struct message_part part, const char *text)
{
	assert_int_equal(part.length, strlen(text));
	assert_memory_equal(part.text, text, part.length);
}

static void test_entries(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *at = cases[i].data, *end = at + cases[i].length;
		struct message entry;

		print_message("%s\n", cases[i].data);
		assert_int_equal(journal_next(&at, end, &entry), cases[i].is_entry);
		assert_int_equal(entry.priority, cases[i].priority);
		is(entry.text, cases[i].message);
		is(entry.tag, cases[i].identifier);
		is((struct message_part){ at, (size_t)(end - at) }, cases[i].rest);
	}
}

/* Read no byte more than there are, and come to an end; ASan would see it. */
static void test_cut_off(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t n = 0; n < cases[i].length; n++) {
			auto_free char *copy = malloc(n ? n : 1);
			const char *at = copy;
			struct message entry;

			memcpy(copy, cases[i].data, n);
			while (journal_next(&at, copy + n, &entry))
				assert_true(at <= copy + n);
			assert_ptr_equal(at, copy + n);
		}
	}
}

static void test_the_header_of_a_stream(void **state)
{
	static const char header[] = "app\n\n4\n1\n0\n0\n0\n";
	struct journal_stream stream;

	(void)state;
	for (size_t n = 0; n < strlen(header); n++)
		assert_int_equal(journal_stream_header(header, n, &stream), 0);
	assert_int_equal(journal_stream_header(ENTRY("app\n\n4\n1\n0\n0\n0\ntext\n"), &stream),
			 strlen(header));
	is(stream.identifier, "app");
	assert_int_equal(stream.priority, 4);
	assert_true(stream.has_prefixes);
	assert_true(journal_stream_header(ENTRY("\nx.service\n\n0\n\n\n\n"), &stream) > 0);
	is(stream.identifier, "");
	assert_int_equal(stream.priority, MESSAGE_NO_PRIORITY);
	assert_false(stream.has_prefixes);
}

static void test_what_is_no_header(void **state)
{
	static char much[2 * JOURNAL_HEADER_MAX] = "";
	struct journal_stream stream;

	(void)state;
	assert_int_equal(journal_stream_header(ENTRY("\n\n\n\n\n\n\n"), &stream), -EBADMSG);
	memset(much, 'x', sizeof(much));
	assert_int_equal(journal_stream_header(much, JOURNAL_HEADER_MAX - 1, &stream), 0);
	assert_int_equal(journal_stream_header(much, JOURNAL_HEADER_MAX, &stream), -EBADMSG);
	memcpy(much + JOURNAL_HEADER_MAX, "\n\n4\n1\n0\n0\n0\n", 12);
	assert_int_equal(journal_stream_header(much, sizeof(much), &stream), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_the_header_of_a_stream),
		cmocka_unit_test(test_what_is_no_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
