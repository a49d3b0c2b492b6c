/* SPDX-License-Identifier: MIT */
/* The control socket. A client costs a row of the table and nothing more until
 * it has sent a whole header; then one buffer of the size that it announced, at
 * most 1 MiB. No timer watches it: one that is silent is in nobody's way, since
 * the least recently heard client makes room when all places are taken. So the
 * socket never wakes an idle init. */
#include "control.h"

#include "listen.h"
#include "loop.h"
#include "net.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct client {
	struct loop_source source;
	int id;         /* 0: the place is free */
	uint64_t heard; /* when, in frames, its last whole frame came; 0: never */
	uid_t uid;
	pid_t pid;
	bool closing; /* as soon as the queue is sent */
	bool slow;    /* CONTROL_DRAINED is owed */

	/* The frame that is being read. */
	char header[CONTROL_HEADER];
	char *payload;
	char kind;
	size_t length, got; /* of the payload; header included */

	/* What it has not read yet. */
	char *queue;
	size_t start, end, capacity;
};

static struct client clients[CONTROL_MAX_CLIENTS];
static int last_id;
static uint64_t frames;
static struct loop_source listener = { .fd = -1 };
static char socket_path[CONTROL_PATH_SIZE];
static void (*on_frame)(int client, const struct control_frame *frame);

/* ---- frames */

int control_parse(const char header[CONTROL_HEADER], const char *kinds, size_t max, char *ret_kind,
		  size_t *ret_length)
{
	const unsigned char *h = (const unsigned char *)header;
	size_t length = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | h[4];

	if (h[0] == 0 || !strchr(kinds, h[0]))
		return -EPROTO;
	if (length > max)
		return -EMSGSIZE;
	*ret_kind = header[0];
	*ret_length = length;
	return 0;
}

void control_header(char header[CONTROL_HEADER], char kind, uint32_t length)
{
	header[0] = kind;
	header[1] = (char)(length >> 24);
	header[2] = (char)(length >> 16);
	header[3] = (char)(length >> 8);
	header[4] = (char)length;
}

/* ---- places */

int control_places(uid_t uid, char ret_paths[CONTROL_MAX_PLACES][CONTROL_PATH_SIZE])
{
	const struct {
		const char *dir, *format;
	} places[CONTROL_MAX_PLACES] = {
		{ getenv("MOONRISE_RUNDIR"), "%s/control" },
		{ "/run", "%s/moonrise/control" },
		{ getenv("XDG_RUNTIME_DIR"), "%s/moonrise/control" },
		{ "/dev/shm", "%s/moonrise-%u/control" },
	};
	int count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (!places[i].dir || places[i].dir[0] != '/')
			continue;
		int n = snprintf(ret_paths[count], CONTROL_PATH_SIZE, places[i].format,
				 places[i].dir, (unsigned)uid);
		if (n < (int)CONTROL_PATH_SIZE)
			count++;
	}
	return count;
}

/* /dev/shm is everyone's: a directory that another user made first, or a
 * symlink, would give the socket into that user's hands. */
static int make_directory(const char *socket)
{
	char dir[CONTROL_PATH_SIZE];
	struct stat st;

	strcpy(dir, socket);
	*strrchr(dir, '/') = '\0';
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	auto_close int fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return st.st_uid == 0 || st.st_uid == geteuid() ? 0 : -EPERM;
}

/* ---- one client */

static struct client *find_client(int id)
{
	for (size_t i = 0; i < ARRAY_SIZE(clients) && id > 0; i++)
		if (clients[i].id == id)
			return &clients[i];
	return NULL;
}

static void free_client(struct client *client)
{
	loop_remove(&client->source);
	(void)close(client->source.fd);
	free(client->payload);
	free(client->queue);
	*client = (struct client){ .id = 0 };
}

static void tell(int id, char kind)
{
	on_frame(id, &(struct control_frame){ .kind = kind, .payload = "" });
}

/* The owner has to be told, unless it asked for the end itself. */
static void drop_client(struct client *client)
{
	int id = client->closing ? 0 : client->id;

	free_client(client);
	if (id)
		tell(id, CONTROL_CLOSED);
}

