/* SPDX-License-Identifier: MIT */
#include "lay_inside.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static void put_path(char *path, size_t size, const struct lay_folder *folder, const char *name)
{
	size_t length;

	path[0] = '\0';
	if (folder->parent)
		put_path(path, size, folder->parent, folder->final ? folder->final : folder->name);
	length = strlen(path);
	snprintf(path + length, size - length, "%s%s", length && name[0] ? "/" : "", name);
}

int lay_failed_at(struct lay *lay, const struct lay_folder *folder, const char *name, int r)
{
	if (r >= 0)
		return r;
	pthread_mutex_lock(&lay->lock);
	if (!lay->failed)
		put_path(lay->where->text, sizeof(lay->where->text), folder, name);
	lay->failed = true;
	pthread_mutex_unlock(&lay->lock);
	return r;
}

void lay_tell(struct lay *lay, enum lay_news news, const struct lay_folder *folder,
	      const char *name)
{
	char path[PATH_MAX];

	put_path(path, sizeof(path), folder, name);
	lay->tell(lay->context, news, path);
}

struct lay_folder *lay_folder(struct lay *lay, struct lay_folder *parent, const char *name)
{
	struct lay_folder *folder = calloc(1, sizeof(*folder));

	if (!folder)
		return NULL;
	*folder = (struct lay_folder){ .parent = parent, .from = -1, .to = -1, .holders = 1 };
	folder->name = strdup(name);
	folder->template_name = strdup(name);
	lay_hold(lay, parent);
	if (folder->name && folder->template_name)
		return folder;
	lay_drop(lay, folder);
	return NULL;
}

void lay_hold(struct lay *lay, struct lay_folder *folder)
{
	pthread_mutex_lock(&lay->lock);
	folder->holders++;
	pthread_mutex_unlock(&lay->lock);
}

void lay_drop_locked(struct lay_folder *folder)
{
	while (folder && --folder->holders == 0) {
		struct lay_folder *parent = folder->parent;

		free(folder->name);
		free(folder->template_name);
		free(folder->final);
		free(folder);
		folder = parent;
	}
}

void lay_drop(struct lay *lay, struct lay_folder *folder)
{
	pthread_mutex_lock(&lay->lock);
	lay_drop_locked(folder);
	pthread_mutex_unlock(&lay->lock);
}

void lay_close_locked(struct lay_folder *folder)
{
	if (--folder->users > 0)
		return;
	cleanup_close(&folder->from);
	cleanup_close(&folder->to);
	folder->from = folder->to = -1;
}

/* Something may be mounted here; then the sync of the volume does not cover it. */
int lay_note_mount(struct lay *lay, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	for (size_t i = 0; i < lay->mount_count; i++)
		if (lay->devices[i] == st.st_dev)
			return 0;
	if (lay->mount_count == ARRAY_SIZE(lay->mounts))
		return -ENOSPC;
	lay->devices[lay->mount_count] = st.st_dev;
	lay->mounts[lay->mount_count] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return lay->mounts[lay->mount_count++] < 0 ? -errno : 0;
}

/* A folder that the template has no more has no counterpart. */
static int open_both(struct lay *lay, struct lay_folder *folder)
{
	const struct lay_folder *parent = folder->parent;
	int from =
		parent->from < 0 ? -ENOENT : tree_open_folder(parent->from, folder->template_name);

	if (from < 0 && from != -ENOENT && from != -ENOTDIR && from != -ELOOP)
		return from;
	folder->from = from < 0 ? -1 : from;
	if (lay->rehearsal && folder->is_new)
		return 0;
	folder->to = tree_open_folder(parent->to, folder->name);
	if (folder->to < 0)
		return folder->to;
	return folder->final ? 0 : lay_note_mount(lay, folder->to);
}

static int open_locked(struct lay *lay, struct lay_folder *folder)
{
	int r;

	if (folder->users++ > 0)
		return 0;
	r = open_locked(lay, folder->parent);
	if (r == 0) {
		r = open_both(lay, folder);
		lay_close_locked(folder->parent);
	}
	if (r < 0)
		lay_close_locked(folder);
	return r;
}

int lay_open(struct lay *lay, struct lay_folder *folder)
{
	int r;

	pthread_mutex_lock(&lay->lock);
	r = open_locked(lay, folder);
	pthread_mutex_unlock(&lay->lock);
	return r;
}

void lay_close(struct lay *lay, struct lay_folder *folder)
{
	pthread_mutex_lock(&lay->lock);
	lay_close_locked(folder);
	pthread_mutex_unlock(&lay->lock);
}
