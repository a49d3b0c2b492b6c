/* SPDX-License-Identifier: MIT */
/* What was asked for: the name that we are called by, then an option, a script or
 * a word, decide who takes over. */
#include "command.h"
#include "compat.h"
#include "host.h"
#include "option.h"
#include "util.h"
#include "volume.h"
#include "words.h"
#include "worker.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#define DEFAULT_SCRIPT "/etc/moonrise/boot.lua"
#define VERSION_LINE "moonrise " MOONRISE_VERSION

static int show_help(void *target, const char *value);
static int show_version(void *target, const char *value);

static int usage_error(const char *program)
{
	fprintf(stderr, "Try '%s --help'.\n", program);
	return EX_USAGE + 1;
}

static int bad_value(const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "moonrise: %s: '%s' is not %s\n", option, value, wanted);
	return usage_error("moonrise");
}

/* ---- moonrise [-OPTIONS] -- CMD */

static int set_death_signal(void *target, const char *value)
{
	struct command_options *options = target;

	options->death_signal = signal_number(value);
	if (options->death_signal < 0)
		return bad_value("-p", value, "a signal");
	return 0;
}

static int set_zero_status(void *target, const char *value)
{
	struct command_options *options = target;
	int status = option_number(value, 255);

	if (status < 0)
		return bad_value("-e", value, "an exit status (0 to 255)");
	options->zero_status[status] = true;
	return 0;
}

static int set_rewrite(void *target, const char *value)
{
	struct command_options *options = target;
	char from[16] = "";
	char to[16] = "";
	int a, b;

	(void)sscanf(value, "%15[^:]:%15s", from, to);
	a = signal_number(from);
	b = strcmp(to, "0") == 0 ? 0 : signal_number(to);
	if (a < 0 || b < 0)
		return bad_value("--rewrite", value, "SIGNAL:SIGNAL or SIGNAL:0");
	options->rewrite[a] = (unsigned char)b;
	return 0;
}

static int set_single_child(void *target, const char *value)
{
	(void)value;
	((struct command_options *)target)->group = false;
	return 0;
}

static int set_verbose(void *target, const char *value)
{
	(void)value;
	((struct command_options *)target)->verbosity++;
	return 0;
}

static int set_quiet(void *target, const char *value)
{
	(void)value;
	((struct command_options *)target)->verbosity = 0;
	return 0;
}

#define FLAG(member) .flag = offsetof(struct command_options, member)

static const struct option_row command_rows[] = {
	{ 'g', "group", NULL, "pass signals on to the command's process group", FLAG(group) },
	{ 'c', "single-child", NULL, "pass them on to the command alone (the default)",
	  .set = set_single_child },
	{ 'r', "rewrite", "A:B", "pass signal A on as B; A:0 drops it", .set = set_rewrite },
	{ 's', "subreaper", NULL, "adopt orphans also when not PID 1", FLAG(subreaper) },
	{ 'p', "parent-death", "SIG", "when our parent dies, act as if SIG had come",
	  .set = set_death_signal },
	{ 'e', "expect", "STATUS", "exit with 0 when the command exits with STATUS",
	  .set = set_zero_status },
	{ 'w', "warn", NULL, "say so for each orphan that is reaped", FLAG(warn_reaped) },
	{ 'v', "verbose", NULL, "say what is done (-vv: more)", .set = set_verbose },
	{ 'q', "quiet", NULL, "say nothing but errors", .set = set_quiet },
};

static const struct option_table command_table = {
	"moonrise", command_rows, ARRAY_SIZE(command_rows), usage_error, NULL,
};

/* How lxc, systemd and `podman stop` on a systemd image ask an init to stop: a
 * command that is no init knows only TERM. */
static const int stop_requests[] = {
	SIGPWR, SIGNAL_RTMIN + 3, SIGNAL_RTMIN + 4, SIGNAL_RTMIN + 5, SIGNAL_RTMIN + 6,
};