static void watch_client(struct client *client)
{
	uint32_t events = client->closing ? 0 : EPOLLIN;

	if (client->end > client->start)
		events |= EPOLLOUT;
	(void)loop_change(&client->source, events);
}

/* ---- sending */

/* Room for `size` more bytes at the end of the queue. */
static int reserve(struct client *client, size_t size)
{
	size_t waiting = client->end - client->start;
	size_t capacity = client->capacity ? client->capacity : 4096;

	if (waiting + size > CONTROL_MAX_QUEUE)
		return -ENOBUFS;
	if (client->start > 0) {
		memmove(client->queue, client->queue + client->start, waiting);
		client->start = 0;
		client->end = waiting;
	}
	while (capacity < waiting + size)
		capacity *= 2;
	if (capacity == client->capacity)
		return 0;
	char *queue = realloc(client->queue, capacity);
	if (!queue)
		return -ENOMEM;
	client->queue = queue;
	client->capacity = capacity;
	return 0;
}

static int enqueue(struct client *client, const struct iovec *parts, int count, size_t sent)
{
	for (int i = 0; i < count; i++) {
		size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;
		size_t rest = parts[i].iov_len - skip;
		int r;

		sent -= skip;
		if (rest == 0)
			continue;
		if ((r = reserve(client, rest)) < 0)
			return r;
		memcpy(client->queue + client->end, (char *)parts[i].iov_base + skip, rest);
		client->end += rest;
	}
	return 0;
}

ssize_t control_send(int id, char kind, const char *payload, size_t length)
{
	struct client *client = find_client(id);
	char header[CONTROL_HEADER];
	struct iovec parts[] = { { header, sizeof(header) }, { (void *)payload, length } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };
	ssize_t sent = 0;
	int r;

	if (!client || client->closing)
		return -ESRCH;
	control_header(header, kind, (uint32_t)length);
	if (client->end == client->start)
		sent = sendmsg(client->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	/* A client that is gone is noticed and told of when its end is read, not
	 * here, where the owner is in the middle of something. */
	if (sent < 0 && errno != EAGAIN)
		return -errno;
	if ((r = enqueue(client, parts, ARRAY_SIZE(parts), sent < 0 ? 0 : (size_t)sent)) < 0) {
		(void)shutdown(client->source.fd, SHUT_RDWR);
		return r;
	}
	watch_client(client);
	size_t waiting = client->end - client->start;
	client->slow |= waiting > CONTROL_HIGH_WATER;
	return (ssize_t)waiting;
}

static void send_queue(struct client *client)
{
	ssize_t n = send(client->source.fd, client->queue + client->start,
			 client->end - client->start, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		drop_client(client);
		return;
	}
	client->start += (size_t)n;
	if (client->start < client->end)
		return;
	client->start = client->end = 0;
	if (client->closing) {
		free_client(client);
		return;
	}
	watch_client(client);
	if (client->slow) {
		client->slow = false;
		tell(client->id, CONTROL_DRAINED);
	}
}

void control_close(int id)
{
	struct client *client = find_client(id);

	if (!client)
		return;
	client->closing = true;
	if (client->end == client->start)
		free_client(client);
	else
		watch_client(client);
}

/* What does not speak our language may be a person with socat: say so. */
static void refuse(struct client *client, const char *text)
{
	int id = client->id;

	(void)control_send(id, 'E', text, strlen(text));
	(void)control_send(id, 'X', "\100", 1); /* 64, EX_USAGE */
	control_close(id);
	tell(id, CONTROL_CLOSED);
}

/* ---- receiving */

/* At most one frame a turn: a client that floods takes its turn like the rest. */
static void finish_frame(struct client *client)
{
	auto_free char *payload = client->payload;
	struct control_frame frame = { client->kind, payload ? payload : "", client->length };

	client->payload = NULL;
	client->got = 0;
	client->heard = ++frames;
	on_frame(client->id, &frame);
}

static void start_payload(struct client *client)
{
	int r = control_parse(client->header, CONTROL_REQUESTS, CONTROL_MAX_REQUEST, &client->kind,
			      &client->length);

	if (r == -EPROTO) {
		refuse(client, "moonrise: that is no request (unknown kind of frame)\n");
	} else if (r == -EMSGSIZE) {
		refuse(client, "moonrise: the request is longer than 1 MiB\n");
	} else if (client->length == 0) {
		finish_frame(client);
	} else if (!(client->payload = malloc(client->length))) {
		refuse(client, "moonrise: no memory for the request\n");
	}
}

/* Header, then payload; never a byte of the next frame. false when there is no
 * more for now, or no client any more. */
static bool receive(struct client *client)
{
	bool in_header = client->got < CONTROL_HEADER;
	size_t done = in_header ? client->got : client->got - CONTROL_HEADER;
	size_t size = in_header ? CONTROL_HEADER : client->length;
	ssize_t n = recv(client->source.fd, (in_header ? client->header : client->payload) + done,
			 size - done, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		drop_client(client);
		return false;
	}
	client->got += (size_t)n;
	if (done + (size_t)n < size)
		return true;
	if (!in_header) {
		finish_frame(client);
		return false;
	}
	start_payload(client);
	return client->payload != NULL;
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct client *client = container_of(source, struct client, source);
	int id = client->id;

	if (events & EPOLLOUT)
		send_queue(client);
	if (client->id != id) /* it is gone, and was perhaps replaced */
		return;
	if (client->closing) {
		if (events & (EPOLLERR | EPOLLHUP))
			free_client(client);
		return;
	}
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		while (receive(client))
			continue;
}

/* ---- accepting */

/* Older is: has said nothing, or not for longer; among equals the first. */
static struct client *free_place(void)
{
	struct client *oldest = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		struct client *client = &clients[i];

		if (!client->id)
			return client;
		if (!oldest || client->heard < oldest->heard ||
		    (client->heard == oldest->heard && client->id < oldest->id))
			oldest = client;
	}
	drop_client(oldest);
	return oldest;
}

