/* SPDX-License-Identifier: MIT */
#include "logfile.h"

#include "file.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int logfile_open(const char *path, int64_t max, unsigned keep, struct logfile *ret_file)
{
	auto_place struct place place = NO_PLACE;
	struct stat st;
	int r = walk_to(path, WALK_FOLLOW, &place);
	auto_close int fd = r < 0 ? r : file_open_append_at(place.folder, place.name);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	struct logfile file = {
		.path = strdup(path), .size = st.st_size, .max = max, .keep = keep, .last = '\n'
	};
	if (!file.path)
		return -ENOMEM;
	file.fd = keep_fd(&fd);
	file.place = place;
	place.folder = -1;
	*ret_file = file;
	return 0;
}

void logfile_close(struct logfile *f)
{
	close(f->fd);
	place_done(&f->place);
	free(f->path);
}

static void complain(struct logfile *f, const char *what, int error)
{
	if (f->complaint != error)
		log_warning("%s %s: %s", what, f->path, strerror(-error));
	f->complaint = error;
}

/* ---- rotation */

static void name_old(char *name, const char *base, unsigned number)
{
	int size = snprintf(name, NAME_MAX + 1, number > 0 ? "%s.%u" : "%s", base, number);
	if (size > NAME_MAX)
		name[0] = '\0'; /* which no file has */
}

static int make_room(const struct place *place, unsigned keep)
{
	char from[NAME_MAX + 1], to[NAME_MAX + 1];
	int r = 0;
	if (keep == 0 && unlinkat(place->folder, place->name, 0) < 0 && errno != ENOENT)
		r = -errno;
	for (; r >= 0 && keep > 0; keep--) {
		name_old(to, place->name, keep);
		name_old(from, place->name, keep - 1);
		if (renameat(place->folder, from, place->folder, to) < 0 && errno != ENOENT)
			r = -errno;
	}
	return r;
}

/* The next file belongs to whom the old one does. */
static int open_next(struct logfile *f)
{
	struct stat st;
	int fd = file_open_new_at(f->place.folder, f->place.name);
	if (fd < 0)
		return fd;
	if (fstat(f->fd, &st) == 0) {
		(void)!fchown(fd, st.st_uid, st.st_gid);
		(void)fchmod(fd, st.st_mode & 07777);
	}
	close(f->fd);
	f->fd = fd;
	return 0;
}

/* If that can't be done we go on in the old one, and try again when as much has come. */
static void rotate(struct logfile *f)
{
	int r = make_room(&f->place, f->keep);
	if (r >= 0)
		r = open_next(f);
	if (r < 0)
		complain(f, "cannot rotate", r);
	else
		f->complaint = 0;
	f->size = 0;
}

/* ---- writing */

/* As much of it as whole lines have room for; 0: none. */
static size_t whole_lines(const char *data, size_t size, int64_t room)
{
	if ((int64_t)size <= room)
		return size;
	const char *newline = room > 0 ? memrchr(data, '\n', (size_t)room) : NULL;
	return newline ? (size_t)(newline - data) + 1 : 0;
}

static size_t first_line(const char *data, size_t size)
{
	const char *newline = memchr(data, '\n', size);
	return newline ? (size_t)(newline - data) + 1 : size;
}

static ssize_t append(struct logfile *f, const char *data, size_t size)
{
	ssize_t n = write(f->fd, data, size);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	f->size += n;
	f->last = data[n - 1];
	return n;
}

/* How much of `data` goes into this file, or the next one. */
static size_t choose(struct logfile *f, const char *data, size_t size)
{
	if (f->max == 0 || f->last != '\n')
		return size;
	size_t fits = whole_lines(data, size, f->max - f->size);
	if (fits == 0 && f->size > 0) {
		rotate(f);
		fits = whole_lines(data, size, f->max);
	}
	return fits > 0 ? fits : first_line(data, size);
}

/* A line that an error has cut off gets an end before the next one begins. */
ssize_t logfile_write(struct logfile *f, const char *data, size_t size)
{
	ssize_t n = f->has_failed && f->last != '\n' ? append(f, "\n", 1) : 0;
	if (n >= 0)
		n = append(f, data, choose(f, data, size));
	if (n < 0)
		complain(f, "lines are lost, since nothing can be written to", (int)n);
	else if (f->has_failed)
		log_notice("%s is written again", f->path);
	if (n >= 0 && f->has_failed)
		f->complaint = 0;
	f->has_failed = n < 0;
	return n;
}
