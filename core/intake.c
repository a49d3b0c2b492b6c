/* SPDX-License-Identifier: MIT */
/* Two sockets of datagrams. Each has one datagram in hand, which it says line by line;
 * when the output has no room, it stands in line with the rest of it, and takes no
 * other. So what is not said yet waits in the kernel, and its senders wait there:
 * nothing is dropped, except by a sender that will not wait. Only when processes are
 * about to be reaped, some more are taken and held, since whose they are would not be
 * known any more. */
#include "intake.h"

#include "child.h"
#include "datagram.h"
#include "journal.h"
#include "listen.h"
#include "log.h"
#include "loop.h"
#include "net.h"
#include "origin.h"
#include "stream.h"
#include "syslog.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BATCH 64         /* datagrams at once; then it is the others' turn */
#define BATCH_BEFORE 128 /* before one of their senders is reaped */
#define BATCH_LAST 1024
#define USUAL_SIZE (16 * 1024)
#define HELD_MAX (256 * 1024) /* a file counts as USUAL_SIZE */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct held {
	struct held *next;
	struct origin *origin;
	pid_t pid;
	int fd; /* of a file; -1: there is none */
	size_t length;
	char text[];
};

struct intake {
	struct loop_source source;
	struct output_waiter waiter;
	dev_t device; /* as it was made: a daemon may put its own in its place */
	ino_t inode;
	enum speaker_stream stream;
	/* Takes the next message off what is in hand; false: there is no more. */
	bool (*next)(struct intake *intake, struct message *ret_message);

	bool is_busy, is_stalled;
	const char *at, *end; /* in hand: what was not looked at yet */
	char *mapped;         /* where that is, unless it is in `usual` or `taken` */
	size_t mapped_size;
	struct held *taken, *first, **last;
	size_t held_size;
	struct message_part text; /* of a message: what is still to be said */
	pid_t pid;
	struct origin *origin;
	struct speaker speaker;
	char label[ORIGIN_LABEL_SIZE];
	char *usual; /* USUAL_SIZE */
};

static bool next_of_syslog(struct intake *in, struct message *ret_message);
static bool next_of_journal(struct intake *in, struct message *ret_message);

static char buffers[2][USUAL_SIZE];
static struct intake intakes[] = {
	{ .source.fd = -1, .stream = SPEAKER_SYSLOG, .next = next_of_syslog, .usual = buffers[0] },
	{ .source.fd = -1,
	  .stream = SPEAKER_JOURNAL,
	  .next = next_of_journal,
	  .usual = buffers[1] },
};

/* ---- messages */

static bool next_of_syslog(struct intake *in, struct message *ret_message)
{
	char hostname[256] = "";

	if (in->at == in->end)
		return false;
	(void)gethostname(hostname, sizeof(hostname) - 1);
	syslog_parse(in->at, (size_t)(in->end - in->at), hostname, ret_message);
	in->at = in->end;
	return true;
}

static bool next_of_journal(struct intake *in, struct message *ret_message)
{
	return journal_next(&in->at, in->end, ret_message);
}

static void begin(struct intake *in, const struct message *message)
{
	static const struct message_part empty = { "\n", 1 };
	bool has_text = message->text.length > 0;

	in->text = has_text || message->tag.length == 0 ? message->text : empty;
	in->speaker.usual_level = message->priority == MESSAGE_NO_PRIORITY
					  ? LEVEL_NONE
					  : level_of_syslog((unsigned)message->priority);
	origin_label(in->origin, &in->speaker, in->pid, message, in->label);
}

/* Says what is in hand; false: there was no room for all of it. */
static bool say(struct intake *in)
{
	struct message message;
	bool is_full = false;

	while (!is_full && (in->text.length > 0 || in->next(in, &message))) {
		if (in->text.length == 0)
			begin(in, &message);
		if (in->text.length == 0)
			continue; /* an entry without text */
		size_t done =
			speaker_say(&in->speaker, in->text.text, in->text.length, true, &is_full);
		in->text.text += done;
		in->text.length -= done;
	}
	return !is_full;
}

/* ---- datagrams */

static void unmap(struct intake *in)
{
	if (in->mapped)
		(void)munmap(in->mapped, in->mapped_size);
	in->mapped = NULL;
}

static char *map(struct intake *in, size_t size)
{
	unmap(in);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	in->mapped = memory;
	in->mapped_size = size;
	return memory;
}

static void free_held(struct held *held)
{
	if (!held)
		return;
	origin_unref(held->origin);
	net_close_foreign(held->fd);
	free(held);
}

static void let_go(struct intake *in)
{
	unmap(in);
	free_held(in->taken);
	in->taken = NULL;
	in->is_busy = false;
}

/* An entry that is too large for a datagram. Sealed, it is memory that can't change
 * any more, and reading it can't block; nothing else is taken. 0 or -errno. */
