/* SPDX-License-Identifier: MIT */
#include "origin.h"

#include "descend.h"
#include "loop.h"
#include "util.h"

#include <string.h>
#include <strings.h>

#define BUCKETS 256
#define TAG_MAX 64

struct origin {
	unsigned refs;
	struct origin *next; /* in its bucket */
	unsigned id;
	struct tail *tail;
	struct output *output; /* NULL: the container's */
	const char *program;
	char name[];
};

static struct origin *table[BUCKETS];

/* Who sent one message sends more, and looking into /proc takes longer than all the
 * rest. For so long a pid is not given to another process. */
#define SAME_NS (1 * NSEC_PER_MSEC)

static struct {
	pid_t pid; /* 0: nobody yet */
	unsigned id;
	int64_t time;
} last;

/* ---- services */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

struct origin *origin_new(unsigned id, const char *name, const char *program, struct tail *tail,
			  struct output *output)
{
	size_t length = strlen(name) + 1;
	const char *base = base_name(program);
	struct origin *origin = malloc(sizeof(*origin) + length + strlen(base) + 1);

	if (!origin)
		return NULL;
	*origin = (struct origin){ .refs = 1,
				   .next = table[id % BUCKETS],
				   .id = id,
				   .tail = tail_ref(tail),
				   .output = output ? output_ref(output) : NULL,
				   .program = strcpy(origin->name + length, base) };
	memcpy(origin->name, name, length);
	table[id % BUCKETS] = origin;
	return origin;
}

void origin_end(struct origin *origin)
{
	if (!origin)
		return;
	struct origin **p = &table[origin->id % BUCKETS];
	while (*p != origin)
		p = &(*p)->next;
	*p = origin->next;
	origin_unref(origin);
}

struct origin *origin_ref(struct origin *origin)
{
	if (origin)
		origin->refs++;
	return origin;
}

void origin_unref(struct origin *origin)
{
	if (!origin || --origin->refs > 0)
		return;
	tail_unref(origin->tail);
	if (origin->output)
		output_unref(origin->output);
	free(origin);
}

static unsigned owner_of(pid_t pid)
{
	int64_t now = loop_time();

	if (pid == last.pid && now - last.time < SAME_NS)
		return last.id;
	last.pid = pid;
	last.id = descend_owner(pid);
	last.time = now;
	return last.id;
}

struct origin *origin_of(pid_t pid)
{
	unsigned id = pid > 0 ? owner_of(pid) : 0;
	struct origin *origin = table[id % BUCKETS];

	while (origin && origin->id != id)
		origin = origin->next;
	return origin;
}

/* ---- names */

void origin_introduce(const struct origin *origin, struct speaker *speaker,
		      enum speaker_stream stream)
{
	speaker_init(speaker, origin ? origin->name : speaker_stream_names[stream], stream,
		     origin ? origin->tail : NULL);
	if (origin && origin->output)
		speaker_send_to(speaker, origin->output);
	speaker->has_prefixes = false;
	speaker->keeps_lines = true;
}

static bool is_same(const struct message_part *tag, const char *name)
{
	return tag->length == strlen(name) && strncasecmp(tag->text, name, tag->length) == 0;
}

/* What may stand in front of a line: no spaces, nothing that a terminal acts on. */
static bool is_word(const struct message_part *part)
{
	for (size_t i = 0; i < part->length; i++)
		if ((unsigned char)part->text[i] <= ' ' || part->text[i] == 0x7f)
			return false;
	return part->length > 0 && part->length <= TAG_MAX;
}

void origin_label(const struct origin *origin, struct speaker *speaker, pid_t pid,
		  const struct message *message, char label[ORIGIN_LABEL_SIZE])
{
	const struct message_part *tag = &message->tag, *own = &message->pid;
	int length = (int)tag->length;
	bool has_tag = is_word(tag);

	speaker->pid = pid;
	speaker->tag = has_tag ? label : NULL;
	if (speaker->format == RECORD_JSON) {
		if (has_tag)
			(void)snprintf(label, ORIGIN_LABEL_SIZE, "%.*s", length, tag->text);
	} else if (!origin) {
		(void)snprintf(speaker->name, sizeof(speaker->name), "%.*s[%d]",
			       has_tag ? length : TAG_MAX,
			       has_tag ? tag->text : speaker_stream_names[speaker->stream], pid);
		speaker->tag = NULL;
	} else if (is_same(tag, origin->name) || is_same(tag, origin->program)) {
		speaker->tag = NULL;
	} else if (has_tag) {
		(void)snprintf(label, ORIGIN_LABEL_SIZE, is_word(own) ? "%.*s[%.*s]" : "%.*s",
			       length, tag->text, (int)own->length, own->text);
	}
}
