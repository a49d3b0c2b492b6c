/* SPDX-License-Identifier: MIT */
/* Command lines: every way to write an option, and what was probably meant. */
#include "option.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct target {
	int nothing; /* so that no flag is at offset 0 */
	bool all, brief;
	const char *color;
};

static int set_color(void *target, const char *value)
{
	((struct target *)target)->color = value;
	return strcmp(value, "none") == 0 ? 3 + 1 : 0;
}

static int usage(const char *program)
{
	assert_string_equal(program, "paint");
	return 64 + 1;
}

static const struct option_row rows[] = {
	{ 'a', "all", NULL, "all of them", .flag = offsetof(struct target, all) },
	{ 'b', NULL, NULL, "briefly", .flag = offsetof(struct target, brief) },
	{ 'c', "color", "NAME", "which color", .set = set_color },
};

static const struct option_table table = { "paint", rows, ARRAY_SIZE(rows), usage, NULL };

static int scan(struct target *ret_target, const char *line)
{
	static char text[128];
	char *argv[16] = { "paint" };
	int argc = 1;

	strcpy(text, line);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	*ret_target = (struct target){ 0 };
	return option_scan(&table, argc, argv, ret_target);
}

static void test_each_way_to_write_an_option(void **state)
{
	static const char *const lines[] = {
		"-a -b -c red wall", "-abcred wall",
		"-abc red wall",     "--all -b --color red wall",
		"--color=red -ab x", "--color=red -ba --",
		"-abc red -",
	};
	struct target target;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_true(scan(&target, lines[i]) > 0);
		assert_true(target.all && target.brief);
		assert_string_equal(target.color, "red");
	}
}

static void test_where_the_options_end(void **state)
{
	struct target target;

	(void)state;
	assert_int_equal(scan(&target, ""), 1);
	assert_int_equal(scan(&target, "wall -a"), 1);
	assert_int_equal(scan(&target, "-b wall -a"), 2);
	assert_int_equal(scan(&target, "-b -- -a"), 3);
	assert_int_equal(scan(&target, "-b - -a"), 2);
	assert_false(target.all);
	assert_int_equal(scan(&target, "-c -- -a"), 4); /* an argument is an argument */
	assert_true(target.all);
}

static void test_refusals(void **state)
{
	static const char *const lines[] = {
		"-x", "-ax", "--colour red", "--all=1", "-c", "--color"
	};
	struct target target;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(scan(&target, lines[i]), -(64 + 1));
	assert_int_equal(scan(&target, "-c none"), -(3 + 1));
}

static void test_known_options(void **state)
{
	(void)state;
	assert_true(option_is_known(&table, "-a"));
	assert_true(option_is_known(&table, "-bx"));
	assert_true(option_is_known(&table, "--color=red"));
	assert_false(option_is_known(&table, "--colo"));
	assert_false(option_is_known(&table, "-x"));
	assert_false(option_is_known(&table, "-"));
	assert_false(option_is_known(&table, "a"));
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(option_number("0", 255), 0);
	assert_int_equal(option_number("255", 255), 255);
	assert_int_equal(option_number("256", 255), -1);
	assert_int_equal(option_number("99999999999999999999", 255), -1);
	assert_int_equal(option_number("-1", 255), -1);
	assert_int_equal(option_number("+1", 255), -1);
	assert_int_equal(option_number(" 1", 255), -1);
	assert_int_equal(option_number("1x", 255), -1);
	assert_int_equal(option_number("", 255), -1);
}

static const char *nearest(const char *word)
{
	static const char *const words[] = { "status", "start", "settings", NULL, "repl" };

	return option_nearest(word, words, ARRAY_SIZE(words), sizeof(words[0]));
}

static void test_what_was_meant(void **state)
{
	(void)state;
	assert_string_equal(nearest("statsu"), "status");
	assert_string_equal(nearest("stat"), "status"); /* its beginning, and as near as "start" */
	assert_string_equal(nearest("set"), "settings");
	assert_null(nearest("rat"));
	assert_string_equal(nearest("setings"), "settings");
	assert_string_equal(nearest("rep"), "repl");
	assert_null(nearest("frobnicate"));
	assert_null(nearest("x"));
	assert_null(nearest(""));
	assert_null(nearest("a-word-that-is-longer-than-any-of-ours"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_way_to_write_an_option),
		cmocka_unit_test(test_where_the_options_end),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_known_options),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_what_was_meant),
	};

	return cmocka_run_group_tests_name("option", tests, NULL, NULL);
}
