/* SPDX-License-Identifier: MIT */
/* Characters, words and columns of a line of UTF-8, also of one that is none. */
#include "text.h"

#include "util.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct text text;

static int set_up(void **state)
{
	(void)state;
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	text = (struct text){ .bytes = NULL };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(text.bytes);
	return 0;
}

static void insert(const char *s)
{
	text_insert(&text, s, strlen(s));
}

static void measures_characters(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		int width;
	} rows[] = {
		{ "a", 1, 1 },
		{ "\303\244", 2, 1 },         /* a umlaut */
		{ "\342\202\254", 3, 1 },     /* euro sign */
		{ "\344\270\255", 3, 2 },     /* a Chinese character */
		{ "\360\235\204\236", 4, 1 }, /* a clef */
		{ "\314\201", 2, 0 },         /* a combining accent */
		{ "\377", 1, 1 },             /* never in UTF-8 */
		{ "\300\200", 1, 1 },         /* overlong */
		{ "\303", 1, 1 },             /* cut short */
		{ "\303a", 1, 1 },
		{ "\200", 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int width = -1;
		assert_int_equal(text_char(rows[i].bytes, strlen(rows[i].bytes), &width),
				 rows[i].length);
		assert_int_equal(width, rows[i].width);
	}
	assert_int_equal(text_width("a\344\270\255e\314\201", 7), 4);
}

static void steps_over_whole_characters(void **state)
{
	(void)state;
	insert("ae\314\201\342\202\254b");
	static const size_t stops[] = { 0, 1, 4, 7, 8 };
	for (size_t i = 0; i + 1 < ARRAY_SIZE(stops); i++) {
		assert_int_equal(text_after(&text, stops[i]), stops[i + 1]);
		assert_int_equal(text_before(&text, stops[i + 1]), stops[i]);
	}
	assert_int_equal(text_after(&text, 8), 8);
	assert_int_equal(text_before(&text, 0), 0);
}

static void finds_words(void **state)
{
	(void)state;
	insert("one.two_2(  ");
	assert_int_equal(text_word_before(&text, 12), 4);
	assert_int_equal(text_word_before(&text, 4), 0);
	assert_int_equal(text_word_before(&text, 0), 0);
	assert_int_equal(text_word_after(&text, 0), 3);
	assert_int_equal(text_word_after(&text, 3), 9);
	assert_int_equal(text_word_after(&text, 9), 12);
}

static void inserts_and_erases_at_the_cursor(void **state)
{
	(void)state;
	insert("ad");
	text.cursor = 1;
	insert("bc");
	assert_string_equal(text.bytes, "abcd");
	assert_int_equal(text.cursor, 3);
	text_erase(&text, 1, 3);
	assert_string_equal(text.bytes, "ad");
	assert_int_equal(text.cursor, 1);
	text_erase(&text, 2, 1);
	assert_string_equal(text.bytes, "ad");
}

static void does_not_become_endless(void **state)
{
	static const char block[100 * 1024];

	(void)state;
	for (int i = 0; i < 5; i++)
		text_insert(&text, block, sizeof(block));
	assert_int_equal(text.length, 2 * sizeof(block));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(measures_characters),
		TEST(steps_over_whole_characters),
		TEST(finds_words),
		TEST(inserts_and_erases_at_the_cursor),
		TEST(does_not_become_endless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
