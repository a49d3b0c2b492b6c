/* SPDX-License-Identifier: MIT */
/* The names a to h, the message schedule and the constants are the standard's. Where the
 * processor knows SHA-256, it is several times faster. */
#include "sha256.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static uint32_t get_word(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_word(unsigned char *p, uint32_t word)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(word >> (24 - 8 * i));
}

static void schedule(const unsigned char *block, uint32_t w[64])
{
	for (int i = 0; i < 16; i++)
		w[i] = get_word(block + 4 * i);
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
		       (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
}

/* The eight words do not move: the names given to them do. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                           \
	do {                                                                                       \
		h += (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + K[i] + \
		     w[i];                                                                         \
		d += h;                                                                            \
		h += (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));   \
	} while (0)

static void add_block(uint32_t state[8], const unsigned char *block)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
	uint32_t w[64];

	schedule(block, w);
	for (int i = 0; i < 64; i += 8) {
		ROUND(a, b, c, d, e, f, g, h, i);
		ROUND(h, a, b, c, d, e, f, g, i + 1);
		ROUND(g, h, a, b, c, d, e, f, i + 2);
		ROUND(f, g, h, a, b, c, d, e, i + 3);
		ROUND(e, f, g, h, a, b, c, d, i + 4);
		ROUND(d, e, f, g, h, a, b, c, i + 5);
		ROUND(c, d, e, f, g, h, a, b, i + 6);
		ROUND(b, c, d, e, f, g, h, a, i + 7);
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

static void add_blocks_plain(uint32_t state[8], const unsigned char *blocks, size_t count)
{
	for (; count > 0; count--, blocks += 64)
		add_block(state, blocks);
}

#ifdef __x86_64__

/* Four rounds with the words in a, which then become those for four rounds later. */
#define ROUNDS(a, b, c, d, i)                                                            \
	do {                                                                             \
		sum = _mm_add_epi32(a, _mm_loadu_si128((const __m128i *)(K + (i))));     \
		cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);                           \
		abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0xe));   \
		a = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4)); \
		a = _mm_sha256msg2_epu32(a, d);                                          \
	} while (0)

__attribute__((target("sha,sse4.1"))) static __m128i get_words(const unsigned char *p)
{
	const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);

	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), order);
}

__attribute__((target("sha,sse4.1"))) static void add_blocks_sha(uint32_t state[8],
								 const unsigned char *blocks,
								 size_t count)
{
	__m128i *halves = (__m128i *)state;
	__m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(halves), 0xb1);
	__m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(halves + 1), 0x1b);
	__m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);

	for (; count > 0; count--, blocks += 64) {
		__m128i a = get_words(blocks), b = get_words(blocks + 16);
		__m128i c = get_words(blocks + 32), d = get_words(blocks + 48);
		__m128i abef_before = abef, cdgh_before = cdgh, sum;

		for (int i = 0; i < 64; i += 16) {
			ROUNDS(a, b, c, d, i);
			ROUNDS(b, c, d, a, i + 4);
			ROUNDS(c, d, a, b, i + 8);
			ROUNDS(d, a, b, c, i + 12);
		}
		abef = _mm_add_epi32(abef, abef_before);
		cdgh = _mm_add_epi32(cdgh, cdgh_before);
	}
	abef = _mm_shuffle_epi32(abef, 0x1b);
	cdgh = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128(halves, _mm_blend_epi16(abef, cdgh, 0xf0));
	_mm_storeu_si128(halves + 1, _mm_alignr_epi8(cdgh, abef, 8));
}

static bool has_instructions(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) &&
	       __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* To ask takes longer than a block: only once. */
static void add_blocks(uint32_t state[8], const unsigned char *blocks, size_t count)
{
	static _Atomic enum { UNKNOWN, PLAIN, SHA } way;

	if (way == UNKNOWN)
		way = has_instructions() ? SHA : PLAIN;
	(way == SHA ? add_blocks_sha : add_blocks_plain)(state, blocks, count);
}

#else
#define add_blocks add_blocks_plain
#endif

void sha256_init(struct sha256 *hash)
{
	static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	memcpy(hash->state, start, sizeof(start));
	hash->size = 0;
}

void sha256_add(struct sha256 *hash, const void *data, size_t size)
{
	const unsigned char *p = data;

	while (size > 0) {
		size_t used = hash->size % 64, n = 64 - used < size ? 64 - used : size;

		if (n == 64) {
			n = size - size % 64;
			add_blocks(hash->state, p, n / 64);
		} else {
			memcpy(hash->block + used, p, n);
			if (used + n == 64)
				add_blocks(hash->state, hash->block, 1);
		}
		hash->size += n;
		p += n;
		size -= n;
	}
}

void sha256_done(struct sha256 *hash, unsigned char ret_digest[static 32])
{
	static const unsigned char padding[64] = { 0x80 };
	uint64_t bits = hash->size * 8;
	unsigned char length[8];

	put_word(length, (uint32_t)(bits >> 32));
	put_word(length + 4, (uint32_t)bits);
	sha256_add(hash, padding, 1 + (119 - hash->size % 64) % 64);
	sha256_add(hash, length, sizeof(length));
	for (int i = 0; i < 8; i++)
		put_word(ret_digest + 4 * i, hash->state[i]);
}
