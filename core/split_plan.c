/* SPDX-License-Identifier: MIT */
/* What to do for each path depends on what is there, and on what is in the template
 * already: from an image that this one is made of, or from a run that was cut short. */
#include "split.h"

#include "log.h"
#include "manifest.h"
#include "scan.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct plan {
	struct split *split;
	const struct image *image;
	struct faults *faults;
	struct origin origin;
	char program[PATH_MAX]; /* that runs, when it is in the image */
};

static int add(const struct plan *plan, enum step_kind kind, const char *path)
{
	struct split *split = plan->split;

	if (split->count == split->room) {
		size_t room = 2 * split->room + 64;
		struct step *steps = realloc(split->steps, room * sizeof(*steps));

		if (!steps)
			return -ENOMEM;
		split->steps = steps;
		split->room = room;
	}
	split->steps[split->count] = (struct step){ .kind = kind, .path = strdup(path) };
	return split->steps[split->count++].path ? 0 : -ENOMEM;
}

void split_done(struct split *split)
{
	for (size_t i = 0; i < split->count; i++)
		free(split->steps[i].path);
	free(split->steps);
	split->steps = NULL;
	split->count = split->room = 0;
}

/* ---- what must not be moved */

static const char *const of_the_kernel[] = { "/proc", "/sys", "/dev" };

static bool is_refused(const struct plan *plan, const char *path)
{
	const struct image *image = plan->image;
	const char *mount = mounts_within(&image->mounts, path);
	const char *why = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(of_the_kernel); i++)
		if (path_is_within(path, of_the_kernel[i]))
			why = "it belongs to the kernel";
	if (path[0] == '\0')
		why = "that is all there is";
	else if (path_is_within(path, image->template.text) ||
		 path_is_within(image->template.text, path))
		why = "the template is there";
	else if (path_is_within(path, image->data.text) || path_is_within(image->data.text, path))
		why = "the volume is there";
	else if (plan->program[0] && path_is_within(plan->program, path))
		why = "the program that does this is there, and would be gone until the volume is filled";
	if (why)
		fault(plan->faults, plan->origin, "%s: %s", path[0] ? path : "/", why);
	else if (mount)
		fault(plan->faults, plan->origin, "%s: something is mounted at %s", path, mount);
	return why || mount;
}

static void deny(const struct plan *plan, const char *path, const char *what, const char *where)
{
	fault(plan->faults, plan->origin, "%s: cannot %s %s: %s", path, what,
	      where[0] ? where : "/", strerror(errno));
	plan->faults->denied = true;
}

/* The folder that the path lies in, or the first one above it that is there. */
static void check_folder(const struct plan *plan, const char *path, bool moved)
{
	struct path folder;

	(void)image_path(plan->image, path, moved, &folder);
	do {
		path_pop(&folder);
		if (faccessat(plan->image->root, path_relative(folder.text), W_OK | X_OK,
			      AT_EACCESS) == 0)
			return;
	} while (errno == ENOENT && folder.text[0]);
	deny(plan, path, "change", folder.text);
}

struct taking {
	const struct plan *plan;
	struct path path;
	bool changes; /* something goes out of the folder, or it moves itself */
};

static int check_taking(const struct plan *plan, const char *path, bool moves);

static int check_name(void *context, const char *name)
{
	struct taking *taking = context;
	int r = path_push(&taking->path, name);

	taking->changes = true;
	if (r == 0)
		r = check_taking(taking->plan, taking->path.text, false);
	path_pop(&taking->path);
	return r;
}

static bool is_allowed(const struct plan *plan, const char *path, int rights)
{
	return faccessat(plan->image->root, path_relative(path), rights, AT_EACCESS) == 0;
}

static int check_folder_taking(struct taking *taking)
{
	const char *path = taking->path.text;
	struct tree_path unused = { "" };
	auto_close int fd = tree_open_folder(taking->plan->image->root, path_relative(path));
	int r = fd < 0 ? fd : tree_each(fd, &unused, check_name, taking);

	if (r == 0 && taking->changes && !is_allowed(taking->plan, path, W_OK))
		deny(taking->plan, path, "take", path);
	return r;
}

/* All of it can be read, and taken out of its folders. 0 or -errno. */
static int check_taking(const struct plan *plan, const char *path, bool moves)
{
	struct taking taking = { .plan = plan, .changes = moves };
	struct stat st;
	bool is_folder;

	if (image_stat(plan->image, path, false, &st) < 0)
		return 0;
	is_folder = S_ISDIR(st.st_mode);
	if (!is_folder && !S_ISREG(st.st_mode))
		return 0;
	if (!is_allowed(plan, path, is_folder ? R_OK | X_OK : R_OK)) {
		deny(plan, path, "take", path);
		return 0;
	}
	(void)path_append(&taking.path, path);
	return is_folder ? check_folder_taking(&taking) : 0;
}

