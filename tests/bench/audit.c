/* SPDX-License-Identifier: MIT */
/* audit SERVICES COUNT: reads what SERVICES times `chatter` have written, COUNT lines
 * each, with any prefix that ends in ": ". Each line has to be there, whole, once and
 * in its order; with SERVICES 0 nothing is looked at. Prints the nanoseconds from the
 * first byte to the last one. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE 100
#define SERVICES_MAX 26

static char buffer[1 << 20], filler[LINE];
static unsigned long next[SERVICES_MAX];

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void check(const char *line, size_t length)
{
	const char *own = line + length - (LINE - 1);
	unsigned service = length < LINE - 1 ? SERVICES_MAX : (unsigned)(*own - 'a');
	unsigned long n = 0;
	for (int i = 1; service < SERVICES_MAX && i < 10; i++)
		n = n * 10 + (unsigned long)(own[i] - '0');
	if (service >= SERVICES_MAX || n != next[service] ||
	    memcmp(own + 10, filler, LINE - 11) != 0 ||
	    (own > line && (own < line + 2 || memcmp(own - 2, ": ", 2) != 0))) {
		fprintf(stderr, "lost or torn: %.*s\n", (int)length, line);
		exit(1);
	}
	next[service]++;
}

/* What is left of a line is moved to the front. */
static size_t check_lines(size_t length)
{
	char *line = buffer, *end = buffer + length, *newline;
	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		check(line, (size_t)(newline - line));
		line = newline + 1;
	}
	memmove(buffer, line, (size_t)(end - line));
	return (size_t)(end - line);
}

int main(int argc, char **argv)
{
	int services = argc > 2 ? atoi(argv[1]) : 0;
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	int64_t first = 0, last = 0;
	size_t held = 0;
	ssize_t n;

	memset(filler, 'x', sizeof(filler));
	filler[0] = ' ';
	while ((n = read(STDIN_FILENO, buffer + held, sizeof(buffer) - held)) > 0) {
		last = now();
		first = first ? first : last;
		if (services > 0)
			held = check_lines(held + (size_t)n);
	}
	for (int i = 0; i < services; i++) {
		if (next[i] != count) {
			fprintf(stderr, "%lu lines of %c, not %lu\n", next[i], 'a' + i, count);
			return 1;
		}
	}
	printf("%lld\n", (long long)(last - first));
	return held > 0;
}
