/* SPDX-License-Identifier: MIT */
/* One scanner for every command line: our own and those of the other inits. Not
 * getopt, whose complaints and order of arguments differ between C libraries. */
#include "option.h"

#include "util.h"

#include <stdint.h>
#include <string.h>

static const struct option_row *find_letter(const struct option_table *table, char letter)
{
	for (size_t i = 0; i < table->count; i++)
		if (letter && table->rows[i].letter == letter)
			return &table->rows[i];
	return NULL;
}

static const struct option_row *find_name(const struct option_table *table, const char *name,
					  size_t length)
{
	for (size_t i = 0; i < table->count; i++) {
		const char *known = table->rows[i].name;

		if (known && strlen(known) == length && memcmp(known, name, length) == 0)
			return &table->rows[i];
	}
	return NULL;
}

static int set(const struct option_row *row, void *target, const char *value)
{
	if (row->set)
		return row->set(target, value);
	*(bool *)((char *)target + row->flag) = true;
	return 0;
}

static const char *nearest_name(const struct option_table *table, const char *name)
{
	return option_nearest(name, &table->rows[0].name, table->count, sizeof(table->rows[0]));
}

static int unknown_name(const struct option_table *table, const char *name)
{
	const char *meant = nearest_name(table, name);

	if (!meant && table->also)
		meant = nearest_name(table->also, name);
	if (meant)
		fprintf(stderr, "%s: unknown option '--%s'; did you mean '--%s'?\n", table->program,
			name, meant);
	else
		fprintf(stderr, "%s: unrecognized option '--%s'\n", table->program, name);
	return table->usage(table->program);
}

/* "--name", "--name=value", "--name value". Moves *index on to the value. */
static int scan_name(const struct option_table *table, int argc, char **argv, int *index,
		     void *target)
{
	const char *name = argv[*index] + 2;
	size_t length = strcspn(name, "=");
	const struct option_row *row = find_name(table, name, length);
	const char *value = name[length] ? name + length + 1 : NULL;

	if (!row)
		return unknown_name(table, name);
	if (value && !row->argument) {
		fprintf(stderr, "%s: option '--%s' doesn't allow an argument\n", table->program,
			row->name);
		return table->usage(table->program);
	}
	if (!value && row->argument && *index + 1 < argc)
		value = argv[++*index];
	if (!value && row->argument) {
		fprintf(stderr, "%s: option '--%s' requires an argument\n", table->program,
			row->name);
		return table->usage(table->program);
	}
	return set(row, target, value);
}

/* "-a", "-abc", "-pVALUE", "-p VALUE". */
static int scan_letters(const struct option_table *table, int argc, char **argv, int *index,
			void *target)
{
	for (const char *p = argv[*index] + 1; *p; p++) {
		const struct option_row *row = find_letter(table, *p);
		const char *value = NULL;
		int r;

		if (!row) {
			fprintf(stderr, "%s: invalid option -- '%c'\n", table->program, *p);
			return table->usage(table->program);
		}
		if (row->argument) {
			value = p[1] ? p + 1 : *index + 1 < argc ? argv[++*index] : NULL;
			if (!value) {
				fprintf(stderr, "%s: option requires an argument -- '%c'\n",
					table->program, *p);
				return table->usage(table->program);
			}
			return set(row, target, value);
		}
		r = set(row, target, NULL);
		if (r)
			return r;
	}
	return 0;
}

int option_scan(const struct option_table *table, int argc, char **argv, void *target)
{
	for (int i = 1; i < argc; i++) {
		int r;

		if (argv[i][0] != '-' || !argv[i][1])
			return i;
		if (strcmp(argv[i], "--") == 0)
			return i + 1;
		r = argv[i][1] == '-' ? scan_name(table, argc, argv, &i, target)
				      : scan_letters(table, argc, argv, &i, target);
		if (r)
			return -r;
	}
	return argc;
}

bool option_is_known(const struct option_table *table, const char *argument)
{
	if (argument[0] != '-' || !argument[1])
		return false;
	if (argument[1] != '-')
		return find_letter(table, argument[1]) != NULL;
	return find_name(table, argument + 2, strcspn(argument + 2, "=")) != NULL;
}

int option_number(const char *text, int max)
{
	char *end;
	long n = strtol(text, &end, 10);

	return *text < '0' || *text > '9' || *end || n > max ? -1 : (int)n;
}

void option_print(const struct option_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct option_row *row = &table->rows[i];
		char left[64];
		int n = 0;

		if (!row->help)
			continue;
		if (row->letter)
			n += snprintf(left, sizeof(left), "-%c", row->letter);
		if (row->name)
			n += snprintf(left + n, sizeof(left) - (size_t)n, "%s--%s", n ? ", " : "",
				      row->name);
		if (row->argument)
			(void)snprintf(left + n, sizeof(left) - (size_t)n, " %s", row->argument);
		printf("  %-22s %s\n", left, row->help);
	}
}

/* Levenshtein's distance over words of at most MAX letters. */
static size_t distance(const char *a, const char *b)
{
	enum { MAX = 31 };
	uint8_t row[MAX + 1];
	size_t n = strlen(b);

	if (strlen(a) > MAX || n > MAX)
		return MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = (uint8_t)j;
	for (size_t i = 0; a[i]; i++) {
		uint8_t diagonal = row[0];

		row[0] = (uint8_t)(i + 1);
		for (size_t j = 1; j <= n; j++) {
			uint8_t above = row[j];
			uint8_t change = diagonal + (a[i] != b[j - 1]);
			uint8_t insert = (above < row[j - 1] ? above : row[j - 1]) + 1;

			row[j] = change < insert ? change : insert;
			diagonal = above;
		}
	}
	return row[n];
}

const char *option_nearest(const char *word, const void *words, size_t count, size_t stride)
{
	const char *nearest = NULL;
	size_t length = strlen(word);
	size_t best = length / 3 + 2; /* more than one slip, and one more in three letters */

	for (size_t i = 0; i < count; i++) {
		const char *known = *(const char *const *)((const char *)words + i * stride);
		size_t d = known ? distance(word, known) : best;

		if (known && strncmp(word, known, length) == 0)
			d = 1;
		if (d < best && 2 * d <= length) {
			best = d;
			nearest = known;
		}
	}
	return nearest;
}
