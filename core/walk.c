/* SPDX-License-Identifier: MIT */
/* The walk keeps two texts: what it has done, which holds real folders only, and
 * the rest. A link's target is put in front of the rest; ".." takes a name off
 * what was done and starts again from the top, because asking the kernel for ".."
 * would trust a folder that may just have been moved elsewhere. */
#include "walk.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINKS 40

struct fence {
	struct fence *next;
	size_t length;
	char path[];
};

struct walk {
	int at;
	char done[PATH_MAX]; /* "" is the root, else "/a/b" */
	char rest[PATH_MAX];
	const struct fence *must; /* a link in this volume was followed: end in it */
	int links;
};

static struct fence *fences;

static bool is_inside(const struct fence *fence, const char *path)
{
	return strncmp(path, fence->path, fence->length) == 0 &&
	       (path[fence->length] == '/' || path[fence->length] == '\0');
}

static const struct fence *find_fence(const char *path)
{
	const struct fence *f = fences;

	while (f && !is_inside(f, path))
		f = f->next;
	return f;
}

/* text + "/" + rest becomes the new rest. */
static int prepend(struct walk *w, const char *text)
{
	char rest[PATH_MAX];
	size_t length = strlen(text), old = strlen(w->rest);

	if (length + 1 + old >= sizeof(rest))
		return -ENAMETOOLONG;
	memcpy(rest, w->rest, old + 1);
	memcpy(w->rest, text, length);
	w->rest[length] = '/';
	memcpy(w->rest + length + 1, rest, old + 1);
	return 0;
}

static int restart(struct walk *w)
{
	int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (top < 0)
		return -errno;
	cleanup_close(&w->at);
	w->at = top;
	w->done[0] = '\0';
	return 0;
}

/* -ENOTDIR when `name` is not a link. */
static int follow(struct walk *w, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(w->at, name, target, sizeof(target));
	int r;

	if (n < 0)
		return errno == EINVAL ? -ENOTDIR : -errno;
	if ((size_t)n >= sizeof(target))
		return -ENAMETOOLONG;
	if (++w->links > MAX_LINKS)
		return -ELOOP;
	target[n] = '\0';
	if (!w->must)
		w->must = find_fence(w->done);
	r = prepend(w, target);
	return r == 0 && target[0] == '/' ? restart(w) : r;
}

static int append(char *path, const char *name)
{
	size_t length = strlen(path), more = strlen(name);

	if (length + 1 + more >= PATH_MAX)
		return -ENAMETOOLONG;
	path[length] = '/';
	memcpy(path + length + 1, name, more + 1);
	return 0;
}

static int enter(struct walk *w, const char *name)
{
	int r, fd = openat(w->at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? follow(w, name) : -errno;
	cleanup_close(&w->at);
	w->at = fd;
	r = append(w->done, name);
	return r;
}

static int go_up(struct walk *w)
{
	char *slash = strrchr(w->done, '/');
	int r;

	if (!slash)
		return 0;
	*slash = '\0';
	r = prepend(w, w->done);
	return r < 0 ? r : restart(w);
}

/* Take the first name off the rest: 1, 0 when there is none, or -errno. */
static int next_name(struct walk *w, char *name, bool *ret_last)
{
	char *start = w->rest + strspn(w->rest, "/");
	size_t length = strcspn(start, "/");
	char *after = start + length + strspn(start + length, "/");

	if (length == 0)
		return 0;
	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, start, length);
	name[length] = '\0';
	*ret_last = *after == '\0';
	memmove(w->rest, after, strlen(after) + 1);
	return 1;
}

/* One name further: 1 when it was the last and stands in `name`. */
static int step(struct walk *w, enum walk_last how, char *name)
{
	bool last, fenced;
	int r = next_name(w, name, &last);

	if (r < 0)
		return r;
	if (r == 0) {
		strcpy(name, ".");
		return 1;
	}
	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0)
		return go_up(w);
	if (!last)
		return enter(w, name);
	if (how == WALK_STAY)
		return 1;
	fenced = find_fence(w->done) != NULL;
	r = follow(w, name);
	if (r == -ENOTDIR || r == -ENOENT)
		return 1;
	return r == 0 && how == WALK_TRUSTED && fenced ? -ELOOP : r;
}

static int start(struct walk *w, const char *path)
{
	if (path[0] == '\0')
		return -ENOENT;
	if (strlen(path) >= sizeof(w->rest))
		return -ENAMETOOLONG;
	strcpy(w->rest, path);
	if (path[0] != '/') {
		char cwd[PATH_MAX];
		int r = getcwd(cwd, sizeof(cwd)) ? prepend(w, cwd) : -errno;

		if (r < 0)
			return r;
	}
	return restart(w);
}

static int walk_all(struct walk *w, const char *path, enum walk_last how, struct place *ret_place)
{
	char name[NAME_MAX + 1];
	int r = start(w, path);

	while (r == 0)
		r = step(w, how, name);
	if (r < 0)
		return r;
	ret_place->fenced = find_fence(w->done) != NULL;
	if (strcmp(name, ".") != 0 && append(w->done, name) < 0)
		return -ENAMETOOLONG;
	if (w->must && !is_inside(w->must, w->done))
		return -ELOOP;
	strcpy(ret_place->name, name);
	ret_place->folder = keep_fd(&w->at);
	return 0;
}

int walk_to(const char *path, enum walk_last how, struct place *ret_place)
{
	struct walk w = { .at = -1 };
	int r = walk_all(&w, path, how, ret_place);

	cleanup_close(&w.at);
	return r;
}

void place_done(struct place *place)
{
	cleanup_close(&place->folder);
	place->folder = -1;
}

int walk_fence(const char *path)
{
	struct walk w = { .at = -1 };
	auto_place struct place place = NO_PLACE;
	size_t length;
	int r = walk_all(&w, path, WALK_FOLLOW, &place);

	cleanup_close(&w.at);
	if (r < 0)
		return r;
	for (const struct fence *f = fences; f; f = f->next)
		if (strcmp(f->path, w.done) == 0)
			return 0;
	length = strlen(w.done);
	struct fence *f = malloc(sizeof(*f) + length + 1);
	if (!f)
		return -ENOMEM;
	memcpy(f->path, w.done, length + 1);
	f->length = length;
	f->next = fences;
	fences = f;
	return 0;
}

const char *walk_fenced(int n)
{
	const struct fence *f = fences;

	while (f && n-- > 0)
		f = f->next;
	return f ? f->path : NULL;
}

void walk_done(void)
{
	while (fences) {
		struct fence *f = fences;

		fences = f->next;
		free(f);
	}
}
