/* SPDX-License-Identifier: MIT */
/* A ring of chunks, each with a header in front. Positions count all bytes that ever
 * went in. When room is needed the oldest chunk loses its first bytes: the header
 * moves up and covers some of them, so that one large chunk does not go at once. */
#include "tail.h"

#include "util.h"

#include <string.h>
#include <time.h>

#define FIRST_ROOM 4096

struct header {
	int64_t time;
	uint32_t length; /* of the text behind it */
	uint8_t stream;
	bool is_first, is_cut;
};

struct tail {
	unsigned refs;
	unsigned watch;
	void (*came)(unsigned id);
	uint64_t start; /* position of the oldest chunk */
	size_t at;      /* where that is in the ring */
	size_t used, room;
	char *ring;
};

struct tail *tail_new(void)
{
	struct tail *t = calloc(1, sizeof(*t));
	if (t)
		t->refs = 1;
	return t;
}

struct tail *tail_ref(struct tail *t)
{
	if (t)
		t->refs++;
	return t;
}

void tail_unref(struct tail *t)
{
	if (!t || --t->refs > 0)
		return;
	free(t->ring);
	free(t);
}

uint64_t tail_end(const struct tail *t)
{
	return t->start + t->used;
}

/* ---- bytes; `offset` counts from the oldest one */

/* Where `size` bytes are: the first part's size is returned, the rest is at the
 * ring's beginning. */
static size_t locate(const struct tail *t, size_t offset, size_t size, char **ret_first)
{
	size_t at = (t->at + offset) % t->room;
	*ret_first = t->ring + at;
	return t->room - at < size ? t->room - at : size;
}

static void put(struct tail *t, size_t offset, const void *data, size_t size)
{
	char *first;
	size_t n = locate(t, offset, size, &first);
	memcpy(first, data, n);
	memcpy(t->ring, (const char *)data + n, size - n);
}

static void get(const struct tail *t, size_t offset, void *data, size_t size)
{
	char *first;
	size_t n = locate(t, offset, size, &first);
	memcpy(data, first, n);
	memcpy((char *)data + n, t->ring, size - n);
}

/* ---- room */

static void grow(struct tail *t, size_t wanted)
{
	size_t room = t->room ? t->room : FIRST_ROOM;
	while (room < wanted && room < TAIL_MAX)
		room *= 2;
	char *ring = room > t->room ? malloc(room) : NULL;
	if (!ring)
		return;
	if (t->used > 0)
		get(t, 0, ring, t->used);
	free(t->ring);
	t->ring = ring;
	t->room = room;
	t->at = 0;
}

static void drop(struct tail *t, size_t size)
{
	t->start += size;
	t->at = (t->at + size) % t->room;
	t->used -= size;
}

static void make_room(struct tail *t, size_t size)
{
	while (t->room - t->used < size) {
		struct header header;
		size_t lacking = size - (t->room - t->used);
		get(t, 0, &header, sizeof(header));
		if (lacking >= header.length) {
			drop(t, sizeof(header) + header.length);
			continue;
		}
		drop(t, lacking);
		header.length -= (uint32_t)lacking;
		header.is_cut = true;
		put(t, 0, &header, sizeof(header));
	}
}

/* ---- for others */

void tail_append(struct tail *t, int stream, bool is_first, const char *data, size_t length)
{
	struct timespec now;
	if (t->used + sizeof(struct header) + length > t->room)
		grow(t, t->used + sizeof(struct header) + length);
	if (t->room == 0)
		return;
	size_t most = t->room - sizeof(struct header), cut = length > most ? length - most : 0;
	clock_gettime(CLOCK_REALTIME, &now);
	struct header header = { .time = now.tv_sec * NSEC_PER_SEC + now.tv_nsec,
				 .length = (uint32_t)(length - cut),
				 .stream = (uint8_t)stream,
				 .is_first = is_first,
				 .is_cut = cut > 0 };
	make_room(t, sizeof(header) + header.length);
	put(t, t->used, &header, sizeof(header));
	put(t, t->used + sizeof(header), data + cut, header.length);
	t->used += sizeof(header) + header.length;

	void (*came)(unsigned id) = t->came;
	t->came = NULL;
	if (came)
		came(t->watch);
}

bool tail_next(const struct tail *t, uint64_t *position, struct tail_chunk *ret_chunk)
{
	struct header header;
	bool is_late = *position < t->start;
	size_t offset = is_late ? 0 : (size_t)(*position - t->start);

	if (offset >= t->used)
		return false;
	get(t, offset, &header, sizeof(header));
	offset += sizeof(header);
	char *first;
	size_t n = locate(t, offset, header.length, &first);
	*ret_chunk = (struct tail_chunk){ .time = header.time,
					  .stream = header.stream,
					  .is_first = header.is_first,
					  .is_cut = header.is_cut || is_late,
					  .parts = { first, t->ring },
					  .sizes = { n, header.length - n } };
	*position = t->start + offset + header.length;
	return true;
}

void tail_wake(struct tail *t, void (*came)(unsigned id), unsigned id)
{
	t->came = came;
	t->watch = id;
}
