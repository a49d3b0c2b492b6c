/* SPDX-License-Identifier: MIT */
#include "words.h"

#include "client.h"
#include "control.h"
#include "edit.h"
#include "enter.h"
#include "file.h"
#include "top.h"
#include "util.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

#define INTERRUPTED 130
#define INTERRUPTS_MAX 3
#define MANY INT_MAX

static volatile sig_atomic_t interrupts;

/* ---- Ctrl-C ends the chunk, not the client; an init that does not react to
 * several does not hold the client either */

static void on_interrupt(int signal)
{
	int error = errno;

	(void)signal;
	if (++interrupts >= INTERRUPTS_MAX)
		_exit(INTERRUPTED);
	client_interrupt();
	errno = error;
}

/* Blocked while a request is sent, so that it does not fall into the middle. */
static int run_chunk(char *word, char *chunk)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, &old);
	interrupts = 0;
	client_send((char *[]){ word, chunk }, 2);
	sigdelset(&old, SIGINT);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return client_follow();
}

static void catch_interrupts(void)
{
	struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };

	sigaction(SIGINT, &action, NULL);
}

/* ---- the words */

static int run_request(int argc, char **argv)
{
	if (client_connect() < 0)
		return EX_UNAVAILABLE;
	client_send(argv, argc);
	return client_follow();
}

/* Docker knows 0 and 1 only. */
static int run_health(int argc, char **argv)
{
	if (client_connect() < 0)
		return 1;
	client_be_impatient();
	client_send(argv, argc);
	return client_follow() != 0;
}

/* The answer goes to a file, which is made only when there is one. */
static int run_plot(int argc, char **argv)
{
	struct client_text text = { 0 };

	if (argc == 1)
		return run_request(argc, argv);
	if (client_connect() < 0)
		return EX_UNAVAILABLE;
	client_send(argv, 1);
	int status = client_keep(&text);
	int r = status == 0 ? file_write(argv[1], text.data, text.size, &FILE_KEEP) : 0;
	if (r < 0) {
		client_complain("cannot write %s: %s", argv[1], strerror(-r));
		status = EX_IOERR;
	}
	free(text.data);
	return status;
}

static int run_eval(int argc, char **argv)
{
	(void)argc;
	if (strlen(argv[1]) > CONTROL_MAX_REQUEST - sizeof("eval")) {
		client_complain("the expression is longer than 1 MiB");
		return EX_USAGE;
	}
	if (client_connect() < 0)
		return EX_UNAVAILABLE;
	catch_interrupts();
	return run_chunk(argv[0], argv[1]);
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
	if (client_connect() < 0)
		return EX_UNAVAILABLE;
	catch_interrupts();
	while ((result = edit_line(chunk ? ">> " : "> ", client_complete, &line)) != EDIT_END) {
		if (result == EDIT_INTERRUPTED) {
			free(chunk);
			chunk = NULL;
			continue;
		}
		edit_remember(line);
		chunk = append_line(chunk, line);
		if (!chunk || strlen(chunk) > CONTROL_MAX_REQUEST - sizeof("repl")) {
			client_complain("the chunk is too long");
			return EX_USAGE;
		}
		int status = run_chunk(argv[0], chunk);
		if (status == CLIENT_INCOMPLETE)
			continue;
		if (status == EX_UNAVAILABLE)
			return status;
		failed |= status != 0;
		free(chunk);
		chunk = NULL;
	}
	if (chunk && !interactive)
		client_complain("the input ends in the middle of a chunk");
	return !interactive && (failed || chunk);
}

