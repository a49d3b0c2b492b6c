/* SPDX-License-Identifier: MIT */
/* The examples of FIPS 180-4, and every length around a block, given in pieces. */
#include "../../core/sha256.c" /* for both ways to add a block */

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void digest_of(const char *text, size_t size, size_t piece, char ret_hex[65])
{
	unsigned char digest[32];
	struct sha256 hash;

	sha256_init(&hash);
	for (size_t at = 0; at < size; at += piece)
		sha256_add(&hash, text + at, size - at < piece ? size - at : piece);
	sha256_done(&hash, digest);
	for (int i = 0; i < 32; i++)
		sprintf(ret_hex + 2 * i, "%02x", digest[i]);
}

static void known_digests(void **state)
{
	static const struct {
		const char *text, *digest;
	} known[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	char hex[65];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		digest_of(known[i].text, strlen(known[i].text), 1, hex);
		assert_string_equal(hex, known[i].digest);
	}
}

static void pieces_do_not_matter(void **state)
{
	char text[200], whole[65], pieces[65];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	for (size_t size = 1; size <= sizeof(text); size++) {
		digest_of(text, size, size, whole);
		digest_of(text, size, 7, pieces);
		assert_string_equal(whole, pieces);
	}
	/* python3 -c 'import hashlib; print(hashlib.sha256(bytes(range(119))).hexdigest())' */
	digest_of(text, 119, 64, whole);
	assert_string_equal(whole,
			    "da18797ed7c3a777f0847f429724a2d8cd5138e6ed2895c3fa1a6d39d18f7ec6");
	digest_of(text, 120, 64, whole);
	assert_string_equal(whole,
			    "f52b23db1fbb6ded89ef42a23ce0c8922c45f25c50b568a93bf1c075420bbb7c");
}

/* Whatever this processor knows. */
static void both_ways_agree(void **state)
{
	uint32_t plain[8] = { 0x6a09e667, 0, UINT32_MAX, 1, 2, 3, 4, 0x80000000 }, other[8];
	unsigned char blocks[64 * 5 + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(blocks); i++)
		blocks[i] = (unsigned char)(i * i);
	memcpy(other, plain, sizeof(other));
	add_blocks_plain(plain, blocks + 1, 5);
	add_blocks(other, blocks + 1, 5);
	assert_memory_equal(plain, other, sizeof(other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_digests),
		cmocka_unit_test(pieces_do_not_matter),
		cmocka_unit_test(both_ways_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