static int read_file(struct intake *in, int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EPERM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > INTAKE_FILE_MAX)
		return -EFBIG;
	char *data = st.st_size > 0 ? map(in, (size_t)st.st_size) : in->usual;
	if (!data)
		return -ENOMEM;
	ssize_t n = pread(fd, data, (size_t)st.st_size, 0);
	if (n < 0)
		return -errno;
	in->at = data;
	in->end = data + n;
	return 0;
}

/* As long as it is the same one, nothing has to be set up. */
static void know_sender(struct intake *in, struct origin *origin, pid_t pid)
{
	in->pid = pid;
	if (origin && origin == in->origin)
		return;
	origin_unref(in->origin);
	speaker_done(&in->speaker);
	in->origin = origin_ref(origin);
	origin_introduce(origin, &in->speaker, in->stream);
}

/* `fd` is that of a file that came instead of the text, or -1. */
static void take_in_hand(struct intake *in, const char *data, size_t length, int fd)
{
	int r;

	in->is_busy = true;
	in->at = data;
	in->end = data + length;
	in->text.length = 0;
	r = fd < 0 ? 0 : read_file(in, fd);
	if (r < 0)
		log_warning("%s (process %d) sends the journal a file that is not taken: %s",
			    in->speaker.name, in->pid,
			    r == -EPERM ? "it is not sealed" : strerror(-r));
}

/* The journal's clients send either text or one file; what else comes is closed. */
static int file_of(struct datagram *datagram)
{
	bool is_file = datagram->length == 0 && datagram->fd_count == 1;
	int fd = is_file ? datagram->fds[--datagram->fd_count] : -1;

	datagram_close_fds(datagram);
	return fd;
}

