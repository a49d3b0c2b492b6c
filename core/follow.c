/* SPDX-License-Identifier: MIT */
/* Something that happens in a folder on the way of a pattern makes us look at all
 * names again: that is rare, and then nothing has to be known of what happened. What
 * happens to a file is told by a watch on the file itself. */
#include "follow.h"

#include "file.h"
#include "follow_file.h"
#include "follow_folder.h"
#include "follow_move.h"
#include "log.h"
#include "loop.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#define FILES_MAX 256 /* of one pattern: each has a descriptor */
#define GONE_MAX 4
#define DROPPED_MAX 32
#define FILE_EVENTS (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF)

struct follow {
	struct follow *next;
	char *pattern, *name;
	struct tail *tail;
	struct output *output;
	struct output_waiter waiter;
	struct follow_file *files; /* in the order in which they were found */
	size_t count;
	bool has_looked, is_stalled;
	int complaint; /* the last error that was said */

	/* The last that were let go of: inotify may still have to say that they moved. */
	struct {
		dev_t device;
		ino_t inode;
	} dropped[DROPPED_MAX];
	unsigned drops;
};

static struct follow *follows;
static bool is_ending;

/* ---- once for all: what inotify says, and that there is more to be read */

static void on_events(struct loop_source *source, uint32_t events);
static void on_more(struct loop_source *source, uint32_t events);

static struct loop_source notifier = { -1, on_events };
static struct loop_source more = { -1, on_more };

static int open_source(struct loop_source *source, int fd)
{
	if (fd < 0)
		return -errno;
	source->fd = fd;
	int r = loop_add(source, EPOLLIN);
	if (r < 0) {
		close(fd);
		source->fd = -1;
	}
	return r;
}

