/* SPDX-License-Identifier: MIT */
/* Blocks of all sizes keep what is written to them, and the limit holds. */
#include "memory.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT (8 * 1024 * 1024)

static void *resize(void *block, size_t old_size, size_t new_size)
{
	return memory_allocate(NULL, block, old_size, new_size);
}

static bool is_filled(const unsigned char *block, size_t size, unsigned char with)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != with)
			return false;
	return true;
}

static void every_size_is_whole_and_its_own(void **state)
{
	enum { COUNT = 700 };
	unsigned char *blocks[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		size_t size = 1 + i * 97 % 40000;

		blocks[i] = resize(NULL, 5, i % 7 ? size / 100 + 1 : size);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % 16, 0);
		memset(blocks[i], (int)(i & 0xff), i % 7 ? size / 100 + 1 : size);
	}
	for (size_t i = 0; i < COUNT; i++) {
		size_t size = 1 + i * 97 % 40000, now = i % 7 ? size / 100 + 1 : size;

		assert_true(is_filled(blocks[i], now, i & 0xff));
		assert_null(resize(blocks[i], now, 0));
	}
	assert_int_equal(memory_used(), 0);
}

static void growing_and_shrinking_keeps_the_content(void **state)
{
	size_t size = 1;
	unsigned char *block = resize(NULL, 0, size);

	(void)state;
	*block = 'x';
	for (; size < 200000; size = size * 3 / 2 + 1) {
		block = resize(block, size, size * 3 / 2 + 1);
		assert_non_null(block);
		assert_true(is_filled(block, size, 'x'));
		memset(block, 'x', size * 3 / 2 + 1);
	}
	for (; size > 1; size /= 2) {
		block = resize(block, size, size / 2);
		assert_non_null(block);
		assert_true(is_filled(block, size / 2, 'x'));
	}
	assert_null(resize(block, size, 0));
	assert_int_equal(memory_used(), 0);
}

static size_t fill_up(size_t size, void **blocks, size_t max)
{
	size_t count = 0;

	while (count < max && (blocks[count] = resize(NULL, 0, size)))
		count++;
	return count;
}

static size_t resident_kilobytes(void)
{
	auto_fclose FILE *file = fopen("/proc/self/statm", "re");
	size_t size = 0, resident = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%zu %zu", &size, &resident), 2);
	return resident * 4;
}

/* What was used up in one size is there for another; a script that does so with one
 * size after the other still can't take all memory of the machine. */
static void the_limit_holds_for_one_size_after_the_other(void **state)
{
	static void *blocks[LIMIT / 16];
	size_t before = resident_kilobytes(), count;

	(void)state;
	for (size_t size = 16; size <= 1024; size += 16) {
		count = fill_up(size, blocks, ARRAY_SIZE(blocks));
		assert_true(size > 32 || count >= LIMIT / size / 2);
		assert_true(count * size <= LIMIT);
		while (count-- > 0)
			(void)resize(blocks[count], size, 0);
	}
	assert_int_equal(memory_used(), 0);
#ifndef __SANITIZE_ADDRESS__ /* it keeps what was freed, to see who still uses it */
	assert_true(resident_kilobytes() - before <= 3 * LIMIT / 1024);
#endif
	(void)before;
}

static void less_is_always_there(void **state)
{
	static void *blocks[LIMIT / 16];
	size_t count;
	void *block = resize(NULL, 0, 3000);

	(void)state;
	count = fill_up(16, blocks, ARRAY_SIZE(blocks));
	assert_null(resize(NULL, 0, 100000));
	block = resize(block, 3000, 16);
	assert_non_null(block);
	assert_null(resize(block, 16, 0));
	while (count-- > 0)
		(void)resize(blocks[count], 16, 0);
}

static void the_reserve_is_for_the_end(void **state)
{
	void *most, *more;

	(void)state;
	memory_set_limit(4 * LIMIT); /* room beside what the other tests have used up */
	most = resize(NULL, 0, 4 * LIMIT);
	assert_non_null(most);
	assert_null(resize(NULL, 0, 1));
	memory_open_reserve();
	more = resize(NULL, 0, MEMORY_RESERVE);
	assert_non_null(more);
	(void)resize(more, MEMORY_RESERVE, 0);
	(void)resize(most, 4 * LIMIT, 0);
	assert_int_equal(memory_limit(), 4 * LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_is_whole_and_its_own),
		cmocka_unit_test(growing_and_shrinking_keeps_the_content),
		cmocka_unit_test(less_is_always_there),
		cmocka_unit_test(the_limit_holds_for_one_size_after_the_other),
		cmocka_unit_test(the_reserve_is_for_the_end),
	};

	memory_set_limit(LIMIT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
