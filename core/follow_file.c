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

/* One that became shorter was truncated: what comes now is new. Its writer may go on
 * where it was, and leave a hole. */
void follow_file_changed(struct follow_file *f)
{
	struct stat st;
	f->has_more = true;
	if (fstat(f->fd, &st) < 0)
		return;
	if (st.st_size < f->size) {
		f->position = 0;
		f->is_after_hole = true;
		f->speaker.goes_on = false;
	}
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

bool follow_file_read(struct follow_file *f, bool is_end)
{
	static char data[READ_MAX];
	bool full;

	follow_file_changed(f);
	ssize_t n = pread(f->fd, data, sizeof(data), f->position);
	if (n > 0 && data[0] == '\0' && skip_hole(f))
		return true;
	f->has_more = n == sizeof(data);
	if (n <= 0)
		return true;
	size_t skipped = f->is_after_hole ? count_nul(data, (size_t)n) : 0;
	size_t left = (size_t)n - skipped;
	f->position += (off_t)skipped;
	if (left > 0)
		f->is_after_hole = false;
	is_end = is_end && !f->has_more;
	size_t done = speaker_say(&f->speaker, data + skipped, left, is_end, &full);
	keep(f, data + skipped, done, is_end && done == left);
	f->position += (off_t)done;
	f->has_more = f->has_more || full;
	return !full;
}
