/* SPDX-License-Identifier: MIT */
/* How one line of the container's output looks: as it is, with a name in front, as a
 * JSON object, or as fields for a journal and an empty line. Text is bytes: JSON
 * escapes them and replaces what is not UTF-8, the others pass them on untouched. */
#ifndef MOONRISE_RECORD_H
#define MOONRISE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_format { RECORD_PREFIX, RECORD_PLAIN, RECORD_JSON, RECORD_JOURNAL };

struct record {
	int64_t time;       /* nanoseconds of CLOCK_REALTIME; 0: now */
	const char *name;   /* the service, or moonrise itself */
	const char *stream; /* "stderr", or NULL */
	const char *level;  /* "warning", or NULL */
	const char *tag;    /* what in it says this, or NULL */
	int pid;            /* who it is, for JSON; 0: is not known */
	const char *text;   /* without the newline */
	size_t length;
	bool partial; /* the line was too long and goes on in the next record */
};

/* $MOONRISE_LOG: "prefix" (also when unset or unknown), "plain" or "json". */
enum record_format record_format_from(const char *word);

/* No more bytes than this are written by record_write. */
size_t record_room(enum record_format format, const struct record *record);

/* The inside of a JSON string: up to six bytes for each of the text's. The end. */
char *record_put_json(char *dst, const char *text, size_t len);

/* Writes the line with its newline to `dst`; the number of bytes. */
size_t record_write(enum record_format format, const struct record *record, char *dst);

#endif
