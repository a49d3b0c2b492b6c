/* SPDX-License-Identifier: MIT */
/* The tail: whatever goes in, what comes out is the end of it, in order. */
#include "tail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char text[1 << 20];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 10 == 9 ? '\n' : (char)('a' + i % 23);
}

/* All that is there, in one piece; the number of chunks. */
static int read_all(const struct tail *tail, uint64_t position, char *dst, size_t *ret_size)
{
	struct tail_chunk chunk;
	int count = 0;
	*ret_size = 0;
	for (; tail_next(tail, &position, &chunk); count++)
		for (int i = 0; i < 2; i++) {
			memcpy(dst + *ret_size, chunk.parts[i], chunk.sizes[i]);
			*ret_size += chunk.sizes[i];
		}
	assert_int_equal(position, tail_end(tail));
	return count;
}

static void test_empty(void **state)
{
	struct tail *tail = tail_new();
	struct tail_chunk chunk;
	uint64_t position = 0;
	(void)state;
	assert_false(tail_next(tail, &position, &chunk));
	assert_int_equal(position, 0);
	tail_unref(tail_ref(tail));
	tail_unref(tail);
	tail_unref(NULL);
}

static void test_chunks(void **state)
{
	struct tail *tail = tail_new();
	struct tail_chunk chunk;
	uint64_t position = 0;
	(void)state;
	tail_append(tail, 1, true, "one\n", 4);
	tail_append(tail, 0, false, "two", 3);
	assert_true(tail_next(tail, &position, &chunk));
	assert_true(chunk.stream == 1 && chunk.is_first && !chunk.is_cut && chunk.time > 0);
	assert_int_equal(chunk.sizes[0] + chunk.sizes[1], 4);
	assert_true(tail_next(tail, &position, &chunk));
	assert_true(chunk.stream == 0 && !chunk.is_first);
	assert_false(tail_next(tail, &position, &chunk));
	tail_append(tail, 0, false, "three", 5);
	assert_true(tail_next(tail, &position, &chunk));
	assert_memory_equal(chunk.parts[0], "three", 5);
	tail_unref(tail);
}

/* Pieces of all sizes: it never holds more than it may, and always the last bytes. */
static void test_the_end_is_kept(void **state)
{
	static char copy[TAIL_MAX];
	struct tail *tail = tail_new();
	size_t done = 0, size;
	(void)state;
	fill();
	srand(1);
	while (done < sizeof(text)) {
		size_t piece = (size_t)rand() % (rand() % 16 == 0 ? 70000 : 300);
		if (piece > sizeof(text) - done)
			piece = sizeof(text) - done;
		tail_append(tail, 0, false, text + done, piece);
		done += piece;
		read_all(tail, 0, copy, &size);
		assert_true(size <= TAIL_MAX && size <= done);
		assert_memory_equal(copy, text + done - size, size);
	}
	assert_true(size > TAIL_MAX / 2);
	tail_unref(tail);
}

/* One that is large loses its beginning, not all, and says so. */
static void test_cut(void **state)
{
	static char copy[TAIL_MAX];
	struct tail *tail = tail_new();
	struct tail_chunk chunk;
	uint64_t position = 0, late = 3;
	size_t size;
	(void)state;
	fill();
	tail_append(tail, 0, true, text, TAIL_MAX);
	assert_int_equal(read_all(tail, 0, copy, &size), 1);
	tail_append(tail, 0, false, "last\n", 5);
	assert_int_equal(read_all(tail, 0, copy, &size), 2);
	assert_true(size > TAIL_MAX - 100);
	assert_true(tail_next(tail, &position, &chunk) && chunk.is_cut);
	assert_true(tail_next(tail, &late, &chunk) && chunk.is_cut);
	assert_true(tail_next(tail, &late, &chunk) && !chunk.is_cut);
	tail_unref(tail);
}

static unsigned woken, woken_by;

static void wake(unsigned id)
{
	woken++;
	woken_by = id;
}

static void test_wake(void **state)
{
	struct tail *tail = tail_new();
	(void)state;
	tail_wake(tail, wake, 7);
	tail_append(tail, 0, false, "a", 1);
	tail_append(tail, 0, false, "b", 1);
	assert_true(woken == 1 && woken_by == 7);
	tail_unref(tail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_the_end_is_kept),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
