/* SPDX-License-Identifier: MIT */
#include "follow_folder.h"

#include "util.h"
#include "walk.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

#define EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)

struct folder {
	int watch;
	unsigned round; /* of the last look that asked for it */
	char *path;
};

static struct folder *folders;
static size_t count;
static unsigned current_round;

int follow_watch(int notifier, int fd, unsigned events)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int watch = inotify_add_watch(notifier, path, events);
	return watch < 0 ? -errno : watch;
}

static struct folder *find(int watch)
{
	for (size_t i = 0; i < count; i++)
		if (folders[i].watch == watch)
			return &folders[i];
	return NULL;
}

static struct folder *add(int watch, const char *path)
{
	struct folder *grown = realloc(folders, (count + 1) * sizeof(*folders));
	if (!grown)
		return NULL;
	folders = grown;
	folders[count] =
		(struct folder){ watch, 0, strndup(path, (size_t)(strrchr(path, '/') - path)) };
	return folders[count].path ? &folders[count++] : NULL;
}

static void drop(struct folder *f)
{
	free(f->path);
	*f = folders[--count];
}

int follow_folder_watch(int notifier, const char *path)
{
	auto_place struct place place = NO_PLACE;
	int r = walk_to(path, WALK_FOLLOW, &place);
	int watch = r < 0 ? r : follow_watch(notifier, place.folder, EVENTS | IN_ONLYDIR);
	if (watch < 0)
		return watch;
	struct folder *f = find(watch);
	if (!f)
		f = add(watch, path);
	if (!f) {
		(void)inotify_rm_watch(notifier, watch);
		return -ENOMEM;
	}
	f->round = current_round;
	return 0;
}

void follow_folder_forget(int watch)
{
	struct folder *f = find(watch);
	if (f)
		drop(f);
}

const char *follow_folder_path(int watch)
{
	struct folder *f = find(watch);
	return f ? f->path : NULL;
}

void follow_folder_begin(void)
{
	current_round++;
}

void follow_folder_end(int notifier)
{
	for (size_t i = 0; i < count;) {
		if (folders[i].round == current_round) {
			i++;
			continue;
		}
		(void)inotify_rm_watch(notifier, folders[i].watch);
		drop(&folders[i]);
	}
}
