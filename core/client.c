/* SPDX-License-Identifier: MIT */
/* The talking end: finds the init's socket, sends one request, copies what comes
 * back to stdout and stderr until the exit status comes. `repl` does that for
 * each line. Output is written as it arrives; nothing is kept. */
#include "client.h"

#include "control.h"
#include "edit.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sysexits.h>

#define HEALTH_TIMEOUT_S 10
#define INTERRUPTED 130
#define INTERRUPTS_MAX 3
#define INCOMPLETE -1 /* beside the exit statuses: the chunk wants more lines */
#define PLACES_MAX (2 * CONTROL_MAX_PLACES)

static int init_fd = -1; /* connected to the init */
static volatile sig_atomic_t interrupts;

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
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

/* 0, or -1 and a complaint that names the places. */
static int connect_init(void)
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
	complain("no init answers; tried%s", text);
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

/* Words with NUL between them. An error shows when the answer is read. */
static void send_request(char **words, int count)
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

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
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
		int r = write_all(fd, buf, (size_t)n);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Until the request has ended: its exit status, INCOMPLETE, or EX_UNAVAILABLE
 * when the init went away. */
static int follow_request(void)
{
	char kind, status;
	size_t length;
	int r;

	while ((r = receive_header("OEXM", &kind, &length)) == 0) {
		if (kind == 'M')
			return INCOMPLETE;
		if (kind == 'X' && length == 1 && (r = receive_all(&status, 1)) == 0)
			return (unsigned char)status;
		r = kind == 'X' ? -EPROTO : copy_payload(kind == 'O' ? 1 : 2, length);
		if (r < 0)
			break;
	}
	if (r == -EAGAIN)
		complain("the init does not answer within %d s", HEALTH_TIMEOUT_S);
	else
		complain("the connection to the init is lost: %s", strerror(-r));
	return EX_UNAVAILABLE;
}

/* ---- Ctrl-C ends the chunk, not the client; an init that does not react to
 * several does not hold the client either */

static void on_interrupt(int signal)
{
	char header[CONTROL_HEADER];

	(void)signal;
	if (++interrupts >= INTERRUPTS_MAX)
		_exit(INTERRUPTED);
	control_header(header, 'I', 0);
	(void)!send(init_fd, header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Blocked while a request is sent, so that it does not fall into the middle. */
static int run_chunk(char *word, char *chunk)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, &old);
	interrupts = 0;
	send_request((char *[]){ word, chunk }, 2);
	sigdelset(&old, SIGINT);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return follow_request();
}

static void catch_interrupts(void)
{
	struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };

	sigaction(SIGINT, &action, NULL);
}

/* ---- the words */

static int run_request(int argc, char **argv)
{
	if (connect_init() < 0)
		return EX_UNAVAILABLE;
	send_request(argv, argc);
	return follow_request();
}

/* Docker knows 0 and 1 only. */
static int run_health(int argc, char **argv)
{
	struct timeval timeout = { .tv_sec = HEALTH_TIMEOUT_S };

	if (connect_init() < 0)
		return 1;
	(void)setsockopt(init_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	send_request(argv, argc);
	return follow_request() != 0;
}

static int run_eval(int argc, char **argv)
{
	(void)argc;
	if (strlen(argv[1]) > CONTROL_MAX_REQUEST - sizeof("eval")) {
		complain("the expression is longer than 1 MiB");
		return EX_USAGE;
	}
	if (connect_init() < 0)
		return EX_UNAVAILABLE;
	catch_interrupts();
	return run_chunk(argv[0], argv[1]);
}

static char *ask_candidates(const char *left, size_t length, size_t *ret_size)
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

/* `line` added to what there is of the chunk; takes both. NULL: no memory, or
 * too long. */
static char *append_line(char *chunk, char *line)
{
	char *joined;

	if (!chunk)
		return line;
	if (asprintf(&joined, "%s\n%s", chunk, line) < 0)
		joined = NULL;
	free(chunk);
	free(line);
	return joined;
}

static int run_repl(int argc, char **argv)
{
	enum edit_result result;
	bool interactive = isatty(STDIN_FILENO), failed = false;
	char *line;
	auto_free char *chunk = NULL;

	(void)argc;
	if (connect_init() < 0)
		return EX_UNAVAILABLE;
	catch_interrupts();
	while ((result = edit_line(chunk ? ">> " : "> ", ask_candidates, &line)) != EDIT_END) {
		if (result == EDIT_INTERRUPTED) {
			free(chunk);
			chunk = NULL;
			continue;
		}
		edit_remember(line);
		chunk = append_line(chunk, line);
		if (!chunk || strlen(chunk) > CONTROL_MAX_REQUEST - sizeof("repl")) {
			complain("the chunk is too long");
			return EX_USAGE;
		}
		int status = run_chunk(argv[0], chunk);
		if (status == INCOMPLETE)
			continue;
		if (status == EX_UNAVAILABLE)
			return status;
		failed |= status != 0;
		free(chunk);
		chunk = NULL;
	}
	if (chunk && !interactive)
		complain("the input ends in the middle of a chunk");
	return !interactive && (failed || chunk);
}

static const struct word {
	const char *name;
	int (*run)(int argc, char **argv);
	int arguments;
	const char *option, *usage;
} words[] = {
	{ "health", run_health, 0, NULL, "health" },
	{ "status", run_request, 0, "--json", "status [--json]" },
	{ "eval", run_eval, 1, NULL, "eval EXPR" },
	{ "repl", run_repl, 0, NULL, "repl" },
};

static const struct word *find_word(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].name, name) == 0)
			return &words[i];
	return NULL;
}

bool client_knows(const char *word)
{
	return find_word(word) != NULL;
}

/* "--" begins a comment in Lua, so an expression never looks like an option. */
static int check_arguments(const struct word *word, int argc, char **argv)
{
	int arguments = 0;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) != 0) {
			arguments++;
		} else if (!word->option || strcmp(argv[i], word->option) != 0) {
			complain("unknown option '%s' of %s", argv[i], word->name);
			return EX_USAGE;
		}
	}
	if (arguments == word->arguments)
		return 0;
	complain("%s: usage: moonrise %s", word->name, word->usage);
	return EX_USAGE;
}

int client_run(int argc, char **argv)
{
	const struct word *word = find_word(argv[0]);
	int r;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		printf("usage: moonrise %s\n", word->usage);
		return 0;
	}
	r = check_arguments(word, argc, argv);
	return r ? r : word->run(argc, argv);
}