static int run_command(int argc, char **argv)
{
	struct command_options options;
	int first;

	command_options_init(&options, &voice_moonrise);
	options.tty = getsid(0) == getpid() ? TTY_SESSION : TTY_GROUP;
	options.rest = REST_END_ALL;
	options.job_control = true;
	for (size_t i = 0; i < ARRAY_SIZE(stop_requests); i++)
		options.rewrite[stop_requests[i]] = SIGTERM;

	first = option_scan(&command_table, argc, argv, &options);
	if (first < 0)
		return -first - 1;
	if (first == argc || strcmp(argv[first - 1], "--") != 0) {
		fputs("moonrise: no command: moonrise [-OPTIONS] -- CMD [ARG...]\n", stderr);
		return EX_USAGE;
	}
	options.argv = argv + first;
	return command_run(&options);
}

/* ---- moonrise SCRIPT */

/* `--lua DIR` and `--memory SIZE` may stand before `check` and after it. */
static struct host_options script_options = { .mode = "boot", .format = "text" };

static int set_lua_dir(void *target, const char *value)
{
	struct stat file;

	if (stat(value, &file) < 0 || !S_ISDIR(file.st_mode))
		return bad_value("--lua", value, "a folder");
	((struct host_options *)target)->lua_dir = value;
	return 0;
}

static int set_memory(void *target, const char *value)
{
	static const char units[] = "KMG";
	char *end;
	unsigned long long size = strtoull(value, &end, 10);
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;

	if (!isdigit((unsigned char)*value) || size == 0 || (*end && (!unit || end[1])))
		return bad_value("--memory", value, "a size such as 64M");
	if (unit)
		size <<= 10 * (unit - units + 1);
	((struct host_options *)target)->memory_limit = size;
	return 0;
}

static int set_markdown(void *target, const char *value)
{
	(void)value;
	((struct host_options *)target)->format = "markdown";
	return 0;
}

static int set_json(void *target, const char *value)
{
	(void)value;
	((struct host_options *)target)->format = "json";
	return 0;
}

/* `settings` takes them all, the others the first four. */
static const struct option_row script_rows[] = {
	{ 0, "lua", "DIR", "read the built-in modules from DIR instead", .set = set_lua_dir },
	{ 0, "memory", "SIZE", "what the script may use (default 64M)", .set = set_memory },
	{ 'h', "help", NULL, "this text", .set = show_help },
	{ 'V', "version", NULL, "the version", .set = show_version },
	{ 0, "markdown", NULL, NULL, .set = set_markdown },
	{ 0, "json", NULL, NULL, .set = set_json },
};

static const struct option_table check_table = {
	"moonrise check", script_rows, 4, usage_error, NULL,
};
static const struct option_table boot_table = {
	"moonrise", script_rows, 4, usage_error, &command_table,
};
static const struct option_table settings_table = {
	"moonrise settings", script_rows, 6, usage_error, NULL,
};

static int refuse_script(const char *reason, const char *path)
{
	fprintf(stderr, "moonrise: %s: %s\n", reason, path);
	return EX_NOINPUT;
}

/* argv: SCRIPT [ARG...], or nothing. */
static int run_script(int argc, char **argv)
{
	const char *path = argc > 0 ? argv[0] : DEFAULT_SCRIPT;
	struct stat st;

	if (stat(path, &st) < 0)
		return refuse_script(errno == ENOENT ? "no such script" : strerror(errno), path);
	if (S_ISDIR(st.st_mode))
		return refuse_script("a directory is not a script", path);
	if (access(path, R_OK) < 0)
		return refuse_script("cannot read the script", path);
	script_options.script = path;
	script_options.args = argc > 0 ? argv + 1 : argv;
	return host_run(&script_options);
}

static bool is_script(const char *argument)
{
	size_t length = strlen(argument);

	return strchr(argument, '/') || (length > 4 && strcmp(argument + length - 4, ".lua") == 0);
}

static int rehearse(const char *mode, const struct option_table *table, int argc, char **argv)
{
	int first = option_scan(table, argc, argv, &script_options);

	if (first < 0)
		return -first - 1;
	script_options.mode = mode;
	return run_script(argc - first, argv + first);
}

static int run_check(int argc, char **argv)
{
	return rehearse("check", &check_table, argc, argv);
}

static int run_settings(int argc, char **argv)
{
	return rehearse("settings", &settings_table, argc, argv);
}

/* ---- words */

static int run_help(int argc, char **argv);

