/* SPDX-License-Identifier: MIT */
/* Who speaks in the log: a stream of a service. Its bytes become lines, its lines
 * records with a name and a level, and these go to an output. Pipes (relay.h), files
 * (follow.h) and sockets come together here. */
#ifndef MOONRISE_SPEAKER_H
#define MOONRISE_SPEAKER_H

#include "level.h"
#include "output.h"
#include "record.h"
#include "tail.h"

#include <stdbool.h>
#include <stddef.h>

#define SPEAKER_LINE_MAX (16 * 1024) /* a longer line is split, and the pieces marked */
#define SPEAKER_NAME_SIZE 128

enum speaker_stream {
	SPEAKER_STDOUT,
	SPEAKER_STDERR,
	SPEAKER_FILE,
	SPEAKER_SYSLOG,
	SPEAKER_JOURNAL
};
extern const char *const speaker_stream_names[]; /* NULL at the end */

struct speaker {
	char name[SPEAKER_NAME_SIZE];
	enum speaker_stream stream;
	struct tail *tail;
	struct output *output;
	enum record_format format;
	enum level least; /* the least urgent level that comes out */

	/* The level of a line that does not name its own as "<4>text", sd-daemon(3);
	 * LEVEL_NONE: it has none, and counts as LEVEL_INFO. */
	enum level usual_level;
	bool has_prefixes; /* false: "<4>" is text */

	enum level level; /* of a line of which a piece has been said */
	bool goes_on;     /* ... so what comes next is no beginning of a line */

	/* Of those that come by a socket: who in the service it is, or NULL, and its pid.
	 * The tail gets lines, not what has been read. */
	const char *tag;
	int pid;
	bool keeps_lines;

	/* Each line also goes here, if it is set; it must not end the speaker. */
	void (*on_line)(unsigned id, const char *text, size_t length);
	unsigned watch;
};

/* What it says also has to be given to `tail`, of which it gets a reference, by
 * whoever has read it. */
void speaker_init(struct speaker *speaker, const char *name, enum speaker_stream stream,
		  struct tail *tail);
void speaker_done(struct speaker *speaker);

/* Elsewhere than to the container's stdout; it gets a reference. */
void speaker_send_to(struct speaker *speaker, struct output *output);

/* Puts the whole lines in `data` into the output, with is_end also what is behind the
 * last newline: how many bytes are done with. When the output has no room it stops
 * and says so: then output_wait, and come again with the rest. */
size_t speaker_say(struct speaker *speaker, const char *data, size_t length, bool is_end,
		   bool *ret_full);

/* The level that a line begins with, which is taken off; or LEVEL_NONE. */
enum level speaker_take_level(const char **text, size_t *length);

#endif
