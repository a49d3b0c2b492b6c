/* SPDX-License-Identifier: MIT */
/* One table of words; each has its options, which all fill in the same structure. */
#include "volume.h"

#include "describe.h"
#include "listing.h"
#include "log.h"
#include "option.h"
#include "split.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

struct options {
	const char *template, *data, *root, *id;
	bool all;
	const char **lists; /* files to read paths from */
	size_t list_count;
	char **paths; /* what is no option; NULL at the end */
};

struct verb {
	const char *name, *arguments, *help;
	int (*run)(const struct options *options, const struct image *image);
	struct option_table table;
};

static const struct verb verbs[];
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

static const struct verb verbs[] = {
	{ "split",
	  "[--list FILE] [OPTIONS] [PATH...]",
	  "Move what is to outlive the container to a template, and leave links to the\n"
	  "volume. A PATH may be a pattern. One that ends in / is made when there is none.",
	  run_split,
	  { "moonrise volume split", split_rows, ARRAY_SIZE(split_rows), usage_error, NULL } },
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

/* The volume in the template, or the other way round, would have no end. */
static bool are_apart(const struct image *image)
{
	const char *template = image->template.text, *data = image->data.text;

	if (template[0] && data[0] && !path_is_within(template, data) &&
	    !path_is_within(data, template))
		return true;
	log_error("--template and --data must be two folders that do not lie in each other");
	return false;
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
	} else {
		status = are_apart(&image) ? verb->run(options, &image) : EX_USAGE;
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
		log_error("volume: usage: moonrise volume split ...");
	return EX_USAGE;
}

int volume_run(int argc, char **argv)
{
	auto_free const char **lists = calloc((size_t)argc, sizeof(*lists));
	auto_free char **paths = calloc((size_t)argc + 1, sizeof(*paths));
	struct options options = {
		.template = "/data-template",
		.data = "/data",
		.root = "/",
		.lists = lists,
		.paths = paths,
	};
	int r;

	if (!lists || !paths)
		return EX_OSERR;
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			chosen = &verbs[i];
	if (!chosen)
		return refuse_verb(argc > 1 ? argv[1] : NULL);
	r = parse(chosen, argc - 1, argv + 1, &options);
	return r ? r - 1 : run(chosen, &options);
}
