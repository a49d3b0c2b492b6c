/* SPDX-License-Identifier: MIT */
/* One child, adopted and waited for; every signal is passed on to it. What makes
 * tini, dumb-init and catatonit different from each other is all in the options. */
#include "command.h"

#include "child.h"
#include "ending.h"
#include "loop.h"
#include "spawn.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define NOT_EXECUTABLE 126
#define NOT_FOUND 127

static const struct command_options *options;

static struct {
	struct child child;
	pid_t pid; /* stays when the child was reaped */
	bool over;
	int status;
} command;

static void say(enum voice_event event, int a, int b)
{
	struct voice_fact fact = { .a = a, .b = b, .subject = options->argv[0] };

	voice_say(options->voice, options->verbosity, event, &fact);
}

/* ---- signals */

/* Stop like a job of the shell above: with the whole group when the terminal was
 * ours. Where nobody could continue us (PID 1, an orphaned group) the kernel does
 * not stop us, and we go on. */
static void suspend(bool whole_group)
{
	if (getpid() == 1)
		return;
	say(VOICE_SUSPENDED, 0, 0);
	(void)kill(whole_group ? 0 : getpid(), SIGTSTP);
	signal_unblock(SIGNAL_BIT(SIGTSTP));
	(void)signal_block(SIGNAL_BIT(SIGTSTP));
}

static bool is_terminal_stop(int number)
{
	return number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

/* In a session of its own the child's group is an orphan, which the kernel does
 * not let the terminal's signals stop; SIGSTOP does. */
static int rewrite(int number)
{
	int rewritten = options->rewrite[number];

	if (rewritten != COMMAND_AS_IS)
		return rewritten;
	return options->tty == TTY_SESSION && is_terminal_stop(number) ? SIGSTOP : number;
}

static void forward(int number)
{
	int sent = rewrite(number);
	int r;

	if (sent != number)
		say(VOICE_REWRITTEN, number, sent);
	if (sent == 0) {
		say(VOICE_DROPPED, number, 0);
		return;
	}
	r = options->group ? child_kill_group(&command.child, sent)
			   : child_kill(&command.child, sent);
	say(r < 0 ? VOICE_GONE : VOICE_FORWARDED, sent, sent);
}

static void arrived(const struct signal_arrival *arrival)
{
	int number = arrival->number;

	say(VOICE_RECEIVED, number, 0);
	if (options->pause) {
		command.over = number == SIGTERM || number == SIGINT;
		return;
	}
	if (number == SIGCONT && options->job_control) /* the shell's fg */
		(void)tty_lend(command.pid);
	forward(number);
	if (options->stop_with_child && is_terminal_stop(number)) {
		say(VOICE_SUSPENDED, 0, 0);
		(void)kill(getpid(), SIGSTOP);
	}
}

/* ---- the child */

static void take_terminal_back(void)
{
	if (options->tty == TTY_SESSION)
		tty_claim();
	else if (options->tty == TTY_GROUP)
		(void)tty_take_back(command.pid);
}

static void ended(struct child *child, const struct child_end *end)
{
	(void)child;
	say(VOICE_CHILD, command.pid, 0);
	say(end->how == CHILD_EXITED ? VOICE_EXITED : VOICE_KILLED, command.pid, end->number);
	take_terminal_back();
	if (end->how != CHILD_EXITED) /* it had no chance to do so itself */
		tty_restore();
	command.status = child_exit_status(end);
	command.over = true;
}

static void stopped(struct child *child, int signal)
{
	(void)signal;
	suspend(tty_take_back(command.pid));
	if (tty_lend(command.pid))
		(void)child_kill_group(child, SIGCONT);
}

static void stranger_ended(pid_t pid, const struct child_end *end)
{
	(void)end;
	say(VOICE_REAPED, pid, 0);
	if (options->warn_reaped)
		say(VOICE_ORPHAN, pid, 0);
}

/* true: the terminal is the child's from now on. */
static bool give_terminal(void)
{
	uint64_t swallowed;

	if (options->tty == TTY_LEAVE || !tty_ours())
		return false;
	tty_save();
	if (options->tty == TTY_GROUP)
		return true;
	swallowed = tty_release();
	for (int number = 1; number <= SIGNAL_MAX; number++)
		if (swallowed & SIGNAL_BIT(number))
			say(VOICE_HANDED_OFF, number, 0);
	return getsid(0) == getpid(); /* else another session goes on having it */
}

/* Shells and execvp(3) take a text file without "#!" for a shell script. */
static pid_t start_as_script(const struct spawn_plan *plan, struct spawn_error *error)
{
	struct spawn_plan script = *plan;
	char **argv = options->argv;
	size_t count = 0;

	while (argv[count])
		count++;

	char *shell[count + 2];

	shell[0] = "/bin/sh";
	shell[1] = (char *)plan->path;
	memcpy(shell + 2, argv + 1, count * sizeof(*shell));
	script.path = shell[0];
	script.argv = shell;
	return spawn_start(&script, error);
}

/* Sockets passed to us by sd_listen_fds(3) are the command's: where its pid has to
 * be written in the environment, or NULL. */
static char *move_listen_pid(void)
{
	static char entry[sizeof("LISTEN_PID=") + SPAWN_PID_SIZE] = "LISTEN_PID=";
	const char *text = getenv("LISTEN_PID");

	if (!text || atoi(text) != getpid())
		return NULL;
	(void)putenv(entry);
	return entry + strlen("LISTEN_PID=");
}

/* The command stays where we were; we go to / before it can look at us. */
static int leave_directory(void)
{
	int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)!chdir("/");
	return fd;
}

