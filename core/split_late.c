/* SPDX-License-Identifier: MIT */
/* A template without a manifest is in the making: so a split that was cut short is
 * completed by the next boot. */
#include "split_late.h"

#include "describe.h"
#include "file.h"
#include "say.h"
#include "split.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static void print_line(const char *word, const char *text)
{
	printf("%s ", word);
	say_text(text);
	putchar('\n');
}

static void print_fault(const char *text)
{
	print_line("fault", text);
}

/* ---- what was asked for */

static int read_wanted(char **args, const struct image *image, struct listing *listing,
		       struct faults *faults, struct path *ret_where)
{
	bool is_file = strcmp(args[0], "file") == 0;
	struct origin here = { NULL, 0 };
	int r = 0;

	for (char **name = args + 1; r == 0 && *name; name++) {
		r = is_file ? listing_read(listing, image, *name, faults)
			    : listing_add(listing, image, *name, here, faults);
		if (r < 0)
			(void)path_append(ret_where, *name);
	}
	return r;
}

static int plan(char **args, struct split *split, struct faults *faults)
{
	struct listing listing = { 0 };
	int r = 0;

	if (image_is_apart(split->image))
		r = read_wanted(args + 2, split->image, &listing, faults, &split->where);
	else
		fault(faults, (struct origin){ NULL, 0 },
		      "template and volume must not lie in each other");
	if (r == 0)
		r = split_plan(split, &listing, faults);
	listing_done(&listing);
	return r;
}

/* ---- doing it */

static bool has_manifest(const struct image *image)
{
	struct path path = image->template;

	return path_push(&path, MANIFEST_PATH) == 0 &&
	       faccessat(image->root, path_relative(path.text), F_OK, 0) == 0;
}

static int forget_manifest(const struct image *image)
{
	struct path path = image->template;
	int r = path_push(&path, MANIFEST_FOLDER);

	if (r < 0)
		return r;
	auto_close int own = tree_open_folder(image->root, path_relative(path.text));
	if (own >= 0 && unlinkat(own, MANIFEST_NAME, 0) == 0)
		return file_sync_names(own);
	return own == -ENOENT || errno == ENOENT ? 0 : own < 0 ? own : -errno;
}

static int act(struct split *split)
{
	struct description all;
	int r;

	if (split->count == 0 && has_manifest(split->image))
		return 0;
	r = forget_manifest(split->image);
	if (r == 0)
		r = split_run(split);
	if (r < 0)
		return r;
	r = describe_template(split->image, NULL, &all);
	if (r < 0 && path_append(&split->where, split->image->template.text) == 0)
		(void)path_push(&split->where, all.where.text);
	return r;
}

static int run(char **args, struct split *split, bool rehearsal)
{
	struct faults faults = { .tell = print_fault };
	int r = plan(args, split, &faults);

	if (faults.denied)
		puts("denied");
	if (r < 0 || faults.count)
		return r;
	for (size_t i = 0; i < split->count; i++)
		if (split->steps[i].kind == STEP_LINK)
			print_line("moved", split->steps[i].path);
	return rehearsal ? 0 : act(split);
}

int split_late(char **args, bool rehearsal, struct path *ret_where)
{
	struct image image;
	struct split split = { .image = &image, .is_durable = true };
	int r = image_open(&image, "/", args[0], args[1]);

	if (r < 0)
		(void)path_append(&split.where, args[0]);
	else
		r = run(args, &split, rehearsal);
	*ret_where = split.where;
	split_done(&split);
	image_close(&image);
	return r;
}
