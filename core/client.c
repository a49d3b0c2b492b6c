/* SPDX-License-Identifier: MIT */
#include "client.h"

#include "control.h"
#include "file.h"
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sysexits.h>

#define PATIENCE_S 10
#define PLACES_MAX (2 * CONTROL_MAX_PLACES)

static int init_fd = -1; /* connected to the init */

void client_complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("moonrise: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

/* ---- finding the init */

static uid_t init_uid(void)
{
	struct stat st;

	return stat("/proc/1", &st) < 0 ? geteuid() : st.st_uid;
}

/* Ours, and where an init that runs as another user (`--user 1000`, and we came
 * by `docker exec -u root`) has its own. */
static int find_places(char places[PLACES_MAX][CONTROL_PATH_SIZE])
{
	int count = control_places(geteuid(), places);

	if (init_uid() == geteuid())
		return count;
	/* Only the last place has the uid in it. */
	int more = control_places(init_uid(), places + count);
	memmove(places[count], places[count + more - 1], CONTROL_PATH_SIZE);
	return count + 1;
}

static int connect_to(const char *path)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t size = sizeof(peer);

	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	/* /dev/shm is everyone's, also of several containers: whoever listens there must
	 * be the init, and one that has no pid here is another container's. */
	if (peer.uid != 0 && peer.uid != geteuid() && peer.uid != init_uid())
		return -EPERM;
	if (peer.pid == 0)
		return -ESRCH;
	return keep_fd(&fd);
}

int client_connect(void)
{
	char places[PLACES_MAX][CONTROL_PATH_SIZE];
	char text[PLACES_MAX * (CONTROL_PATH_SIZE + 64)] = "";
	size_t length = 0;
	int count = find_places(places);

	for (int i = 0; i < count; i++) {
		init_fd = connect_to(places[i]);
		if (init_fd >= 0)
			return 0;
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s %s (%s)",
					   i > 0 ? "," : "", places[i], strerror(-init_fd));
	}
	client_complain("no init answers; tried%s", text);
	return -1;
}

/* ---- frames */

static int send_all(const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(init_fd, data, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

void client_send(char **words, int count)
{
	char header[CONTROL_HEADER];
	size_t length = 0;

	for (int i = 0; i < count; i++)
		length += strlen(words[i]) + (i > 0);
	control_header(header, 'R', (uint32_t)length);
	(void)send_all(header, sizeof(header));
	for (int i = 0; i < count; i++)
		(void)send_all(words[i], strlen(words[i]) + (i < count - 1));
}

static ssize_t receive(char *buf, size_t size)
{
	ssize_t n;

	do {
		n = recv(init_fd, buf, size, 0);
	} while (n < 0 && errno == EINTR);
	return n == 0 ? -ECONNRESET : n < 0 ? -errno : n;
}

static int receive_all(char *buf, size_t size)
{
	while (size > 0) {
		ssize_t n = receive(buf, size);
		if (n < 0)
			return (int)n;
		buf += n;
		size -= (size_t)n;
	}
	return 0;
}

static int receive_header(const char *kinds, char *ret_kind, size_t *ret_length)
{
	char header[CONTROL_HEADER];
	int r = receive_all(header, sizeof(header));

	return r < 0 ? r : control_parse(header, kinds, SIZE_MAX, ret_kind, ret_length);
}

static int copy_payload(int fd, size_t length)
{
	char buf[16 * 1024];

	while (length > 0) {
		ssize_t n = receive(buf, length < sizeof(buf) ? length : sizeof(buf));
		if (n < 0)
			return (int)n;
		length -= (size_t)n;
		int r = file_write_all(fd, buf, (size_t)n);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where the answer's text for stdout goes: copied, or kept. */
static int take_payload(char kind, size_t length, struct client_text *text)
{
	if (!text || kind != 'O')
		return copy_payload(kind == 'O' ? 1 : 2, length);
	char *data = realloc(text->data, text->size + length + 1);
	if (!data)
		return -ENOMEM;
	text->data = data;
	int r = receive_all(data + text->size, length);
	if (r < 0)
		return r;
	text->size += length;
	data[text->size] = '\0';
	return 0;
}

int client_keep(struct client_text *text)
{
	char kind, status;
	size_t length;
	int r;

	while ((r = receive_header("OEXM", &kind, &length)) == 0) {
		if (kind == 'M')
			return CLIENT_INCOMPLETE;
		if (kind == 'X' && length == 1 && (r = receive_all(&status, 1)) == 0)
			return (unsigned char)status;
		r = kind == 'X' ? -EPROTO : take_payload(kind, length, text);
		if (r < 0)
			break;
	}
	if (r == -EAGAIN)
		client_complain("the init does not answer within %d s", PATIENCE_S);
	else
		client_complain("the connection to the init is lost: %s", strerror(-r));
	return EX_UNAVAILABLE;
}

int client_follow(void)
{
	return client_keep(NULL);
}

void client_be_impatient(void)
{
	struct timeval timeout = { .tv_sec = PATIENCE_S };

	(void)setsockopt(init_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

void client_interrupt(void)
{
	char header[CONTROL_HEADER];

	control_header(header, 'I', 0);
	(void)!send(init_fd, header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT);
}

char *client_complete(const char *left, size_t length, size_t *ret_size)
{
	char header[CONTROL_HEADER], kind;
	char *candidates;

	control_header(header, '?', (uint32_t)length);
	if (send_all(header, sizeof(header)) < 0 || send_all(left, length) < 0 ||
	    receive_header("C", &kind, ret_size) < 0)
		return NULL;
	candidates = malloc(*ret_size + 1);
	if (candidates && receive_all(candidates, *ret_size) == 0)
		return candidates;
	free(candidates);
	return NULL;
}
