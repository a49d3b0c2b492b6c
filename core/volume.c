/* SPDX-License-Identifier: MIT */
/* One table of words; each has its options, which all fill in the same structure. */
#include "volume.h"

#include "describe.h"
#include "diff.h"
#include "listing.h"
#include "log.h"
#include "option.h"
#include "say.h"
#include "split.h"
#include "standing.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

struct options {
	const char *template, *data, *root, *id;
	bool all, fail, json;
	const char **lists; /* files to read paths from */
	const char **ignore;
	size_t list_count, ignore_count;
	char **paths; /* what is no option; NULL at the end */
};

struct verb {
	const char *name, *arguments, *help;
	int (*run)(const struct options *options, const struct image *image);
	struct option_table table;
};

static const struct verb *chosen;

static int fail(const char *what, const char *path, const char *below, int error)
{
	log_error("cannot %s %s%s%s: %s", what, path, below[0] && path[1] ? "/" : "", below,
		  strerror(-error));
	return EX_IOERR;
}

/* ---- split */

static int read_wanted(const struct options *options, const struct image *image,
		       struct listing *listing, struct faults *faults)
{
	struct origin here = { NULL, 0 };
	int r;

	for (size_t i = 0; i < options->list_count; i++) {
		r = listing_read(listing, image, options->lists[i], faults);
		if (r < 0)
			return fail("read", options->lists[i], "", r);
	}
	for (char **path = options->paths; *path; path++) {
		r = listing_add(listing, image, *path, here, faults);
		if (r < 0)
			return fail("look for", *path, "", r);
	}
	return 0;
}

static int move_wanted(const struct image *image, const struct listing *listing,
		       struct faults *faults)
{
	struct split split = { .image = image };
	int r = split_plan(&split, listing, faults), status = 0;

	if (r < 0) {
		status = fail("look at", split.where.text, "", r);
	} else if (faults->count > 0) {
		log_error("nothing was changed");
		status = EX_DATAERR;
	} else {
		r = split_run(&split);
		if (r < 0)
			status = fail("move", split.where.text, "", r);
	}
	split_done(&split);
	return status;
}

static int describe(const struct options *options, const struct image *image)
{
	const char *template = image->template.text;
	struct description moved, all;
	int r = describe_template(image, options->id, &moved);

	if (r < 0)
		return fail("take the manifest of", template, moved.where.text, r);
	printf("%s: %llu entries, id %s\n", template, (unsigned long long)moved.count, moved.id);
	if (!options->all)
		return 0;
	r = describe_image(image, moved.id, &all);
	if (r < 0)
		return fail("take the manifest of", "/", all.where.text, r);
	printf("/: %llu entries\n", (unsigned long long)all.count);
	return 0;
}

static int run_split(const struct options *options, const struct image *image)
{
	struct listing listing = { 0 };
	struct faults faults = { 0 };
	int status;

	if (!options->list_count && !*options->paths && !options->all) {
		log_error("volume split: no paths: --list FILE, or PATH");
		return EX_USAGE;
	}
	status = read_wanted(options, image, &listing, &faults);
	if (status == 0)
		status = move_wanted(image, &listing, &faults);
	listing_done(&listing);
	return status ? status : describe(options, image);
}

/* ---- diff */

static const char *const kinds[] = {
	[DIFF_CREATED] = "created",
	[DIFF_CHANGED] = "changed",
	[DIFF_DELETED] = "deleted",
};

static const struct {
	unsigned int bit;
	const char *name;
} parts[] = {
	{ DIFF_TYPE, "type" },   { DIFF_CONTENT, "content" },       { DIFF_MODE, "mode" },
	{ DIFF_OWNER, "owner" }, { DIFF_ATTRIBUTES, "attributes" },
};

static int print_line(void *context, enum diff_kind kind, unsigned int what,
		      const struct entry *entry)
{
	unsigned long long *count = context;
	const char *before = ": ";

	++*count;
	printf("%s /", kinds[kind]);
	say_text(entry->path);
	fputs(entry->type == 'd' ? "/" : "", stdout);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (what & parts[i].bit) {
			printf("%s%s", before, parts[i].name);
			before = ", ";
		}
	}
	putchar('\n');
	return 0;
}

static int print_object(void *context, enum diff_kind kind, unsigned int what,
			const struct entry *entry)
{
	unsigned long long *count = context;
	char path[PATH_MAX + 1];
	const char *before = "";

	snprintf(path, sizeof(path), "/%s", entry->path);
	printf("%s\n  {\"change\": \"%s\", \"path\": ", (*count)++ ? "," : "[", kinds[kind]);
	say_json(path);
	printf(", \"type\": \"%c\", \"what\": [", entry->type);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (what & parts[i].bit) {
			printf("%s\"%s\"", before, parts[i].name);
			before = ", ";
		}
	}
	fputs("]}", stdout);
	return 0;
}

