/* SPDX-License-Identifier: MIT */
/* From bytes to lines to records. This runs for every line of every service. */
#include "speaker.h"

#include "util.h"

#include <string.h>

const char *const speaker_stream_names[] = {
	"stdout", "stderr", "file", "syslog", "journal", NULL
};

void speaker_init(struct speaker *s, const char *name, enum speaker_stream stream,
		  struct tail *tail)
{
	*s = (struct speaker){ .stream = stream,
			       .tail = tail_ref(tail),
			       .usual_level = LEVEL_NONE,
			       .has_prefixes = true };
	snprintf(s->name, sizeof(s->name), "%s", name);
	speaker_send_to(s, output_stdout());
}

void speaker_done(struct speaker *s)
{
	tail_unref(s->tail);
	s->tail = NULL;
	if (s->output)
		output_unref(s->output);
	s->output = NULL;
}

void speaker_send_to(struct speaker *s, struct output *output)
{
	bool is_own;
	s->output = output_ref(output);
	s->format = output_format(output, &is_own);
	s->least = is_own ? LEVEL_DEBUG : level_wanted(LEVEL_DEBUG);
}

enum level speaker_take_level(const char **text, size_t *length)
{
	const char *s = *text;
	if (*length < 3 || s[0] != '<' || s[1] < '0' || s[1] > '7' || s[2] != '>')
		return LEVEL_NONE;
	*text += 3;
	*length -= 3;
	return level_of_syslog((unsigned)(s[1] - '0'));
}

/* How much of a line that is too long is cut off: not in the middle of a
 * character, if it is UTF-8. */
static size_t piece_length(const char *data)
{
	size_t length = SPEAKER_LINE_MAX;
	while (length > SPEAKER_LINE_MAX - 4 && (data[length] & 0xc0) == 0x80)
		length--;
	return (data[length] & 0xc0) == 0x80 ? SPEAKER_LINE_MAX : length;
}

static char *reserve(struct output *out, size_t room)
{
	char *dst = output_reserve(out, room);
	if (!dst) {
		output_flush(out);
		dst = output_reserve(out, room);
	}
	return dst;
}

static bool put(struct speaker *s, const struct record *record)
{
	char *dst = reserve(s->output, record_room(s->format, record));
	if (dst)
		output_commit(s->output, record_write(s->format, record, dst));
	return dst != NULL;
}

/* As if it had come through a pipe: "<4>tag: text". */
static void keep(struct speaker *s, const struct record *record, enum level level)
{
	static char line[SPEAKER_LINE_MAX + 256];
	size_t n = 0;
	if (level != LEVEL_NONE)
		n = (size_t)sprintf(line, "<%u>", level_to_syslog(level));
	if (record->tag)
		n += (size_t)snprintf(line + n, sizeof(line) - SPEAKER_LINE_MAX - 1 - n,
				      "%s: ", record->tag);
	memcpy(line + n, record->text, record->length);
	n += record->length;
	line[n++] = '\n';
	tail_append(s->tail, s->stream, false, line, n);
}

/* A line, or a piece of one. Later pieces have the level of the first. */
static bool say(struct speaker *s, const char *text, size_t length, bool is_partial)
{
	enum level level = s->level;
	if (!s->goes_on) {
		level = s->has_prefixes ? speaker_take_level(&text, &length) : LEVEL_NONE;
		if (level == LEVEL_NONE)
			level = s->usual_level;
	}
	struct record record = { .name = s->name,
				 .stream = speaker_stream_names[s->stream],
				 .level = level_name(level),
				 .tag = s->tag,
				 .pid = s->pid,
				 .text = text,
				 .length = length,
				 .partial = is_partial };
	bool is_hidden = (level == LEVEL_NONE ? LEVEL_INFO : level) > s->least;
	if (!is_hidden && !put(s, &record))
		return false;
	if (s->keeps_lines && s->tail)
		keep(s, &record, level);
	if (s->on_line)
		s->on_line(s->watch, text, length);
	s->level = level;
	s->goes_on = is_partial;
	return true;
}

size_t speaker_say(struct speaker *s, const char *data, size_t length, bool is_end, bool *ret_full)
{
	size_t done = 0;
	*ret_full = false;
	while (done < length) {
		const char *line = data + done;
		size_t left = length - done,
		       window = left < SPEAKER_LINE_MAX + 1 ? left : SPEAKER_LINE_MAX + 1;
		const char *newline = memchr(line, '\n', window);
		size_t size = newline ? (size_t)(newline - line) : left;
		bool is_partial = size > SPEAKER_LINE_MAX;
		if (is_partial)
			size = piece_length(line);
		else if (!newline && !is_end)
			break;
		if (!say(s, line, size, is_partial)) {
			*ret_full = true;
			break;
		}
		done += size + (newline != NULL);
	}
	return done;
}