/* `options`: "--json --timeout=", those with a value end in "=". */
const struct word words_of_init[] = {
	{ "status", "[--json]", "the services of the running init", run_request, 0, 0, "--json" },
	{ "health", "[--ready|--live] [--json]",
	  "exit status 0 when the boot is done and all is well", run_health, 0, 0,
	  "--ready --live --json" },
	{ "logs", "[-f] [-n N] [--json] [NAME...]",
	  "what services have written, and what they write", run_request, 0, MANY,
	  "-f --follow -n= --lines= --json" },
	{ "why", "[--json] NAME...", "what a service waits for, or why it ended", run_request, 1,
	  MANY, "--json" },
	{ "wait", "NAME [STATE] [--timeout D]", "until a service is ready, or in a state",
	  run_request, 1, 2, "--timeout=" },
	{ "start", "NAME...", "start services and wait until they are ready", run_request, 1, MANY,
	  "" },
	{ "stop", "NAME...", "stop services and wait for their end", run_request, 1, MANY, "" },
	{ "restart", "NAME...", "stop and start services", run_request, 1, MANY, "" },
	{ "reload", "NAME...", "make services read their configuration again", run_request, 1, MANY,
	  "" },
	{ "signal", "SIGNAL NAME...", "send a signal to the main process of services", run_request,
	  2, MANY, "" },
	{ "shutdown", "[--status N]", "stop everything in order, then exit", run_request, 0, 0,
	  "--status=" },
	{ "top", "[--json]", "who uses how much, live", top_run, 0, 0, "--json" },
	{ "metrics", "", "what there is to measure, for Prometheus", run_request, 0, 0, "" },
	{ "plot", "[FILE]", "the boot as a picture (SVG)", run_plot, 0, 1, "" },
	{ "env", "[--json|-0]", "the environment that processes get", run_request, 0, 0,
	  "--json -0" },
	{ "enter", "NAME [-- CMD...]", "a command as a service would run it", enter_run, 0, MANY,
	  NULL },
	{ "eval", "EXPR", "a Lua expression, inside the running init", run_eval, 1, 1, NULL },
	{ "repl", "", "the same, line after line", run_repl, 0, 0, NULL },
};

const size_t words_of_init_count = ARRAY_SIZE(words_of_init);

/* ---- arguments */

#define USAGE "usage: moonrise %s%s%s"
#define USAGE_OF(word) (word)->name, *(word)->arguments ? " " : "", (word)->arguments
#define VALUE_MISSING (-1)

/* How many arguments the option at argv[0] takes up, itself included; 0: unknown. */
static int option_size(const char *options, char **argv)
{
	size_t length = strcspn(argv[0], "=");

	for (const char *option = options; option && *option; option += strspn(option, " ")) {
		size_t end = strcspn(option, " =");
		bool has_value = option[end] == '=';

		if (end == length && strncmp(option, argv[0], length) == 0) {
			if (has_value)
				return argv[0][length] == '=' ? 1 : argv[1] ? 2 : VALUE_MISSING;
			return argv[0][length] == '=' ? 0 : 1;
		}
		option += end + has_value;
	}
	return 0;
}

/* An expression may begin with a minus; two of them begin a comment in Lua. */
static bool is_option(const struct word *word, const char *argument)
{
	return argument[0] == '-' && argument[1] && (word->options || argument[1] == '-');
}

static int check_arguments(const struct word *word, int argc, char **argv)
{
	int count = 0;

	for (int i = 1, size; i < argc; i += size) {
		size = is_option(word, argv[i]) ? option_size(word->options, argv + i) : 1;
		if (size <= 0) {
			client_complain("%s '%s' of %s; " USAGE,
					size < 0 ? "a value is missing behind" : "unknown option",
					argv[i], word->name, USAGE_OF(word));
			return EX_USAGE;
		}
		count += !is_option(word, argv[i]);
	}
	if (count >= word->min && count <= word->max)
		return 0;
	client_complain("%s: " USAGE, word->name, USAGE_OF(word));
	return EX_USAGE;
}

int words_run(const struct word *word, int argc, char **argv)
{
	int r;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		printf(USAGE "\n", USAGE_OF(word));
		return 0;
	}
	r = word->run == enter_run ? 0 : check_arguments(word, argc, argv);
	return r ? r : word->run(argc, argv);
}
