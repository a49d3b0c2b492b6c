/* SPDX-License-Identifier: MIT */
#include "follow_file.h"

#include "util.h"

#include <errno.h>
#include <string.h>

#define READ_MAX (64 * 1024) /* more than the longest line */

struct follow_file *follow_file_new(int fd, const char *path, const struct stat *st)
{
	struct follow_file *f = calloc(1, sizeof(*f));
	if (f)
		f->path = strdup(path);
	if (!f || !f->path) {
		free(f);
		return NULL;
	}
	f->fd = fd;
	f->device = st->st_dev;
	f->inode = st->st_ino;
	f->has_more = true;
	return f;
}

void follow_file_free(struct follow_file *f)
{
	speaker_done(&f->speaker);
	close(f->fd);
	free(f->path);
	free(f);
}

/* It was truncated: what comes now is new. Its writer may go on where it was, and leave
 * a hole. */
static void start_again(struct follow_file *f)
{
	f->position = 0;
	f->mark_length = 0;
	f->is_after_hole = true;
	f->speaker.goes_on = false;
}

void follow_file_changed(struct follow_file *f)
{
	struct stat st;
	f->has_more = true;
	if (fstat(f->fd, &st) < 0)
		return;
	if (st.st_size < f->size)
		start_again(f);
	f->size = st.st_size;
}

/* true: there was one, and the position is behind it now. */
static bool skip_hole(struct follow_file *f)
{
	off_t data = lseek(f->fd, f->position, SEEK_DATA);
	if (data < 0 && errno == ENXIO) /* nothing but a hole */
		data = f->size;
	if (data <= f->position)
		return false;
	f->position = data;
	f->mark_length = 0;
	f->is_after_hole = true;
	return true;
}

static size_t count_nul(const char *data, size_t length)
{
	size_t n = 0;
	while (n < length && data[n] == '\0')
		n++;
	return n;
}

/* The tail gets what was said, with an end to each last line. */
static void keep(struct follow_file *f, const char *data, size_t length, bool is_end)
{
	struct speaker *s = &f->speaker;
	if (length == 0)
		return;
	tail_append(s->tail, s->stream, false, data, length);
	if (is_end && data[length - 1] != '\n')
		tail_append(s->tail, s->stream, false, "\n", 1);
}

/* Goes on behind `length` bytes, the last of which are remembered. */
static void advance(struct follow_file *f, const char *data, size_t length)
{
	f->position += (off_t)length;
	if (length == 0)
		return;
	f->mark_length = length < sizeof(f->mark) ? length : sizeof(f->mark);
	memcpy(f->mark, data + length - f->mark_length, f->mark_length);
}

/* What is new, from the position on: how much, or -1. One that was truncated and is
 * longer again already does not have the same bytes before it. */
static ssize_t read_new(struct follow_file *f, char *data, size_t size)
{
	static char buffer[READ_MAX + sizeof(f->mark)];
	size_t before = f->mark_length;
	ssize_t n = pread(f->fd, buffer, before + size, f->position - (off_t)before);
	if (n >= (ssize_t)before && memcmp(buffer, f->mark, before) != 0) {
		start_again(f);
		before = 0;
		n = pread(f->fd, buffer, size, 0);
	}
	if (n <= (ssize_t)before)
		return n < 0 ? n : 0;
	memcpy(data, buffer + before, (size_t)n - before);
	return n - (ssize_t)before;
}

bool follow_file_read(struct follow_file *f, bool is_end)
{
	static char data[READ_MAX];
	bool full;

	follow_file_changed(f);
	ssize_t n = read_new(f, data, sizeof(data));
	if (n > 0 && data[0] == '\0' && skip_hole(f))
		return true;
	f->has_more = n == sizeof(data);
	if (n <= 0)
		return true;
	size_t skipped = f->is_after_hole ? count_nul(data, (size_t)n) : 0;
	size_t left = (size_t)n - skipped;
	advance(f, data, skipped);
	if (left > 0)
		f->is_after_hole = false;
	is_end = is_end && !f->has_more;
	size_t done = speaker_say(&f->speaker, data + skipped, left, is_end, &full);
	keep(f, data + skipped, done, is_end && done == left);
	advance(f, data + skipped, done);
	f->has_more = f->has_more || full;
	return !full;
}