static int explain_diff(const struct image *image, const struct diff *diff, int error)
{
	const char *template = image->template.text;

	if (error == -ENODATA)
		log_error("there is no %s/" DESCRIBE_PATH " to compare with: it is made by "
			  "`moonrise volume split --all` at the end of an image build",
			  template);
	else if (error == -EBADMSG)
		log_error("cannot use %s/" DESCRIBE_PATH ": %s", template, diff->why);
	else
		return fail("look at", diff->where.text, "", error);
	return error == -ENODATA ? EX_NOINPUT : EX_IOERR;
}

static int run_diff(const struct options *options, const struct image *image)
{
	unsigned long long count = 0;
	struct diff diff = {
		.image = image,
		.root = options->root,
		.ignore = options->ignore,
		.ignore_count = options->ignore_count,
		.found = options->json ? print_object : print_line,
		.context = &count,
	};
	int r;

	if (*options->paths) {
		log_error("volume diff: '%s' is not expected: it takes no path", *options->paths);
		return EX_USAGE;
	}
	r = diff_run(&diff);
	if (r < 0)
		return explain_diff(image, &diff, r);
	if (options->json)
		puts(count ? "\n]" : "[]");
	if (diff.closed)
		log_warning("folders that could not be looked into: %u", diff.closed);
	return options->fail && count > 0;
}

/* ---- status */

static int print_standing(const struct options *options, const struct standing *standing,
			  int number)
{
	int r;

	if (options->json) {
		fputs(number ? ",\n  " : "[\n  ", stdout);
		r = standing_print_json(standing);
	} else {
		r = standing_print(standing);
	}
	if (r < 0)
		return fail("look at", standing->path, "", r);
	return standing_is_damaged(standing) ? EX_IOERR : 0;
}

static int explain_status(const char *path, int error)
{
	if (error != -ENODATA)
		return fail("look at", path, "", error);
	log_error("%s is neither a template nor a volume of moonrise", path);
	return EX_NOINPUT;
}

/* Without a path: the template and the volume, as far as they are there. */
static int run_status(const struct options *options, const struct image *image)
{
	const char *usual[] = { image->template.text, image->data.text, NULL };
	const char *const *path = *options->paths ? (const char *const *)options->paths : usual;
	struct standing standing;
	int status = 0, number = 0;

	for (; *path; path++) {
		int r = standing_look(&standing, *path);
		int worst = r == 0            ? print_standing(options, &standing, number++)
			    : *options->paths ? explain_status(*path, r)
					      : 0;

		status = worst ? worst : status;
		standing_done(&standing);
	}
	if (number && options->json)
		puts("\n]");
	return number || *options->paths ? status : explain_status(usual[1], -ENODATA);
}

/* ---- options */

static int usage_error(const char *program)
{
	fprintf(stderr, "Try '%s --help'.\n", program);
	return EX_USAGE + 1;
}

static int show_help(void *target, const char *value)
{
	(void)target;
	(void)value;
	printf("usage: moonrise volume %s %s\n\n%s\n\n", chosen->name, chosen->arguments,
	       chosen->help);
	option_print(&chosen->table);
	return 1;
}

#define SET(name)                                              \
	static int set_##name(void *target, const char *value) \
	{                                                      \
		((struct options *)target)->name = value;      \
		return 0;                                      \
	}

SET(template)
SET(data)
SET(root)

static int set_id(void *target, const char *value)
{
	if (!manifest_is_id(value)) {
		log_error("--id: '%s' is no id: up to %d letters, digits and ._:+@/-", value,
			  MANIFEST_ID_MAX);
		return usage_error(chosen->table.program);
	}
	((struct options *)target)->id = value;
	return 0;
}

static int add_list(void *target, const char *value)
{
	struct options *options = target;

	options->lists[options->list_count++] = value;
	return 0;
}

static int add_ignored(void *target, const char *value)
{
	struct options *options = target;

	if (value[0] != '/') {
		log_error("--ignore: '%s' does not begin with a '/'", value);
		return usage_error(chosen->table.program);
	}
	options->ignore[options->ignore_count++] = value;
	return 0;
}

#define FLAG(member) .flag = offsetof(struct options, member)

