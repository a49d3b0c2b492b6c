/* SPDX-License-Identifier: MIT */
/* The container's stdout and stderr. What a file takes without blocking depends
 * on what it is:
 *   a regular file   never blocks, and is not epoll's business
 *   a socket         send(MSG_DONTWAIT)
 *   a pipe, a tty    opened again through /proc, with O_NONBLOCK of our own;
 *                    where that is refused, RWF_NOWAIT or poll and small writes
 * A reader that has gone, or a full disk, takes nothing: what it would have got
 * is dropped, since a service must not be stopped by it. */
#include "output.h"

#include "forward.h"
#include "logfile.h"
#include "loop.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

struct output {
	struct loop_source source; /* its fd is what we write to; -1: not open yet */
	ssize_t (*write)(struct output *output, const char *data, size_t size);
	struct output_waiter *first, **last;
	bool in_loop, waits, gone, taken;
	size_t start, end; /* what waits in `queue` */
	char *queue;

	unsigned refs; /* 0: it is the container's */
	struct output *next;
	union { /* which of them, says `write` */
		struct logfile file;
		struct forward forward;
	};
	enum record_format format;
};

#define QUEUE_SIZE (OUTPUT_QUEUE_MAX + OUTPUT_RECORD_MAX)

/* Untouched pages cost nothing, and PID 1 never lacks this memory. */
static char queues[2][QUEUE_SIZE];
static struct output outputs[2] = {
	{ .source.fd = -1, .last = &outputs[0].first, .queue = queues[0] },
	{ .source.fd = -1, .last = &outputs[1].first, .queue = queues[1] },
};
static struct output *own;

/* ---- one write that does not block: bytes or -errno */

static ssize_t result(ssize_t n)
{
	return n < 0 ? -errno : n;
}

static ssize_t write_plain(struct output *o, const char *data, size_t size)
{
	return result(write(o->source.fd, data, size));
}