/* `inside`: it is in the template, or will be, and only that is changed. */
static int check_rights(const struct plan *plan, const char *path, bool inside)
{
	check_folder(plan, path, true);
	if (inside)
		return 0;
	check_folder(plan, path, false);
	return check_taking(plan, path, true);
}

/* The folders that lead to it in the template are folders. */
static bool can_lie_in_template(const struct plan *plan, const char *path)
{
	struct path at = { "" };
	struct stat st;

	(void)path_append(&at, path);
	for (path_pop(&at); at.text[0]; path_pop(&at)) {
		if (image_stat(plan->image, at.text, true, &st) == 0 && !S_ISDIR(st.st_mode)) {
			fault(plan->faults, plan->origin, "%s: %s%s is no folder", path,
			      plan->image->template.text, at.text);
			return false;
		}
	}
	return true;
}

/* ---- both are there */

static int describe(const struct plan *plan, const char *path, bool moved, const struct stat *st,
		    struct entry *ret_entry)
{
	struct path full;
	int r = image_path(plan->image, path, moved, &full);

	memset(ret_entry, 0, sizeof(*ret_entry));
	if (r == 0)
		r = scan_entry(plan->image->root, path_relative(full.text), st, true, ret_entry);
	ret_entry->mtime = (struct timespec){ 0 };
	return r;
}

/* 1, 0 or -errno. */
static int is_same(const struct plan *plan, const char *path, const struct stat *st,
		   const struct stat *in_template)
{
	struct entry one, other;
	int r;

	if ((st->st_mode & S_IFMT) != (in_template->st_mode & S_IFMT) ||
	    (S_ISREG(st->st_mode) && st->st_size != in_template->st_size))
		return 0;
	r = describe(plan, path, false, st, &one);
	if (r == 0)
		r = describe(plan, path, true, in_template, &other);
	return r < 0 ? r : memcmp(&one, &other, sizeof(one)) == 0;
}

static int plan_both(struct plan *plan, const char *path, const struct stat *st,
		     const struct stat *in_template);

static int plan_name(struct plan *plan, const char *path)
{
	struct stat st, in_template;
	int r = image_stat(plan->image, path, false, &st);

	if (r < 0)
		return r;
	if (S_ISSOCK(st.st_mode) || (S_ISLNK(st.st_mode) && image_is_linked(plan->image, path)))
		return add(plan, STEP_DROP, path);
	r = image_stat(plan->image, path, true, &in_template);
	if (r == -ENOENT)
		return add(plan, STEP_MOVE, path);
	return r < 0 ? r : plan_both(plan, path, &st, &in_template);
}

struct merge {
	struct plan *plan;
	struct path path;
};

static int merge_name(void *context, const char *name)
{
	struct merge *merge = context;
	int r = path_push(&merge->path, name);

	if (r == 0)
		r = plan_name(merge->plan, merge->path.text);
	path_pop(&merge->path);
	return r;
}

static int plan_merge(struct plan *plan, const char *path)
{
	struct merge merge = { .plan = plan };
	struct tree_path unused = { "" };
	int r = path_append(&merge.path, path);

	if (r < 0)
		return r;
	auto_close int fd = openat(plan->image->root, path_relative(path),
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = tree_each_sorted(fd, &unused, merge_name, &merge);
	return r < 0 ? r : add(plan, STEP_FOLD, path);
}

static int plan_both(struct plan *plan, const char *path, const struct stat *st,
		     const struct stat *in_template)
{
	int r;

	if (S_ISDIR(st->st_mode) && S_ISDIR(in_template->st_mode))
		return plan_merge(plan, path);
	r = is_same(plan, path, st, in_template);
	if (r == 1)
		return add(plan, STEP_DROP, path);
	if (r == 0)
		fault(plan->faults, plan->origin, "%s: there is another one in the template: %s%s",
		      path, plan->image->template.text, path);
	return r;
}

/* ---- one path of the list */

static int plan_missing(struct plan *plan, const struct wanted *wanted, const char *path,
			bool linked)
{
	int r;

	if (!wanted->folder) {
		fault(plan->faults, plan->origin,
		      "%s: there is none; with a '/' at its end, an empty folder is made", path);
		return 0;
	}
	r = can_lie_in_template(plan, path) ? add(plan, STEP_MAKE, path) : 0;
	return r == 0 && linked ? add(plan, STEP_LINK, path) : r;
}

/* It lies in what goes to the template as a whole, or is there already. */
static int plan_inside(struct plan *plan, const struct wanted *wanted, const char *path)
{
	struct stat st;

	if (image_stat(plan->image, path, true, &st) == 0 ||
	    image_stat(plan->image, path, false, &st) == 0)
		return 0;
	return plan_missing(plan, wanted, path, false);
}

static int plan_present(struct plan *plan, const struct wanted *wanted, const char *path,
			const struct stat *st)
{
	struct stat in_template;
	int r = image_stat(plan->image, path, true, &in_template);

	if (S_ISSOCK(st->st_mode)) {
		log_warning("%s is a socket and stays where it is", path);
		return 0;
	}
	if (wanted->folder && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode)) {
		fault(plan->faults, plan->origin, "%s: it is no folder", path);
		return 0;
	}
	if (r == -ENOENT)
		r = add(plan, STEP_MOVE, path);
	else if (r == 0)
		r = plan_both(plan, path, st, &in_template);
	return r < 0 ? r : add(plan, STEP_LINK, path);
}

