/* SPDX-License-Identifier: MIT */
/* Each program is a table of options, the settings that it starts with, and its
 * usage text; what the options do is command.c's. As the builds with musl do, and
 * unlike those with glibc, options end at the first argument that is none. */
#include "compat.h"

#include "option.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define MADE_BY " (moonrise " MOONRISE_VERSION ")"
#define TINI_VERSION "0.19.0"
#define DUMB_INIT_VERSION "1.2.5"
#define CATATONIT_VERSION "0.2.1"

#define FLAG(member) .flag = offsetof(struct command_options, member)

static const char license[] =
	"MIT License\n"
	"\n"
	"This program is moonrise, called by another name. Permission is hereby granted, free of\n"
	"charge, to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies\n"
	"of it, provided that its copyright notice and the MIT License are included. It comes\n"
	"WITHOUT WARRANTY OF ANY KIND.\n";

static int done(const char *text, FILE *stream)
{
	fputs(text, stream);
	return 1; /* exit status 0 */
}

static int show_license(void *target, const char *value)
{
	(void)target;
	(void)value;
	return done(license, stdout);
}

static int set_verbose(void *target, const char *value)
{
	(void)value;
	((struct command_options *)target)->verbosity++;
	return 0;
}

/* ---- tini, docker-init */

static const char *tini_name = "tini";

static void print_tini_usage(FILE *stream)
{
	fprintf(stream,
		"%s (tini version " TINI_VERSION MADE_BY ")\n"
		"Usage: %s [OPTIONS] PROGRAM -- [ARGS] | --version\n"
		"\n"
		"Execute a program under the supervision of a valid init process (%s)\n"
		"\n"
		"Command line options:\n"
		"\n"
		"  --version: Show version and exit.\n"
		"  -h: Show this help message and exit.\n"
		"  -s: Register as a process subreaper (requires Linux >= 3.4).\n"
		"  -p SIGNAL: Trigger SIGNAL when parent dies, e.g. \"-p SIGKILL\".\n"
		"  -v: Generate more verbose output. Repeat up to 3 times.\n"
		"  -w: Print a warning when processes are getting reaped.\n"
		"  -g: Send signals to the child's process group.\n"
		"  -e EXIT_CODE: Remap EXIT_CODE (from 0 to 255) to 0 (can be repeated).\n"
		"  -l: Show license and exit.\n"
		"\n"
		"Environment variables:\n"
		"\n"
		"  TINI_SUBREAPER: Register as a process subreaper (requires Linux >= 3.4).\n"
		"  TINI_VERBOSITY: Set the verbosity level (default: 1).\n"
		"  TINI_KILL_PROCESS_GROUP: Send signals to the child's process group.\n"
		"\n",
		tini_name, tini_name, tini_name);
}

static int tini_usage(const char *program)
{
	(void)program;
	print_tini_usage(stderr);
	return 1 + 1;
}

static int tini_help(void *target, const char *value)
{
	(void)target;
	(void)value;
	print_tini_usage(stdout);
	return 1;
}

static int tini_version(void *target, const char *value)
{
	(void)target;
	(void)value;
	return done("tini version " TINI_VERSION MADE_BY "\n", stdout);
}

static int tini_refuse(const char *option, const char *value)
{
	fprintf(stderr, "[FATAL tini (%d)] Not a valid option for %s: %s\n", getpid(), option,
		value);
	return 1 + 1;
}

static int tini_death_signal(void *target, const char *value)
{
	struct command_options *options = target;

	options->death_signal = signal_number(value);
	return options->death_signal < 0 ? tini_refuse("-p", value) : 0;
}

static int tini_zero_status(void *target, const char *value)
{
	struct command_options *options = target;
	int status = option_number(value, 255);

	if (status < 0)
		return tini_refuse("-e", value);
	options->zero_status[status] = true;
	return 0;
}

static const struct option_row tini_rows[] = {
	{ .name = "version", .set = tini_version },
	{ .letter = 'h', .set = tini_help },
	{ .letter = 's', FLAG(subreaper) },
	{ .letter = 'p', .argument = "SIGNAL", .set = tini_death_signal },
	{ .letter = 'v', .set = set_verbose },
	{ .letter = 'w', FLAG(warn_reaped) },
	{ .letter = 'g', FLAG(group) },
	{ .letter = 'e', .argument = "EXIT_CODE", .set = tini_zero_status },
	{ .letter = 'l', .set = show_license },
};