static int open_sources(void)
{
	int r = notifier.fd >= 0 ? 0
				 : open_source(&notifier, inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
	if (r >= 0 && more.fd < 0)
		r = open_source(&more, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	return r;
}

/* The loop turns once, for others, before we read on. */
static void come_again(void)
{
	(void)eventfd_write(more.fd, 1);
}

/* ---- reading */

static void drop(struct follow *f, struct follow_file **place)
{
	struct follow_file *file = *place;
	bool is_shared = false;
	*place = file->next;
	f->count--;
	f->dropped[f->drops % DROPPED_MAX].device = file->device;
	f->dropped[f->drops++ % DROPPED_MAX].inode = file->inode;
	for (struct follow_file *other = f->files; other; other = other->next)
		if (other->older == file)
			other->older = NULL;
	for (struct follow *g = follows; g; g = g->next)
		for (struct follow_file *other = g->files; other; other = other->next)
			is_shared = is_shared || other->watch == file->watch;
	if (!is_shared)
		(void)inotify_rm_watch(notifier.fd, file->watch);
	follow_file_free(file);
}

/* It is gone, and who wrote to it has closed it: what is in it now is all. When that
 * is not known, because it was closed before we were there, only the last few of those
 * that are gone are waited for. */
static bool is_finished(const struct follow_file *file)
{
	unsigned others = 0;
	for (const struct follow_file *other = file->next; other; other = other->next)
		others += other->is_gone;
	return file->is_gone && (file->is_closed || others >= GONE_MAX);
}

/* A piece of each; true: there is more that can be read. */
static bool pump(struct follow *f)
{
	bool has_more = false;
	for (struct follow_file **p = &f->files; *p && !f->is_stalled;) {
		struct follow_file *file = *p;
		bool is_held_back = file->older && file->older->has_more;
		bool is_end = is_ending || is_finished(file);
		if (file->has_more && !is_held_back)
			f->is_stalled = !follow_file_read(file, is_end);
		has_more = has_more || file->has_more;
		if (is_end && !is_ending && !file->has_more)
			drop(f, p);
		else
			p = &file->next;
	}
	if (f->is_stalled)
		output_wait(f->output, &f->waiter);
	return has_more && !f->is_stalled;
}

/* The reader of the output has read. */
static bool on_room(struct output_waiter *waiter)
{
	struct follow *f = container_of(waiter, struct follow, waiter);
	f->is_stalled = false;
	if (pump(f))
		come_again();
	return !f->is_stalled;
}

static void pump_all(void)
{
	bool has_more = false;
	for (struct follow *f = follows; f; f = f->next)
		if (!f->is_stalled && pump(f))
			has_more = true;
	if (has_more)
		come_again();
	for (struct follow *f = follows; f; f = f->next)
		output_settle(f->output);
}

static void on_more(struct loop_source *source, uint32_t events)
{
	eventfd_t count;
	(void)events;
	(void)eventfd_read(source->fd, &count);
	pump_all();
}

/* ---- names */

/* That something is not there is no reason. */
static void complain(struct follow *f, const char *path, int error)
{
	if (error == -ENOENT || error == -ENOTDIR)
		return;
	if (f->complaint != error)
		log_warning("%s: cannot follow %s: %s", f->name, path, strerror(-error));
	f->complaint = error;
}

/* `name` is what its pattern has for it, and most often its path. */
static int add_file(struct follow *f, const char *name, const char *path)
{
	struct stat st;
	auto_close int fd = file_open(path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	int watch = follow_watch(notifier.fd, fd, FILE_EVENTS);
	struct follow_file *file = watch < 0 ? NULL : follow_file_new(fd, name, &st);
	if (!file)
		return watch < 0 ? watch : -ENOMEM;
	(void)keep_fd(&fd);
	file->watch = watch;
	speaker_init(&file->speaker, f->name, SPEAKER_FILE, f->tail);
	speaker_send_to(&file->speaker, f->output);
	if (!f->has_looked)
		file->position = st.st_size;

	struct follow_file **p = &f->files;
	for (; *p; p = &(*p)->next) {
		if (strcmp((*p)->path, name) == 0) {
			file->older = *p;
			(*p)->has_more = true; /* as the last look may be long ago */
		}
	}
	*p = file;
	f->count++;
	return 0;
}

/* The one that it has been known as, maybe by another name. */
static struct follow_file *find(struct follow *f, const struct stat *st)
{
	struct follow_file *file = f->files;
	while (file && (file->inode != st->st_ino || file->device != st->st_dev))
		file = file->next;
	return file;
}

static bool was_dropped(const struct follow *f, const struct stat *st)
{
	for (size_t i = 0; i < DROPPED_MAX; i++)
		if (f->dropped[i].inode == st->st_ino && f->dropped[i].device == st->st_dev)
			return true;
	return false;
}

/* What `name` leads to, or has led to until it was moved to `path`. */
static void found(struct follow *f, const char *name, const char *path)
{
	struct stat st;
	int r = file_stat(path, true, &st);
	if (r >= 0 && (!S_ISREG(st.st_mode) || output_writes_to(&st)))
		return;
	struct follow_file *known = r < 0 ? NULL : find(f, &st);
	if (known) {
		if (name == path)
			known->is_gone = false;
		return;
	}
	if (r >= 0 && name != path && was_dropped(f, &st))
		return;
	if (r >= 0)
		r = f->count < FILES_MAX ? add_file(f, name, path) : -EMFILE;
	if (r < 0)
		complain(f, path, r);
}

static void expand(struct follow *f, char *path, size_t length, const char *rest);

/* `name` is in the folder that the first bytes of `path` name. */
static void go_on_with(struct follow *f, char *path, size_t length, const char *name,
		       const char *rest)
{
	size_t size = strlen(name);
	if (length + 1 + size >= PATH_MAX)
		return;
	path[length] = '/';
	memcpy(path + length + 1, name, size + 1);
	if (*rest)
		expand(f, path, length + 1 + size, rest);
	else
		found(f, path, path);
	path[length] = '\0';
}

static void expand_folder(struct follow *f, char *path, size_t length, const char *part,
			  const char *rest)
{
	int fd = file_open_folder(length > 0 ? path : "/");
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (const struct dirent *entry; (entry = readdir(folder));)
		if (fnmatch(part, entry->d_name, FNM_PERIOD | FNM_NOESCAPE) == 0)
			go_on_with(f, path, length, entry->d_name, rest);
	closedir(folder);
}

/* Watches each folder before it is looked at, so that nothing is missed. */
static void expand(struct follow *f, char *path, size_t length, const char *rest)
{
	char part[NAME_MAX + 1];
	rest += strspn(rest, "/");
	size_t size = strcspn(rest, "/");
	if (size == 0 || size > NAME_MAX || length + 1 + size >= PATH_MAX)
		return;
	memcpy(part, rest, size);
	part[size] = '\0';
	rest += size;
	rest += strspn(rest, "/");

	path[length] = '/';
	memcpy(path + length + 1, part, size + 1);
	int r = follow_folder_watch(notifier.fd, path);
	path[length] = '\0';
	if (r < 0)
		complain(f, path, r);
	if (strpbrk(part, "*?["))
		expand_folder(f, path, length, part, rest);
	else
		go_on_with(f, path, length, part, rest);
}

static void look(struct follow *f)
{
	char path[PATH_MAX] = "";
	for (struct follow_file *file = f->files; file; file = file->next)
		file->is_gone = true;
	expand(f, path, 0, f->pattern);
	f->has_looked = true;
	for (struct follow_file *file = f->files; file; file = file->next)
		file->has_more = file->has_more || file->is_gone;
}

/* Those that had a name of the pattern and were moved before we looked. */
static void look_at_moves(struct follow *f)
{
	for (const struct follow_move *m = follow_move_first(); m; m = m->next)
		if (m->cookie == 0 &&
		    fnmatch(f->pattern, m->from, FNM_PATHNAME | FNM_PERIOD | FNM_NOESCAPE) == 0)
			found(f, m->from, m->to);
}

static void look_all(void)
{
	follow_folder_begin();
	for (struct follow *f = follows; f; f = f->next) {
		look_at_moves(f);
		look(f);
	}
	follow_move_forget();
	follow_folder_end(notifier.fd);
}

/* ---- events */

static bool hear_of_file(struct follow_file *file, uint32_t mask)
{
	if (mask & (IN_MODIFY | IN_CLOSE_WRITE)) {
		follow_file_changed(file);
		file->is_closed = mask & IN_CLOSE_WRITE;
	}
	return mask & (IN_ATTRIB | IN_MOVE_SELF);
}

static void hear_of_name(const struct inotify_event *event)
{
	char path[PATH_MAX];
	const char *folder = follow_folder_path(event->wd);
	if (!folder || !(event->mask & (IN_MOVED_FROM | IN_MOVED_TO)))
		return;
	if (snprintf(path, sizeof(path), "%s/%s", folder, event->name) < PATH_MAX)
		follow_move_hear(event->mask, event->cookie, path);
}

/* true: names have to be looked at. */
static bool hear(const struct inotify_event *event)
{
	bool is_overflow = event->mask & IN_Q_OVERFLOW, is_file = false, has_changed = false;
	for (struct follow *f = follows; f; f = f->next) {
		for (struct follow_file *file = f->files; file; file = file->next) {
			if (is_overflow)
				follow_file_changed(file);
			if (file->watch != event->wd)
				continue;
			is_file = true;
			has_changed = hear_of_file(file, event->mask) || has_changed;
		}
	}
	if (event->len > 0)
		hear_of_name(event);
	if (event->mask & IN_IGNORED)
		follow_folder_forget(event->wd);
	return has_changed || !is_file;
}

/* All that has been said by now, so that the two halves of a move come together. */
static bool hear_all(void)
{
	char data[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool has_changed = false;
	ssize_t n = 1;
	for (int reads = 0; reads < 8 && n > 0; reads++) {
		n = read(notifier.fd, data, sizeof(data));
		for (char *p = data; n > 0 && p < data + n;) {
			const struct inotify_event *event = (const struct inotify_event *)p;
			has_changed = hear(event) || has_changed;
			p += sizeof(*event) + event->len;
		}
	}
	return has_changed;
}

static void on_events(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	if (hear_all())
		look_all();
	pump_all();
}

/* ---- for others */

struct follow *follow_new(const char *pattern, const char *name, struct tail *tail,
			  struct output *output)
{
	int r = open_sources();
	struct follow *f = r < 0 ? NULL : calloc(1, sizeof(*f));
	if (f) {
		f->pattern = strdup(pattern);
		f->name = strdup(name);
	}
	if (!f || !f->pattern || !f->name) {
		if (f) {
			free(f->pattern);
			free(f->name);
		}
		free(f);
		errno = r < 0 ? -r : ENOMEM;
		return NULL;
	}
	f->tail = tail_ref(tail);
	f->output = output_ref(output ? output : output_stdout());
	f->waiter.room = on_room;
	f->next = follows;
	follows = f;
	look(f);
	come_again();
	return f;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	struct follow **p = &follows;
	while (*p != f)
		p = &(*p)->next;
	if (f->is_stalled)
		output_leave(f->output, &f->waiter);
	while (f->files)
		drop(f, &f->files);
	*p = f->next;
	tail_unref(f->tail);
	output_unref(f->output);
	free(f->pattern);
	free(f->name);
	free(f);
	look_all();
}

/* There is something that could be read and said. */
static bool has_work(void)
{
	for (struct follow *f = follows; f; f = f->next)
		for (struct follow_file *file = f->files; file; file = file->next)
			if (file->has_more && !f->is_stalled)
				return true;
	return false;
}

static void read_all(const struct output_end *end)
{
	for (struct follow *f = follows; f; f = f->next)
		for (struct follow_file *file = f->files; file; file = file->next)
			follow_file_changed(file);
	do {
		pump_all();
		output_drain(end);
	} while (has_work() && loop_time() < end->deadline);
}

void follow_flush(const struct output_end *end)
{
	if (!follows)
		return;
	(void)hear_all();
	look_all();
	read_all(end);
	is_ending = true;
	read_all(end);
}