static int plan_place(struct plan *plan, const struct wanted *wanted, const char *path)
{
	struct stat st, in_template;
	int r = image_stat(plan->image, path, false, &st);
	int in = image_stat(plan->image, path, true, &in_template);

	if (!can_lie_in_template(plan, path))
		return 0;
	if (r == 0 && S_ISLNK(st.st_mode) && image_is_linked(plan->image, path))
		return in == -ENOENT && wanted->folder ? add(plan, STEP_MAKE, path) : 0;
	if (r == 0)
		return plan_present(plan, wanted, path, &st);
	if (r != -ENOENT)
		return r;
	return in == 0 ? add(plan, STEP_LINK, path) : plan_missing(plan, wanted, path, true);
}

/* ---- the whole list */

struct item {
	const struct wanted *wanted;
	char *path; /* where it really is */
	bool moved;
};

static int compare(const void *a, const void *b)
{
	const struct item *one = a, *other = b;
	int r = entry_compare(one->path, other->path);

	/* Of two, the one that may be made comes first. */
	return r ? r : (int)other->wanted->folder - (int)one->wanted->folder;
}

/* Places of all that can be looked up, sorted: so a folder comes before what is in it. */
static int resolve_all(struct plan *plan, const struct listing *listing, struct item *items,
		       size_t *count)
{
	struct image_place place;

	for (size_t i = 0; i < listing->count; i++) {
		const struct wanted *wanted = &listing->wanted[i];
		int r = image_resolve(plan->image, wanted->path, &place);

		if (r < 0) {
			fault(plan->faults, wanted->origin, "%s: %s", wanted->path, strerror(-r));
			continue;
		}
		items[*count] = (struct item){ wanted, strdup(place.path.text), place.moved };
		if (!items[*count].path)
			return -ENOMEM;
		++*count;
	}
	qsort(items, *count, sizeof(*items), compare);
	return 0;
}

static int plan_items(struct plan *plan, const struct item *items, size_t count)
{
	const char *last = NULL; /* the last path that is moved as a whole */
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct item *item = &items[i];
		size_t steps = plan->split->count;
		bool inside = item->moved || (last && path_is_within(item->path, last));

		plan->origin = item->wanted->origin;
		if (last && strcmp(item->path, last) == 0)
			continue;
		if (inside) {
			r = plan_inside(plan, item->wanted, item->path);
		} else if (!is_refused(plan, item->path)) {
			last = item->path;
			r = plan_place(plan, item->wanted, item->path);
		}
		if (r == 0 && plan->split->count > steps)
			r = check_rights(plan, item->path, inside);
		if (r < 0)
			(void)path_append(&plan->split->where, item->path);
	}
	return r;
}

/* The program that runs must not go away, if it is in this image. */
static void find_program(struct plan *plan)
{
	struct stat root, own;
	ssize_t n;

	if (stat("/", &root) < 0 || fstat(plan->image->root, &own) < 0 ||
	    root.st_dev != own.st_dev || root.st_ino != own.st_ino)
		return;
	n = readlink("/proc/self/exe", plan->program, sizeof(plan->program) - 1);
	plan->program[n < 0 ? 0 : n] = '\0';
}

int split_plan(struct split *split, const struct listing *listing, struct faults *faults)
{
	struct plan plan = { .split = split, .image = split->image, .faults = faults };
	auto_free struct item *items = calloc(listing->count + 1, sizeof(*items));
	size_t count = 0;
	int r;

	if (!items)
		return -ENOMEM;
	find_program(&plan);
	r = resolve_all(&plan, listing, items, &count);
	if (r == 0)
		r = plan_items(&plan, items, count);
	for (size_t i = 0; i < count; i++)
		free(items[i].path);
	return r;
}