static const struct word words[] = {
	{ .name = "check",
	  .arguments = "SCRIPT",
	  .help = "rehearse a boot: runs nothing, changes nothing",
	  .run = run_check },
	{ .name = "settings",
	  .arguments = "[--markdown|--json] SCRIPT",
	  .help = "the settings that the script reads",
	  .run = run_settings },
	{ .name = "volume",
	  .arguments = "split|status|diff ...",
	  .help = "the volume's part of an image, or of a container",
	  .run = volume_run },
	{ .name = "help", .arguments = "", .help = "this text", .run = run_help },
	{ .name = "worker", .run = worker_run }, /* for the init itself */
};

static const struct word *find_word(const struct word *rows, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, rows[i].name) == 0)
			return &rows[i];
	return NULL;
}

static int refuse_word(const char *name)
{
	const char *meant = option_nearest(name, words, ARRAY_SIZE(words), sizeof(words[0]));

	if (!meant)
		meant = option_nearest(name, words_of_init, words_of_init_count,
				       sizeof(words_of_init[0]));
	if (meant)
		fprintf(stderr, "moonrise: unknown command '%s'; did you mean '%s'?\n", name,
			meant);
	else
		fprintf(stderr,
			"moonrise: unknown command '%s': a program is run by 'moonrise -- %s', "
			"and a script has a '/' or ends in .lua\n",
			name, name);
	return EX_USAGE;
}

static int run_word(int argc, char **argv)
{
	const struct word *word = find_word(words, ARRAY_SIZE(words), argv[0]);

	if (word)
		return word->run(argc, argv);
	word = find_word(words_of_init, words_of_init_count, argv[0]);
	return word ? words_run(word, argc, argv) : refuse_word(argv[0]);
}

static void print_words(const struct word *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].help)
			printf("  %-8s %-30s %s\n", rows[i].name, rows[i].arguments, rows[i].help);
}

static int show_version(void *target, const char *value)
{
	(void)target;
	(void)value;
	puts(VERSION_LINE);
	return 1;
}

static int show_help(void *target, const char *value)
{
	(void)target;
	(void)value;
	puts(VERSION_LINE ", init for containers\n"
			  "\n"
			  "  moonrise [-OPTIONS] [SCRIPT [ARG...]]   boot by a Lua script\n"
			  "                                          (default " DEFAULT_SCRIPT ")\n"
			  "  moonrise [-OPTIONS] -- CMD [ARG...]     init for one command\n"
			  "  moonrise WORD ...\n"
			  "\nWords:");
	print_words(words, ARRAY_SIZE(words));
	print_words(words_of_init, words_of_init_count);
	puts("\nOptions with a script:");
	option_print(&boot_table);
	puts("\nOptions with a command:");
	option_print(&command_table);
	puts("\n"
	     "The command gets a session of its own with the terminal, or, when a shell above\n"
	     "does job control, a foreground process group. Every signal is passed on to it;\n"
	     "PWR and RTMIN+3 to +6 as TERM. When it has ended, and orphans come to us, what is\n"
	     "left gets TERM, and KILL after 10 s. Exit status: the command's own, 128+N for\n"
	     "signal N; 127 not found, 126 not executable.\n"
	     "\n"
	     "Called as tini, docker-init, catatonit or dumb-init it is that program.");
	return 1;
}

static int run_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return show_help(NULL, NULL) - 1;
}

/* ---- the story */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int run_as_other(compat_parser *parse, int argc, char **argv)
{
	struct command_options options;
	int r = parse(argc, argv, &options);

	return r ? r - 1 : command_run(&options);
}

/* What is opened next would take the place of one that is missing, and get our messages,
 * and be passed on to services. */
static void open_missing_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", O_RDWR);
}

static int boot(int argc, char **argv)
{
	int first = option_scan(&boot_table, argc, argv, &script_options);

	if (first < 0)
		return -first - 1;
	if (first < argc && !is_script(argv[first]))
		return run_word(argc - first, argv + first);
	return run_script(argc - first, argv + first);
}

int main(int argc, char **argv)
{
	compat_parser *other = argc > 0 ? compat_find(base_name(argv[0])) : NULL;

	if (other)
		return run_as_other(other, argc, argv);
	if (argc > 1 && (strcmp(argv[1], "--") == 0 || option_is_known(&command_table, argv[1])))
		return run_command(argc, argv);
	open_missing_fds();
	return boot(argc, argv);
}