static void add_client(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
	    (peer.uid != 0 && peer.uid != geteuid())) {
		(void)close(fd);
		return;
	}
	struct client *client = free_place();
	last_id = last_id == INT_MAX ? 1 : last_id + 1;
	*client = (struct client){
		.source = { fd, client_ready }, .id = last_id, .uid = peer.uid, .pid = peer.pid
	};
	if (loop_add(&client->source, EPOLLIN) < 0) {
		(void)close(fd);
		client->id = 0;
	}
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		add_client(fd);
	else if (listen_lacks_room(errno))
		listen_turn_away(source->fd);
}

int control_listen(const char *path, void (*arrived)(int client, const struct control_frame *frame))
{
	static const struct listen_rights rights = { .mode = 0600, .uid = -1, .gid = -1 };
	int r;

	if (listener.fd >= 0)
		return -EALREADY;
	if (strlen(path) >= CONTROL_PATH_SIZE || !strchr(path, '/'))
		return -EINVAL;
	if ((r = make_directory(path)) < 0)
		return r;
	auto_close int fd = listen_unix(path, SOCK_STREAM | SOCK_NONBLOCK, SOMAXCONN, &rights);
	if (fd < 0)
		return fd;
	net_refuse_fds(fd);
	listener = (struct loop_source){ fd, listener_ready };
	if ((r = loop_add(&listener, EPOLLIN)) < 0) {
		listener.fd = -1;
		(void)unlink(path);
		return r;
	}
	(void)keep_fd(&fd);
	strcpy(socket_path, path);
	on_frame = arrived;
	listen_keep_spare();
	return 0;
}

int control_peer(int id, uid_t *ret_uid, pid_t *ret_pid)
{
	const struct client *client = find_client(id);

	if (!client)
		return -ESRCH;
	*ret_uid = client->uid;
	*ret_pid = client->pid;
	return 0;
}

/* ---- the end */

static bool any_client(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		if (clients[i].id)
			return true;
	return false;
}

void control_done(int64_t deadline)
{
	if (listener.fd < 0)
		return;
	loop_remove(&listener);
	(void)close(listener.fd);
	listener.fd = -1;
	(void)unlink(socket_path);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		control_close(clients[i].id);
	while (any_client() && loop_time() < deadline)
		if (loop_turn(deadline) < 0)
			break;
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		if (clients[i].id)
			free_client(&clients[i]);
}
