/* SPDX-License-Identifier: MIT */
#include "describe.h"

#include "file.h"
#include "scan.h"
#include "util.h"

#include <errno.h>
#include <string.h>

struct describing {
	const struct image *image;
	struct manifest_writer writer;
};

static int add(void *context, const struct entry *entry)
{
	struct describing *describing = context;

	return manifest_add(&describing->writer, entry);
}

static bool is_skipped(void *context, const char *path, const struct stat *st)
{
	const struct describing *describing = context;
	struct path absolute = { "" };

	(void)st;
	return path_push(&absolute, path) < 0 ||
	       describe_is_left_out(describing->image, absolute.text);
}

bool describe_is_left_out(const struct image *image, const char *path)
{
	static const char *const fleeting[] = {
		"/proc", "/sys",      "/dev",        "/run",
		"/tmp",  "/etc/mtab", "/.dockerenv", /* made by container engines */
	};
	struct path own = image->template;

	for (size_t i = 0; i < ARRAY_SIZE(fleeting); i++)
		if (path_is_within(path, fleeting[i]))
			return true;
	return path_is_within(path, image->data.text) || mounts_cover(&image->mounts, path) ||
	       (path_push(&own, MANIFEST_FOLDER) == 0 && path_is_within(path, own.text));
}

/* The folder that both lie in; made if need be. */
static int open_own(const struct image *image)
{
	auto_close int top = tree_open_folder(image->root, path_relative(image->template.text));

	if (top < 0)
		return top;
	if (mkdirat(top, MANIFEST_FOLDER, 0755) < 0 && errno != EEXIST)
		return -errno;
	return tree_open_folder(top, MANIFEST_FOLDER);
}

static int write_down(const char *top, const struct scan *scan, const char *name, const char *id,
		      struct description *ret_description)
{
	struct describing *describing = scan->context;
	struct manifest_writer *writer = &describing->writer;
	auto_close int own = open_own(describing->image);
	auto_close int folder = tree_open_folder(describing->image->root, top);
	int r = own < 0 ? own : folder;

	*ret_description = (struct description){ 0 };
	if (r < 0)
		return r;
	r = manifest_create(writer, own, name, id);
	if (r == 0)
		r = scan_tree(folder, scan, &ret_description->where);
	if (r == 0)
		r = manifest_finish(writer);
	manifest_done(writer);
	strcpy(ret_description->id, writer->id);
	ret_description->count = writer->count;
	return r;
}

int describe_template(const struct image *image, const char *id,
		      struct description *ret_description)
{
	struct describing describing = { .image = image };
	struct scan scan = { .hash = true, .add = add, .context = &describing };

	return write_down(path_relative(image->template.text), &scan, MANIFEST_NAME, id,
			  ret_description);
}

int describe_image(const struct image *image, const char *id, struct description *ret_description)
{
	struct describing describing = { .image = image };
	struct scan scan = {
		.hash = true,
		.sockets = true,
		.skip = is_skipped,
		.add = add,
		.context = &describing,
	};

	return write_down(".", &scan, DESCRIBE_NAME, id, ret_description);
}