static const struct option_row split_rows[] = {
	{ 0, "list", "FILE", "paths, one a line; - is the standard input", .set = add_list },
	{ 0, "template", "DIR", "where they go (default /data-template)", .set = set_template },
	{ 0, "data", "DIR", "where the volume will be (default /data)", .set = set_data },
	{ 0, "root", "DIR", "the image (default /)", .set = set_root },
	{ 0, "id", "ID", "of the image (default: made of the template's content)", .set = set_id },
	{ 0, "all", NULL, "list the whole image, too: for `volume diff`", FLAG(all) },
	{ 'h', "help", NULL, "this text", .set = show_help },
};

static const struct option_row diff_rows[] = {
	{ 0, "ignore", "PATTERN", "leave these paths out, and what is below", .set = add_ignored },
	{ 0, "fail", NULL, "exit with 1 if there is anything to list", FLAG(fail) },
	{ 0, "json", NULL, "as JSON", FLAG(json) },
	{ 0, "template", "DIR", "where the image's manifest is (default /data-template)",
	  .set = set_template },
	{ 0, "data", "DIR", "where the volume is (default /data)", .set = set_data },
	{ 0, "root", "DIR", "the container (default /)", .set = set_root },
	{ 'h', "help", NULL, "this text", .set = show_help },
};

static const struct option_row status_rows[] = {
	{ 0, "json", NULL, "as JSON", FLAG(json) },
	{ 'h', "help", NULL, "this text", .set = show_help },
};

static const struct verb verbs[] = {
	{ "split",
	  "[--list FILE] [OPTIONS] [PATH...]",
	  "Move what is to outlive the container to a template, and leave links to the\n"
	  "volume. A PATH may be a pattern. One that ends in / is made when there is none.",
	  run_split,
	  { "moonrise volume split", split_rows, ARRAY_SIZE(split_rows), usage_error, NULL } },
	{ "status",
	  "[--json] [PATH...]",
	  "What is in a template, and how a volume stands (default: /data-template and /data).",
	  run_status,
	  { "moonrise volume status", status_rows, ARRAY_SIZE(status_rows), usage_error, NULL } },
	{ "diff",
	  "[OPTIONS]",
	  "List what was created, changed or deleted in a container, outside of its volumes.",
	  run_diff,
	  { "moonrise volume diff", diff_rows, ARRAY_SIZE(diff_rows), usage_error, NULL } },
};

/* ---- the story */

/* Options may stand anywhere. 0, or the exit status + 1. */
static int parse(const struct verb *verb, int argc, char **argv, struct options *options)
{
	size_t count = 0;

	for (int i = 0; i < argc; i++) {
		int first = option_scan(&verb->table, argc - i, argv + i, options);

		if (first < 0)
			return -first;
		i += first;
		if (i < argc)
			options->paths[count++] = argv[i];
		if (first > 1 && strcmp(argv[i - 1], "--") == 0)
			while (++i < argc)
				options->paths[count++] = argv[i];
		i--;
	}
	return 0;
}

static int run(const struct verb *verb, const struct options *options)
{
	struct image image;
	int status, r = image_open(&image, options->root, options->template, options->data);

	if (r == -EINVAL) {
		log_error("--template and --data take absolute paths without '..'");
		status = EX_USAGE;
	} else if (r < 0) {
		status = fail("open", options->root, "", r);
	} else if (!image_is_apart(&image)) {
		log_error(
			"--template and --data must be two folders that do not lie in each other");
		status = EX_USAGE;
	} else {
		status = verb->run(options, &image);
	}
	image_close(&image);
	return status;
}

static int refuse_verb(const char *name)
{
	const char *meant =
		name ? option_nearest(name, verbs, ARRAY_SIZE(verbs), sizeof(verbs[0])) : NULL;

	if (meant)
		log_error("volume: unknown command '%s'; did you mean '%s'?", name, meant);
	else
		log_error("volume: usage: moonrise volume split|status|diff ...");
	return EX_USAGE;
}

int volume_run(int argc, char **argv)
{
	auto_free const char **lists = calloc((size_t)argc, sizeof(*lists));
	auto_free const char **ignore = calloc((size_t)argc, sizeof(*ignore));
	auto_free char **paths = calloc((size_t)argc + 1, sizeof(*paths));
	struct options options = {
		.template = "/data-template",
		.data = "/data",
		.root = "/",
		.lists = lists,
		.ignore = ignore,
		.paths = paths,
	};
	int r;

	if (!lists || !ignore || !paths)
		return EX_OSERR;
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			chosen = &verbs[i];
	if (!chosen)
		return refuse_verb(argc > 1 ? argv[1] : NULL);
	r = parse(chosen, argc - 1, argv + 1, &options);
	return r ? r - 1 : run(chosen, &options);
}