/* They are the command's: a pipe that only we still hold would never end. */
static void close_inherited(void)
{
	(void)syscall(SYS_close_range, 3, ~0U, 0);
}

static pid_t spawn(const char *path, struct spawn_error *error)
{
	auto_close int cwd_fd = leave_directory();
	struct spawn_plan plan;
	pid_t pid;

	spawn_plan_init(&plan);
	plan.cwd_fd = cwd_fd;
	plan.own_pids[0] = move_listen_pid();
	plan.path = path;
	plan.argv = options->argv;
	plan.envp = environ;
	plan.mask = signal_inherited_mask();
	plan.reset = 0; /* what is ignored stays so */
	plan.keep_fds = true;
	plan.new_session = options->tty == TTY_SESSION;
	plan.new_group = options->tty == TTY_GROUP;
	plan.foreground = give_terminal();
	pid = spawn_start(&plan, error);
	if (pid == -ENOEXEC && options->shell_fallback)
		pid = start_as_script(&plan, error);
	if (pid < 0 && plan.foreground)
		take_terminal_back();
	return pid;
}

static const char *why_not_found(int error)
{
	if (error == ENOENT && !strchr(options->argv[0], '/'))
		return "not found in $PATH";
	if (error == EACCES)
		return "not executable";
	return strerror(error);
}

static void log_failure(const struct voice_fact *fact)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "cannot run '%s': %s", fact->subject, fact->reason);
	ending_termination_log(text);
}

/* The exit status for it. Drop-ins give errno's words and no others. */
static int fail(int error, const char *why)
{
	struct voice_fact fact = {
		.subject = options->argv[0],
		.reason = options->voice->explains ? why : strerror(error),
	};

	voice_say(options->voice, options->verbosity, VOICE_FAILED, &fact);
	log_failure(&fact);
	if (options->failed_status)
		return options->failed_status;
	return error == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

/* 0, or the exit status when there is nothing to wait for. */
static int start(void)
{
	char path[PATH_MAX], text[512];
	struct spawn_error error;
	pid_t pid = spawn_find(options->argv[0], getenv("PATH"), path, sizeof(path));

	if (pid < 0)
		return fail(-pid, why_not_found(-pid));
	pid = spawn(path, &error);
	if (pid < 0)
		return fail(-pid, spawn_error_text(&error, text, sizeof(text)));
	command.pid = pid;
	child_adopt(&command.child, pid, ended);
	if (options->job_control)
		child_watch_stops(&command.child, stopped);
	if (options->tty == TTY_SESSION)
		say(VOICE_SESSION, 0, 0);
	say(VOICE_STARTED, pid, 0);
	return 0;
}

/* ---- the story */

static bool orphans_come_to_us(void)
{
	int subreaper = 0;

	if (getpid() == 1)
		return true;
	(void)prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	return subreaper != 0;
}

static void prepare(void)
{
	signal_take(arrived);
	if (options->pause)
		(void)!chdir("/");
	if (options->death_signal)
		(void)prctl(PR_SET_PDEATHSIG, options->death_signal, 0, 0, 0);
	if (options->subreaper)
		(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (!orphans_come_to_us())
		say(VOICE_NO_REAPER, 0, 0);
	if (options->warn_reaped || options->verbosity > options->voice->verbosity)
		child_watch_strangers(stranger_ended);
}

/* The ending has a deadline and therefore waits on the loop. */
static void end_all(void)
{
	if (orphans_come_to_us() && child_any() && loop_init() == 0 && signal_init(arrived) == 0)
		ending_run(SIGTERM, ENDING_GRACE_NS);
}

static void end_rest(void)
{
	if (options->rest == REST_END_ALL) {
		end_all();
	} else if (options->rest == REST_TERM_GROUP) {
		int sent = rewrite(SIGTERM);

		if (options->group && sent)
			(void)kill(-command.pid, sent);
		say(VOICE_FORWARDED, sent, sent);
	}
}

void command_options_init(struct command_options *o, const struct voice *voice)
{
	*o = (struct command_options){ .voice = voice, .verbosity = voice->verbosity };
	memset(o->rewrite, COMMAND_AS_IS, sizeof(o->rewrite));
}

int command_run(const struct command_options *chosen)
{
	int status;

	options = chosen;
	prepare();
	status = options->pause ? 0 : start();
	if (status == 0) {
		close_inherited();
		while (!command.over)
			signal_wait();
		status = command.status;
		end_rest();
	}
	status = options->zero_status[status] ? 0 : status;
	say(VOICE_GOODBYE, status, 0);
	return status;
}
