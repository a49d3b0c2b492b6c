/* SPDX-License-Identifier: MIT */
#include "listing.h"

#include "log.h"
#include "manifest.h"
#include "tree.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <string.h>

void fault(struct faults *faults, struct origin origin, const char *fmt, ...)
{
	char text[3 * PATH_MAX] = "";
	int length = 0;
	va_list args;

	if (origin.line)
		length = snprintf(text, PATH_MAX, "%.*s:%u: ", PATH_MAX - 16, origin.file,
				  origin.line);
	va_start(args, fmt);
	(void)vsnprintf(text + length, sizeof(text) - (size_t)length, fmt, args);
	va_end(args);
	if (faults->tell)
		faults->tell(text);
	else
		log_error("%s", text);
	faults->count++;
}

struct search {
	struct listing *listing;
	const struct image *image;
	struct origin origin;
	bool folder;
	struct path found;   /* what is decided already */
	const char *pattern; /* for the next name */
	const char *rest;    /* for those after it */
};

static int keep(const struct search *search)
{
	struct listing *listing = search->listing;
	struct wanted *wanted;

	if (listing->count == listing->room) {
		size_t room = 2 * listing->room + 16;
		struct wanted *more = realloc(listing->wanted, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		listing->wanted = more;
		listing->room = room;
	}
	wanted = &listing->wanted[listing->count];
	*wanted = (struct wanted){ strdup(search->found.text), search->origin, search->folder };
	if (!wanted->path)
		return -ENOMEM;
	listing->count++;
	return 0;
}

void listing_done(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		free(listing->wanted[i].path);
	free(listing->wanted);
	*listing = (struct listing){ 0 };
}

/* ---- patterns, name by name */

static bool is_pattern(const char *name)
{
	return strpbrk(name, "*?[") != NULL;
}

/* Without backslashes that take a meaning away. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (*text == '\\' && text[1])
			text++;
		*out++ = *text;
	}
	*out = '\0';
}

static int search_rest(const struct search *search, const char *rest);

/* What a run that was cut short has left, and the notes in the template, have no names. */
static bool is_own(const char *name)
{
	static const char suffix[] = ".moonrise-new";
	size_t length = strlen(name), size = sizeof(suffix) - 1;

	return strcmp(name, MANIFEST_FOLDER) == 0 ||
	       (name[0] == '.' && length > size && strcmp(name + length - size, suffix) == 0);
}

static int match(void *context, const char *name)
{
	const struct search *search = context;
	struct search next = *search;
	int r;

	if (fnmatch(search->pattern, name, FNM_PERIOD) != 0 || is_own(name))
		return 0;
	r = path_push(&next.found, name);
	return r < 0 ? r : search_rest(&next, search->rest);
}

static int search_in(struct search *search, const struct image_place *place, bool moved)
{
	struct path folder;
	struct tree_path path = { "" };
	int r = image_path(search->image, place->path.text, moved, &folder);

	if (r < 0)
		return r;
	auto_close int fd = openat(search->image->root, path_relative(folder.text),
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? 0 : tree_each_sorted(fd, &path, match, search);
}

/* Names in the folder, wherever it was moved to; there may be none. And those that a run
 * which was cut short has moved, but left no link for: so some may be found twice. */
static int search_folder(struct search *search)
{
	struct image_place place;
	struct path inside = search->found;
	int r = path_push(&inside, "x");

	if (r == 0)
		r = image_resolve(search->image, inside.text, &place);
	if (r < 0)
		return 0;
	path_pop(&place.path);
	r = place.moved ? 0 : search_in(search, &place, false);
	return r < 0 ? r : search_in(search, &place, true);
}

static int keep_existing(const struct search *search)
{
	struct image_place place;
	struct stat st;

	if (image_resolve(search->image, search->found.text, &place) < 0 ||
	    (image_stat(search->image, place.path.text, place.moved, &st) < 0 &&
	     image_stat(search->image, place.path.text, true, &st) < 0))
		return 0;
	return keep(search);
}

static int search_rest(const struct search *search, const char *rest)
{
	struct search next = *search;
	char name[NAME_MAX + 1];
	size_t length = strcspn(rest, "/");

	if (*rest == '\0')
		return keep_existing(search);
	if (length > NAME_MAX)
		return 0;
	memcpy(name, rest, length);
	name[length] = '\0';
	next.pattern = name;
	next.rest = rest + length + strspn(rest + length, "/");
	if (is_pattern(name))
		return search_folder(&next);
	unescape(name);
	return path_push(&next.found, name) < 0 ? 0 : search_rest(&next, next.rest);
}

/* ---- paths */

static void refuse(struct faults *faults, struct origin origin, const char *text, int error)
{
	if (error == -ENAMETOOLONG)
		fault(faults, origin, "%.100s...: the name is too long", text);
	else if (text[0] != '/')
		fault(faults, origin, "%s: it must begin with a '/'", text);
	else
		fault(faults, origin, "%s: there must be no '..' in it", text);
}

int listing_add(struct listing *listing, const struct image *image, const char *text,
		struct origin origin, struct faults *faults)
{
	size_t length = strlen(text), count = listing->count;
	struct search search = { .listing = listing, .image = image, .origin = origin };
	struct path path;
	int r = path_normalize(text, &path);

	if (r < 0) {
		refuse(faults, origin, text, r);
		return 0;
	}
	search.folder = text[length - 1] == '/';
	if (!is_pattern(text)) {
		search.found = path;
		unescape(search.found.text);
		return keep(&search);
	}
	r = search_rest(&search, path_relative(path.text));
	if (r == 0 && listing->count == count)
		fault(faults, origin, "%s: nothing fits this pattern", text);
	return r;
}

/* Blanks around it do not count, unless the last one has a backslash in front. */
static char *trim(char *line)
{
	char *start = line + strspn(line, " \t");
	size_t length = strlen(start);

	while (length > 0 && strchr(" \t\r\n", start[length - 1]) &&
	       (length < 2 || start[length - 2] != '\\'))
		length--;
	start[length] = '\0';
	return start;
}

int listing_read(struct listing *listing, const struct image *image, const char *file,
		 struct faults *faults)
{
	auto_fclose FILE *stream = strcmp(file, "-") == 0 ? fdopen(dup(0), "r") : fopen(file, "re");
	auto_free char *line = NULL;
	struct origin origin = { file, 0 };
	size_t size = 0;
	int r = 0;

	if (!stream)
		return -errno;
	errno = 0;
	while (r == 0 && getline(&line, &size, stream) >= 0) {
		const char *text = trim(line);

		origin.line++;
		if (*text && *text != '#')
			r = listing_add(listing, image, text, origin, faults);
	}
	return r == 0 && ferror(stream) ? -(errno ? errno : EIO) : r;
}