static ssize_t write_socket(struct output *o, const char *data, size_t size)
{
	return result(send(o->source.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static ssize_t write_file(struct output *o, const char *data, size_t size)
{
	return logfile_write(&o->file, data, size);
}

static ssize_t write_journal(struct output *o, const char *data, size_t size)
{
	return forward_write(&o->forward, o->source.fd, data, size);
}

/* A pipe that polls as writable takes 4096 bytes. Another writer may be quicker
 * than we are, therefore RWF_NOWAIT first (pipes know it since Linux 6.4). */
static ssize_t write_shared(struct output *o, const char *data, size_t size)
{
	int fd = o->source.fd;
	struct iovec iov = { (void *)data, size };
	ssize_t n = syscall(SYS_pwritev2, fd, &iov, 1, -1L, -1L, RWF_NOWAIT);
	if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
		return result(n);

	struct pollfd p = { .fd = fd, .events = POLLOUT };
	if (poll(&p, 1, 0) <= 0)
		return -EAGAIN;
	return write_plain(o, data, size < 4096 ? size : 4096);
}

static int open_again(int fd)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void output_open(struct output *o, int fd)
{
	struct stat st;
	o->source.fd = fd;
	o->write = write_plain;
	if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
		return;
	if (S_ISSOCK(st.st_mode)) {
		o->write = write_socket;
		return;
	}
	int again = open_again(fd);
	if (again >= 0)
		o->source.fd = again;
	else
		o->write = write_shared;
}

static bool same_file(int a, int b)
{
	struct stat x, y;
	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

struct output *output_stdout(void)
{
	if (outputs[0].source.fd < 0)
		output_open(&outputs[0], STDOUT_FILENO);
	return &outputs[0];
}

struct output *output_stderr(void)
{
	static struct output *chosen;
	if (!chosen) {
		chosen = same_file(STDOUT_FILENO, STDERR_FILENO) ? output_stdout() : &outputs[1];
		if (chosen->source.fd < 0)
			output_open(chosen, STDERR_FILENO);
	}
	return chosen;
}

bool output_writes_to(const struct stat *st)
{
	struct stat ours;
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (fstat(fd, &ours) == 0 && ours.st_dev == st->st_dev && ours.st_ino == st->st_ino)
			return true;
	for (struct output *o = own; o; o = o->next)
		if (o->write == write_file && fstat(o->file.fd, &ours) == 0 &&
		    ours.st_dev == st->st_dev && ours.st_ino == st->st_ino)
			return true;
	return false;
}

/* ---- those of our own */

static struct output *new_own(int fd, enum record_format format)
{
	struct output *o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->queue =
		mmap(NULL, QUEUE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (o->queue == MAP_FAILED) {
		free(o);
		return NULL;
	}
	o->source.fd = fd;
	o->last = &o->first;
	o->format = format;
	o->refs = 1;
	o->next = own;
	own = o;
	return o;
}

struct output *output_new_pipe(int fd, enum record_format format)
{
	struct output *o = fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? NULL : new_own(fd, format);
	if (o)
		o->write = write_plain;
	return o;
}

struct output *output_new_file(const struct logfile *file, enum record_format format)
{
	struct output *o = new_own(-1, format);
	if (o) {
		o->write = write_file;
		o->file = *file;
	}
	return o;
}

struct output *output_new_journal(int fd, const struct forward *forward)
{
	struct output *o = new_own(fd, RECORD_JOURNAL);
	if (o) {
		o->write = write_journal;
		o->forward = *forward;
	}
	return o;
}

enum record_format output_format(const struct output *o, bool *ret_is_own)
{
	*ret_is_own = o->refs > 0;
	return o->refs > 0 ? o->format : record_format_from(getenv("MOONRISE_LOG"));
}

struct output *output_ref(struct output *o)
{
	o->refs += o->refs > 0;
	return o;
}

static ssize_t write_nowhere(struct output *o, const char *data, size_t size)
{
	(void)o;
	(void)data;
	return (ssize_t)size;
}

void output_close(struct output *o)
{
	if (o->in_loop)
		loop_remove(&o->source);
	if (o->source.fd >= 0)
		close(o->source.fd);
	if (o->write == write_file)
		logfile_close(&o->file);
	o->in_loop = o->waits = false;
	o->source.fd = -1;
	o->write = write_nowhere;
	output_settle(o);
}

void output_unref(struct output *o)
{
	if (o->refs == 0 || --o->refs > 0)
		return;
	output_flush(o);
	output_close(o);
	struct output **p = &own;
	while (*p != o)
		p = &(*p)->next;
	*p = o->next;
	(void)munmap(o->queue, QUEUE_SIZE);
	free(o);
}

/* ---- the queue */

char *output_reserve(struct output *o, size_t size)
{
	size_t used = o->end - o->start;
	if (used > 0 && used + size > OUTPUT_QUEUE_MAX)
		return NULL;
	if (o->end + size > QUEUE_SIZE) {
		memmove(o->queue, o->queue + o->start, used);
		o->start = 0;
		o->end = used;
	}
	return o->queue + o->end;
}

void output_commit(struct output *o, size_t size)
{
	o->end += size;
}

/* Once the reader has gone each write raises SIGPIPE: ask first whether another
 * one has come (a FIFO may have a new reader). */
static bool reader_gone(struct output *o)
{
	struct pollfd p = { .fd = o->source.fd, .events = POLLOUT };
	return o->gone && poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP));
}

static void write_queue(struct output *o)
{
	o->gone = reader_gone(o);
	while (!o->gone && o->start < o->end) {
		ssize_t n = o->write(o, o->queue + o->start, o->end - o->start);
		if (n == -EAGAIN)
			return;
		if (n < 0) {
			o->gone = n == -EPIPE;
			break;
		}
		o->start += (size_t)n;
		o->taken = true;
	}
	o->start = o->end = 0;
}

/* Until one of them waits again. */
static void resume(struct output *o)
{
	bool had_room = true;
	while (o->first && had_room) {
		struct output_waiter *waiter = o->first;
		o->first = waiter->next;
		if (!o->first)
			o->last = &o->first;
		had_room = waiter->room(waiter);
	}
}

/* Who goes on may be the last who has it. */
static void on_writable(struct loop_source *source, uint32_t events)
{
	struct output *o = output_ref(container_of(source, struct output, source));
	(void)events;
	o->waits = false;
	output_flush(o);
	resume(o);
	output_settle(o);
	output_unref(o);
}

/* Without a loop (before it is there, or where epoll refuses the file) the rest
 * goes out with the next flush. */
static void wait_for_reader(struct output *o)
{
	uint32_t events = EPOLLOUT | EPOLLONESHOT;
	if (o->waits)
		return;
	if (!o->in_loop) {
		o->source.ready = on_writable;
		o->in_loop = loop_add(&o->source, events) == 0;
		o->waits = o->in_loop;
	} else {
		o->waits = loop_change(&o->source, events) == 0;
	}
}

bool output_flush(struct output *o)
{
	write_queue(o);
	if (o->start == o->end)
		return true;
	wait_for_reader(o);
	return false;
}

void output_wait(struct output *o, struct output_waiter *waiter)
{
	waiter->next = NULL;
	*o->last = waiter;
	o->last = &waiter->next;
}

void output_leave(struct output *o, struct output_waiter *waiter)
{
	struct output_waiter **p = &o->first;
	while (*p != waiter)
		p = &(*p)->next;
	*p = waiter->next;
	if (!*p)
		o->last = p;
}

void output_settle(struct output *o)
{
	output_ref(o);
	while (output_flush(o) && o->first)
		resume(o);
	output_unref(o);
}

static bool drain(struct output *o, const struct output_end *end)
{
	int64_t until = 0;
	while (o->write) {
		output_settle(o);
		bool is_idle = o->start == o->end && !o->first;
		if (o->taken || !until)
			until = loop_time() + end->patience;
		if (until > end->deadline)
			until = end->deadline;
		o->taken = false;
		if (is_idle)
			break;
		if (!o->waits || loop_time() >= until || loop_turn(until) < 0)
			return false;
	}
	return true;
}

bool output_drain(const struct output_end *end)
{
	bool drained = true;
	for (size_t i = 0; i < ARRAY_SIZE(outputs); i++)
		drained = drain(&outputs[i], end) && drained;
	for (struct output *o = own, *next; o; o = next) {
		output_ref(o);
		drained = drain(o, end) && drained;
		next = o->next;
		output_unref(o);
	}
	return drained;
}
