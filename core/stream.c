/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include "journal.h"
#include "listen.h"
#include "log.h"
#include "loop.h"
#include "net.h"
#include "origin.h"
#include "relay.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BACKLOG 128
#define BATCH 64 /* connections at once */

struct stream {
	struct loop_source source; /* until the header is whole */
	struct relay *relay;       /* and from then on */
	struct stream *next;
	struct origin *origin;
	pid_t pid;
	size_t used;
	char header[JOURNAL_HEADER_MAX];
	char label[ORIGIN_LABEL_SIZE];
};

static struct loop_source listener = { .fd = -1 };
static struct stream *streams;

/* ---- the end */

static bool is_over(const struct stream *stream)
{
	return stream->relay ? relay_drained(stream->relay) : stream->source.fd < 0;
}

static void free_stream(struct stream *stream)
{
	relay_release(stream->relay);
	origin_unref(stream->origin);
	free(stream);
}

static void hang_up(struct stream *stream)
{
	loop_remove(&stream->source);
	(void)close(stream->source.fd);
	stream->source.fd = -1;
}

/* Nobody is told of a relay's end, so they are looked for now and then. */
static void sweep(void)
{
	for (struct stream **p = &streams; *p;) {
		struct stream *stream = *p;

		if (!is_over(stream)) {
			p = &stream->next;
			continue;
		}
		*p = stream->next;
		free_stream(stream);
	}
}

/* ---- the header */

static void start(struct stream *stream, const struct journal_stream *header)
{
	struct message message = { .tag = header->identifier };
	struct speaker names;
	struct relay *relay;

	origin_introduce(stream->origin, &names, SPEAKER_JOURNAL);
	loop_remove(&stream->source);
	relay = relay_new(keep_fd(&stream->source.fd), names.name, SPEAKER_JOURNAL, names.tail);
	if (relay)
		relay_send_to(relay, names.output);
	speaker_done(&names);
	if (!relay)
		return;
	stream->relay = relay;
	struct speaker *speaker = relay_speaker(relay);
	origin_label(stream->origin, speaker, stream->pid, &message, stream->label);
	speaker->keeps_lines = true;
	speaker->has_prefixes = header->has_prefixes;
	if (header->priority != MESSAGE_NO_PRIORITY)
		speaker->usual_level = level_of_syslog((unsigned)header->priority);
}

/* Takes no byte more than the header has: the rest is for the relay. 1 when it is
 * whole, 0, or -errno. */
static int read_header(struct stream *stream, struct journal_stream *ret_header)
{
	char *at = stream->header + stream->used;
	size_t left = sizeof(stream->header) - stream->used;
	ssize_t n = recv(stream->source.fd, at, left, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	int size = journal_stream_header(stream->header, stream->used + (size_t)n, ret_header);
	if (size < 0)
		return size;
	if (size > 0)
		n = size - (ssize_t)stream->used;
	stream->used += (size_t)n;
	n = recv(stream->source.fd, at, (size_t)n, MSG_DONTWAIT);
	return n < 0 ? -errno : size > 0;
}

static void on_header(struct loop_source *source, uint32_t events)
{
	struct stream *stream = container_of(source, struct stream, source);
	struct journal_stream header;
	int r = read_header(stream, &header);

	(void)events;
	if (r > 0)
		start(stream, &header);
	else if (r < 0)
		hang_up(stream);
}

/* ---- connections */

static bool is_too_much(const struct origin *origin)
{
	int count = 0, of_this = 0;

	for (const struct stream *stream = streams; stream; stream = stream->next) {
		count++;
		of_this += stream->origin == origin;
	}
	return count >= STREAM_MAX || of_this >= STREAM_MAX_EACH;
}

/* 0 or -errno; then the descriptor is still the caller's. */
static int add(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	struct origin *origin = origin_of(peer.pid);
	if (is_too_much(origin))
		return -EUSERS;
	struct stream *stream = calloc(1, sizeof(*stream));
	if (!stream)
		return -ENOMEM;
	stream->source = (struct loop_source){ fd, on_header };
	stream->pid = peer.pid;
	int r = loop_add(&stream->source, EPOLLIN);
	if (r < 0) {
		free(stream);
		return r;
	}
	stream->origin = origin_ref(origin);
	stream->next = streams;
	streams = stream;
	on_header(&stream->source, EPOLLIN); /* it has come already, most often */
	return 0;
}

/* Many are refused as quickly as they come: say it only now and then. */
static void refuse(int error)
{
	static int64_t again;
	int64_t now = loop_time();

	if (now < again)
		return;
	again = now + 10 * NSEC_PER_SEC;
	log_warning("a stream to the journal is refused: %s",
		    error == -EUSERS ? "there are too many" : strerror(-error));
}

/* false: nobody waits. */
static bool accept_one(void)
{
	auto_close int fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	int r = fd < 0 ? -errno : add(fd);

	if (fd < 0 && !listen_lacks_room(-r))
		return false;
	if (fd < 0)
		listen_turn_away(listener.fd);
	if (r < 0)
		refuse(r);
	else
		(void)keep_fd(&fd);
	return true;
}

void stream_accept(void)
{
	if (listener.fd < 0)
		return;
	sweep();
	for (int i = 0; i < BATCH && accept_one(); i++)
		continue;
}

static void on_connection(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	stream_accept();
}

int stream_listen(const char *path)
{
	static const struct listen_rights everybody = { .mode = 0666, .uid = -1, .gid = -1 };
	auto_close int fd = listen_unix(path, SOCK_STREAM | SOCK_NONBLOCK, BACKLOG, &everybody);

	if (fd < 0)
		return fd;
	net_refuse_fds(fd);
	listener = (struct loop_source){ fd, on_connection };
	int r = loop_add(&listener, EPOLLIN);
	if (r < 0) {
		listener.fd = -1;
		(void)unlink(path);
		return r;
	}
	(void)keep_fd(&fd);
	listen_keep_spare();
	return 0;
}

void stream_done(void)
{
	if (listener.fd < 0)
		return;
	loop_remove(&listener);
	(void)close(listener.fd);
	listener.fd = -1;
}