/* -1: nothing waits. What waits stays the first, since nobody else reads here. */
static ssize_t waiting_size(const struct intake *in)
{
	return recv(in->source.fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
}

/* Where the next datagram is to go: it may be of any size. */
static char *make_room(struct intake *in, size_t *ret_size)
{
	ssize_t size = waiting_size(in);
	char *data = size > USUAL_SIZE && size <= INTAKE_FILE_MAX ? map(in, (size_t)size) : NULL;

	*ret_size = data ? (size_t)size : USUAL_SIZE;
	return data ? data : in->usual;
}

/* false: there is none. */
static bool receive(struct intake *in)
{
	struct datagram datagram;
	size_t size;
	char *data = make_room(in, &size);
	int r = datagram_receive(in->source.fd, data, size, &datagram);

	if (r < 0) {
		let_go(in);
		return r == -EINTR;
	}
	int fd = file_of(&datagram);
	know_sender(in, origin_of(datagram.pid), datagram.pid);
	take_in_hand(in, data, datagram.length, fd);
	net_close_foreign(fd);
	return true;
}

/* ---- what is held */

/* false: there is none, or no room for it. */
static bool hold(struct intake *in)
{
	ssize_t waiting = waiting_size(in);
	size_t size = (size_t)waiting;
	struct datagram datagram;

	if (waiting < 0 || in->held_size + size > HELD_MAX)
		return false;
	struct held *held = malloc(sizeof(*held) + size);
	if (!held)
		return false;
	if (datagram_receive(in->source.fd, held->text, size, &datagram) < 0) {
		free(held);
		return false;
	}
	held->next = NULL;
	held->origin = origin_ref(origin_of(datagram.pid));
	held->pid = datagram.pid;
	held->length = datagram.length;
	held->fd = file_of(&datagram);
	*in->last = held;
	in->last = &held->next;
	in->held_size += size + (held->fd < 0 ? sizeof(*held) : USUAL_SIZE);
	return true;
}

static bool take_held(struct intake *in)
{
	struct held *held = in->first;

	if (!held)
		return false;
	in->first = held->next;
	if (!in->first) {
		in->last = &in->first;
		in->held_size = 0;
	}
	know_sender(in, held->origin, held->pid);
	in->taken = held;
	take_in_hand(in, held->text, held->length, held->fd);
	return true;
}

/* ---- */

/* false: the output is full, and it stands in line. */
static bool pump(struct intake *in, int count)
{
	while (in->is_busy || take_held(in) || (count-- > 0 && receive(in))) {
		if (!say(in)) {
			in->is_stalled = true;
			output_wait(in->speaker.output, &in->waiter);
			return false;
		}
		if (in->speaker.output != output_stdout())
			output_settle(in->speaker.output);
		let_go(in);
	}
	return true;
}

static void take(struct intake *in, int count)
{
	if (!pump(in, count))
		loop_remove(&in->source);
	output_settle(output_stdout());
}

static void on_readable(struct loop_source *source, uint32_t events)
{
	(void)events;
	take(container_of(source, struct intake, source), BATCH);
}

static bool on_room(struct output_waiter *waiter)
{
	struct intake *in = container_of(waiter, struct intake, waiter);

	in->is_stalled = false;
	if (!pump(in, BATCH))
		return false;
	(void)loop_add(&in->source, EPOLLIN);
	return true;
}

static void take_all(int count)
{
	stream_accept();
	for (size_t i = 0; i < ARRAY_SIZE(intakes); i++) {
		struct intake *in = &intakes[i];

		if (in->source.fd >= 0 && !in->is_stalled)
			take(in, count);
		while (in->source.fd >= 0 && in->is_stalled && hold(in))
			continue;
	}
}

/* Whose the messages are is not known any more afterwards. */
static void before_reaping(void)
{
	take_all(BATCH_BEFORE);
}

void intake_flush(void)
{
	take_all(BATCH_LAST);
}

/* ---- paths */

enum { RUN_SYSTEMD, RUN_JOURNAL, DEV_LOG, JOURNAL_DEV_LOG, JOURNAL_SOCKET, JOURNAL_STDOUT, PATHS };

static struct {
	const char *name;
	bool is_ours;
	char path[108];
} places[PATHS] = {
	[RUN_SYSTEMD] = { .name = "/run/systemd" },
	[RUN_JOURNAL] = { .name = "/run/systemd/journal" },
	[DEV_LOG] = { .name = "/dev/log" },
	[JOURNAL_DEV_LOG] = { .name = "/run/systemd/journal/dev-log" },
	[JOURNAL_SOCKET] = { .name = "/run/systemd/journal/socket" },
	[JOURNAL_STDOUT] = { .name = "/run/systemd/journal/stdout" },
};

/* Whatever the umask, others have to get through. */
static void make_folder(int place)
{
	places[place].is_ours =
		mkdir(places[place].path, 0755) == 0 && chmod(places[place].path, 0755) == 0;
}

static void leave_alone(int place, int error)
{
	log_debug("%s is left alone: %s", places[place].path,
		  error == -EADDRINUSE ? "it is there already" : strerror(-error));
}

static void remember(struct intake *in, const char *path)
{
	struct stat st = { 0 };

	(void)stat(path, &st);
	in->device = st.st_dev;
	in->inode = st.st_ino;
}

static void serve(struct intake *in, int place)
{
	auto_close int fd = datagram_listen(places[place].path);
	int r = fd;

	in->source = (struct loop_source){ fd, on_readable };
	in->waiter.room = on_room;
	in->last = &in->first;
	if (r >= 0)
		r = loop_add(&in->source, EPOLLIN);
	if (r >= 0) {
		(void)keep_fd(&fd);
		places[place].is_ours = true;
		remember(in, places[place].path);
		origin_introduce(NULL, &in->speaker, in->stream);
		return;
	}
	in->source.fd = -1;
	if (fd >= 0)
		(void)unlink(places[place].path);
	leave_alone(place, r);
}

/* As systemd has it. */
static void link_dev_log(void)
{
	const char *path = places[DEV_LOG].path, *target = places[JOURNAL_DEV_LOG].path;
	int r = symlink(target, path) < 0 ? -errno : 0;

	if (r == -EEXIST) {
		r = listen_remove_stale(path, SOCK_DGRAM);
		if (r == 0 && symlink(target, path) < 0)
			r = -errno;
	}
	places[DEV_LOG].is_ours = r == 0;
	if (r < 0)
		leave_alone(DEV_LOG, r);
}

void intake_open(const char *root)
{
	if (places[DEV_LOG].path[0])
		return;
	for (size_t i = 0; i < PATHS; i++)
		(void)snprintf(places[i].path, sizeof(places[i].path), "%s%s", root,
			       places[i].name);
	make_folder(RUN_SYSTEMD);
	make_folder(RUN_JOURNAL);
	serve(&intakes[0], JOURNAL_DEV_LOG);
	if (intakes[0].source.fd >= 0)
		link_dev_log();
	else
		serve(&intakes[0], DEV_LOG);
	serve(&intakes[1], JOURNAL_SOCKET);
	int r = stream_listen(places[JOURNAL_STDOUT].path);
	places[JOURNAL_STDOUT].is_ours = r >= 0;
	if (r < 0)
		leave_alone(JOURNAL_STDOUT, r);
	child_before_reaping(before_reaping);
}

bool intake_serves(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(intakes); i++)
		if (intakes[i].source.fd >= 0 && st.st_dev == intakes[i].device &&
		    st.st_ino == intakes[i].inode)
			return true;
	return false;
}

static void hang_up(struct intake *in)
{
	if (in->source.fd < 0)
		return;
	if (!in->is_stalled)
		loop_remove(&in->source);
	(void)close(in->source.fd);
	in->source.fd = -1;
}

void intake_done(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(intakes); i++)
		hang_up(&intakes[i]);
	stream_done();
	for (size_t i = PATHS; i-- > 0;)
		if (places[i].is_ours)
			(void)remove(places[i].path);
}