static void tini_environment(struct command_options *options)
{
	const char *verbosity = getenv("TINI_VERBOSITY");

	if (getenv("TINI_SUBREAPER"))
		options->subreaper = true;
	if (getenv("TINI_KILL_PROCESS_GROUP"))
		options->group = true;
	if (verbosity)
		options->verbosity = atoi(verbosity);
}

/* "PROGRAM -- ARGS" is how tini's own usage has it: that "--" is not for PROGRAM. */
static char **without_dashes(char **argv)
{
	if (argv[1] && strcmp(argv[1], "--") == 0) {
		argv[1] = argv[0];
		argv++;
	}
	return argv;
}

static int parse_tini(int argc, char **argv, struct command_options *options)
{
	const struct option_table table = {
		.program = argv[0],
		.rows = tini_rows,
		.count = ARRAY_SIZE(tini_rows),
		.usage = tini_usage,
	};
	const char *slash = strrchr(argv[0], '/');
	int first;

	tini_name = slash ? slash + 1 : argv[0];
	command_options_init(options, &voice_tini);
	options->tty = TTY_GROUP;
	options->shell_fallback = true;
	options->rewrite[SIGTTIN] = 0;
	options->rewrite[SIGTTOU] = 0;
	first = option_scan(&table, argc, argv, options);
	if (first < 0)
		return -first;
	if (first == argc)
		return tini_usage(argv[0]);
	options->argv = without_dashes(argv + first);
	tini_environment(options);
	return 0;
}

/* ---- dumb-init */

#define DUMB_INIT_SIGNALS 31

static int dumb_init_usage(const char *program)
{
	(void)program; /* its complaint about an option stands alone */
	return 1 + 1;
}

static const char *dumb_init_name;

static int dumb_init_help(void *target, const char *value)
{
	(void)target;
	(void)value;
	fprintf(stderr,
		"dumb-init v" DUMB_INIT_VERSION "\n"
		"Usage: %s [option] command [[arg] ...]\n"
		"\n"
		"dumb-init is a simple process supervisor that forwards signals to children.\n"
		"It is designed to run as PID1 in minimal container environments.\n"
		"\n"
		"Optional arguments:\n"
		"   -c, --single-child   Run in single-child mode.\n"
		"                        In this mode, signals are only proxied to the\n"
		"                        direct child and not any of its descendants.\n"
		"   -r, --rewrite s:r    Rewrite received signal s to new signal r before "
		"proxying.\n"
		"                        To ignore (not proxy) a signal, rewrite it to 0.\n"
		"                        This option can be specified multiple times.\n"
		"   -v, --verbose        Print debugging information to stderr.\n"
		"   -h, --help           Print this help message and exit.\n"
		"   -V, --version        Print the current version and exit.\n"
		"\n"
		"Full help is available online at https://github.com/Yelp/dumb-init\n",
		dumb_init_name);
	return 1;
}

static int dumb_init_version(void *target, const char *value)
{
	(void)target;
	(void)value;
	return done("dumb-init v" DUMB_INIT_VERSION "\n", stderr);
}

static int dumb_init_single_child(void *target, const char *value)
{
	struct command_options *options = target;

	(void)value;
	options->tty = TTY_LEAVE;
	options->group = false;
	return 0;
}

static int dumb_init_rewrite(void *target, const char *value)
{
	struct command_options *options = target;
	int from, to;

	if (sscanf(value, "%d:%d", &from, &to) == 2 && from >= 1 && from <= DUMB_INIT_SIGNALS &&
	    to >= 0 && to <= DUMB_INIT_SIGNALS) {
		options->rewrite[from] = (unsigned char)to;
		return 0;
	}
	fprintf(stderr,
		"Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and %d.\n"
		"This option can be specified multiple times.\n"
		"Use --help for full usage.\n",
		DUMB_INIT_SIGNALS);
	return 1 + 1;
}

static const struct option_row dumb_init_rows[] = {
	{ 'h', "help", .set = dumb_init_help },
	{ 'c', "single-child", .set = dumb_init_single_child },
	{ 'r', "rewrite", .argument = "s:r", .set = dumb_init_rewrite },
	{ 'v', "verbose", .set = set_verbose },
	{ 'V', "version", .set = dumb_init_version },
};

