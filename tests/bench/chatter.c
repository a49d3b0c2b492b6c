/* SPDX-License-Identifier: MIT */
/* chatter NAME COUNT [SIZE]: a service that writes COUNT lines of 100 bytes, as quickly
 * as they are read, SIZE bytes at a time; by default 4096, as stdio does, so that lines
 * lie across two writes. NAME is one letter; the lines are numbered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE 100
#define LINES 1024

static size_t write_size = 4096;

static void write_all(const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(STDOUT_FILENO, data, size < write_size ? size : write_size);
		if (n < 0)
			exit(1);
		data += n;
		size -= (size_t)n;
	}
}

static void number(char *line, unsigned long n)
{
	for (char *p = line + 10; p > line + 1; n /= 10)
		*--p = (char)('0' + n % 10);
}

int main(int argc, char **argv)
{
	static char block[LINES * LINE];
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (argc > 3)
		write_size = strtoul(argv[3], NULL, 10);
	for (char *line = block; line < block + sizeof(block); line += LINE) {
		memset(line, 'x', LINE);
		line[0] = *argv[1];
		line[10] = ' ';
		line[LINE - 1] = '\n';
	}
	for (unsigned long done = 0; done < count;) {
		unsigned long lines = count - done < LINES ? count - done : LINES;
		for (unsigned long i = 0; i < lines; i++)
			number(block + i * LINE, done + i);
		write_all(block, lines * LINE);
		done += lines;
	}
	return 0;
}
