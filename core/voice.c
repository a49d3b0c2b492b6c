/* SPDX-License-Identifier: MIT */
/* No stdio: a line is put together on the stack and goes out in one write. */
#include "voice.h"

#include "util.h"

#include <poll.h>
#include <string.h>

#define NO_STDOUT 99

const struct voice voice_moonrise = {
	.verbosity = 1,
	.stdout_from = NO_STDOUT,
	.explains = true,
	.texts = {
		[VOICE_FAILED] = { 0, "moonrise: cannot run '@': !" },
		[VOICE_NO_REAPER] = { 1, "moonrise: neither PID 1 nor a subreaper (-s): orphans "
					 "are left to others" },
		[VOICE_ORPHAN] = { 0, "moonrise: reaped orphan #" },
		[VOICE_STARTED] = { 2, "moonrise: started '@' as process #" },
		[VOICE_FORWARDED] = { 2, "moonrise: passed on signal # ($)" },
		[VOICE_DROPPED] = { 2, "moonrise: dropped signal #" },
		[VOICE_GONE] = { 2, "moonrise: signal # came after the command had ended" },
		[VOICE_SUSPENDED] = { 2, "moonrise: the command was stopped, and so are we" },
		[VOICE_EXITED] = { 2, "moonrise: the command exited with status %" },
		[VOICE_KILLED] = { 2, "moonrise: the command was killed by signal % ($)" },
		[VOICE_REAPED] = { 3, "moonrise: reaped orphan #" },
		[VOICE_REWRITTEN] = { 3, "moonrise: signal # becomes %" },
		[VOICE_HANDED_OFF] = { 3, "moonrise: swallowed signal #: our own hang-up" },
	},
};

const struct voice voice_tini = {
	.verbosity = 1,
	.stdout_from = 2,
	.texts = {
		[VOICE_FAILED] = { 0, "[FATAL tini (~)] exec @ failed: !" },
		[VOICE_NO_REAPER] = { 1, "[WARN  tini (~)] Tini is not running as PID 1 and isn't "
					 "registered as a child subreaper.\n"
					 "Zombie processes will not be re-parented to Tini, so "
					 "zombie reaping won't work.\n"
					 "To fix the problem, use the -s option or set the "
					 "environment variable TINI_SUBREAPER to register Tini as "
					 "a child subreaper, or run Tini as PID 1." },
		[VOICE_STARTED] = { 2, "[INFO  tini (~)] Spawned child process '@' with pid '#'" },
		[VOICE_FORWARDED] = { 3, "[DEBUG tini (~)] Passing signal: '$'" },
		[VOICE_GONE] = { 1, "[WARN  tini (~)] Child was dead when forwarding signal" },
		[VOICE_CHILD] = { 3, "[DEBUG tini (~)] Received SIGCHLD\n"
				     "[DEBUG tini (~)] Reaped child with pid: '#'" },
		[VOICE_REAPED] = { 3, "[DEBUG tini (~)] Reaped child with pid: '#'" },
		[VOICE_ORPHAN] = { 1, "[WARN  tini (~)] Reaped zombie process with pid=#" },
		[VOICE_EXITED] = { 2, "[INFO  tini (~)] Main child exited normally (with status "
				      "'%')" },
		[VOICE_KILLED] = { 2, "[INFO  tini (~)] Main child exited with signal (with signal "
				      "'$')" },
		[VOICE_GOODBYE] = { 4, "[TRACE tini (~)] Exiting: child has exited" },
	},
};

#define ME "[dumb-init] "

const struct voice voice_dumb_init = {
	.verbosity = 0,
	.stdout_from = NO_STDOUT,
	.texts = {
		[VOICE_FAILED] = { 0, ME "@: !" },
		[VOICE_HANDED_OFF] = { 1, ME "Ignoring tty hand-off signal #." },
		[VOICE_SESSION] = { 1, ME "setsid complete." },
		[VOICE_STARTED] = { 1, ME "Child spawned with PID #." },
		[VOICE_RECEIVED] = { 1, ME "Received signal #." },
		[VOICE_REWRITTEN] = { 1, ME "Translating signal # to %." },
		[VOICE_FORWARDED] = { 1, ME "Forwarded signal # to children." },
		[VOICE_DROPPED] = { 1, ME "Not forwarding signal # to children (ignored)." },
		[VOICE_SUSPENDED] = { 1, ME "Suspending self due to TTY signal." },
		[VOICE_CHILD] = { 1, ME "Received signal 17." },
		[VOICE_REAPED] = { 1, ME "A child with PID # ended." },
		[VOICE_EXITED] = { 1, ME "A child with PID # exited with exit status %." },
		[VOICE_KILLED] = { 1, ME "A child with PID # was terminated by signal %." },
		[VOICE_GOODBYE] = { 1, ME "Child exited with status #. Goodbye." },
	},
};

#undef ME

const struct voice voice_catatonit = {
	.verbosity = 0,
	.stdout_from = NO_STDOUT,
	.texts = {
		[VOICE_FAILED] = { 0, "ERROR (catatonit:~): failed to exec pid1: !" },
		[VOICE_STARTED] = { 3, "DEBUG (catatonit:~): pid1 (#) spawned: @" },
		[VOICE_GONE] = { 1, "WARN (catatonit:~): forwarding of signal # to pid1 failed: No "
				    "such process" },
		[VOICE_REAPED] = { 3, "DEBUG (catatonit:~): child process # ended" },
	},
};

struct line {
	char text[1024]; /* a longer one is cut off */
	size_t length;
};

static void add_bytes(struct line *line, const char *bytes, size_t n)
{
	size_t room = sizeof(line->text) - 1 - line->length; /* 1: for the newline */

	if (n > room)
		n = room;
	memcpy(line->text + line->length, bytes, n);
	line->length += n;
}

static void add_text(struct line *line, const char *text)
{
	if (text)
		add_bytes(line, text, strlen(text));
}

static void add_number(struct line *line, int number)
{
	char digits[12];
	char *p = digits + sizeof(digits);

	*--p = '\0';
	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	add_text(line, p);
}

static void add(struct line *line, char c, const struct voice_fact *fact)
{
	switch (c) {
	case '#':
		add_number(line, fact->a);
		break;
	case '%':
		add_number(line, fact->b);
		break;
	case '~':
		add_number(line, getpid());
		break;
	case '@':
		add_text(line, fact->subject);
		break;
	case '!':
		add_text(line, fact->reason);
		break;
	case '$':
		add_text(line, strsignal(fact->b));
		break;
	default:
		add_bytes(line, &c, 1);
	}
}

/* A reader that stands still must not stop PID 1: it misses the line. */
static void write_line(int fd, const struct line *line)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (poll(&p, 1, 0) > 0)
		(void)!write(fd, line->text, line->length);
}

void voice_say(const struct voice *voice, int verbosity, enum voice_event event,
	       const struct voice_fact *fact)
{
	const struct voice_text *said = &voice->texts[event];
	struct line line;

	if (!said->text || verbosity < said->verbosity)
		return;
	line.length = 0;
	for (const char *p = said->text; *p; p++)
		add(&line, *p, fact);
	line.text[line.length++] = '\n';
	write_line(said->verbosity >= voice->stdout_from ? STDOUT_FILENO : STDERR_FILENO, &line);
}