static bool environment_says(const char *name, const char *value)
{
	const char *set = getenv(name);

	return set && strcmp(set, value) == 0;
}

static int parse_dumb_init(int argc, char **argv, struct command_options *options)
{
	const struct option_table table = {
		.program = argv[0],
		.rows = dumb_init_rows,
		.count = ARRAY_SIZE(dumb_init_rows),
		.usage = dumb_init_usage,
	};
	int first;

	dumb_init_name = argv[0];
	command_options_init(options, &voice_dumb_init);
	options->tty = TTY_SESSION;
	options->group = true;
	options->rest = REST_TERM_GROUP;
	options->stop_with_child = true;
	options->shell_fallback = true;
	options->failed_status = 2;
	first = option_scan(&table, argc, argv, options);
	if (first < 0)
		return -first;
	if (first == argc) {
		fprintf(stderr,
			"Usage: %s [option] program [args]\n"
			"Try %s --help for full usage.\n",
			argv[0], argv[0]);
		return 1 + 1;
	}
	if (environment_says("DUMB_INIT_DEBUG", "1"))
		options->verbosity = 1;
	if (environment_says("DUMB_INIT_SETSID", "0"))
		(void)dumb_init_single_child(options, NULL);
	options->argv = argv + first;
	return 0;
}

/* ---- catatonit */

static int catatonit_usage(const char *program)
{
	(void)program;
	fputs("usage: catatonit [-ghLPV] [--] <progname> [<arguments>...]\n", stderr);
	return 1 + 1;
}

static int catatonit_help(void *target, const char *value)
{
	(void)target;
	(void)value;
	(void)catatonit_usage(NULL);
	return done("\n"
		    "options:\n"
		    "  -g              Forward signals to pid1's process group.\n"
		    "  -h              Print this help page.\n"
		    "  -L              Print license information.\n"
		    "  -P              Run in pause mode (no program is run and quit on SIGINT).\n"
		    "  -V, --version   Print version information.\n"
		    "\n"
		    "This is moonrise " MOONRISE_VERSION ", which does catatonit's work.\n",
		    stderr);
}

/* `docker info` and podman look for tini's name, and so catatonit has it. */
static int catatonit_version(void *target, const char *value)
{
	(void)target;
	(void)value;
	return done("tini version " CATATONIT_VERSION "_catatonit" MADE_BY "\n", stdout);
}

static const struct option_row catatonit_rows[] = {
	{ 'g', .set = NULL, FLAG(group) },
	{ 'h', .set = catatonit_help },
	{ 'L', .set = show_license },
	{ 'P', .set = NULL, FLAG(pause) },
	{ 'V', "version", .set = catatonit_version },
};

static int parse_catatonit(int argc, char **argv, struct command_options *options)
{
	const struct option_table table = {
		.program = argv[0],
		.rows = catatonit_rows,
		.count = ARRAY_SIZE(catatonit_rows),
		.usage = catatonit_usage,
	};
	int first;

	command_options_init(options, &voice_catatonit);
	options->tty = TTY_GROUP;
	options->subreaper = true;
	options->shell_fallback = true;
	options->failed_status = 1;
	options->rewrite[SIGTSTP] = 0;
	options->rewrite[SIGTTIN] = 0;
	options->rewrite[SIGTTOU] = 0;
	if (getenv("CATATONIT_DEBUG"))
		options->verbosity = 3;
	first = option_scan(&table, argc, argv, options);
	if (first < 0)
		return -first;
	if (first == argc && !options->pause) {
		fprintf(stderr, "ERROR (catatonit:%d): missing program name\n", getpid());
		return catatonit_usage(NULL);
	}
	options->argv = argv + first;
	return 0;
}

/* ---- */

static const struct {
	const char *name;
	compat_parser *parse;
} programs[] = {
	{ "tini", parse_tini },           { "tini-static", parse_tini },
	{ "docker-init", parse_tini },    { "dumb-init", parse_dumb_init },
	{ "catatonit", parse_catatonit },
};

compat_parser *compat_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (strcmp(name, programs[i].name) == 0)
			return programs[i].parse;
	return NULL;
}
