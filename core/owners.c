/* SPDX-License-Identifier: MIT */
/* Nothing is followed: what is looked at is what is changed, by its descriptor. */
#include "owners.h"

#include "copy.h"
#include "file.h"
#include "manifest.h"
#include "mounts.h"
#include "path.h"
#include "populate.h"
#include "upgrade.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

/* The walk, and one folder of it. */
struct visit {
	struct owners *owners;
	struct mounts mounts;
	int (*see)(struct visit *visit, const char *name, const struct stat *st);
	void *context;
	int folder;
};

/* ---- the walk */

static bool is_left_out(const struct visit *visit)
{
	const char *below = visit->owners->path.text;
	struct path path = { "" };

	return strcmp(below, MANIFEST_FOLDER) == 0 || path_push(&path, below) < 0 ||
	       mounts_cover(&visit->mounts, path.text);
}

static int visit_name(void *context, const char *name)
{
	struct visit *visit = context, below = *visit;
	struct stat st;
	int r;

	if (is_left_out(visit))
		return 0;
	if (fstatat(visit->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	r = visit->see(visit, name, &st);
	if (r < 0 || !S_ISDIR(st.st_mode))
		return r;
	auto_close int fd = below.folder = tree_open_folder(visit->folder, name);
	if (fd == -EACCES)
		visit->owners->left++;
	if (fd < 0)
		return fd == -EACCES || fd == -ENOENT ? 0 : fd;
	return tree_each_sorted(fd, &visit->owners->path, visit_name, &below);
}

static int visit_all(struct visit *visit)
{
	struct owners *owners = visit->owners;
	struct stat st;
	int r;

	owners->path.text[0] = '\0';
	auto_close int top = visit->folder = file_open_folder(owners->volume);
	if (top < 0)
		return top;
	r = mounts_read(owners->volume, &visit->mounts);
	if (r == 0 && fstat(top, &st) < 0)
		r = -errno;
	if (r == 0)
		r = visit->see(visit, ".", &st);
	if (r == 0)
		r = tree_each_sorted(top, &owners->path, visit_name, visit);
	mounts_done(&visit->mounts);
	return r;
}

/* ---- giving */

/* The move that concerns this number, or NULL. */
static struct owners_move *move_of(struct owners *owners, bool is_group, uint32_t number)
{
	for (size_t i = 0; i < owners->count; i++) {
		struct owners_move *move = &owners->moves[i];

		if (move->is_group == is_group && move->from == number)
			return move;
	}
	return NULL;
}

/* A change of the owner takes set-id bits and capabilities off a program. */
static bool would_lose(int folder, const char *name, const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || !(st->st_mode & 0111))
		return false;
	if (st->st_mode & (S_ISUID | S_ISGID))
		return true;
	auto_close int fd = file_open_at(folder, name);
	return fd >= 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

/* So there is no moment without them, a copy takes its place. */
static int replace(int folder, const char *name, const struct stat *model)
{
	char temporary[NAME_MAX + 1];
	struct tree_path below = { "" };
	int r;

	file_temporary_name(name, temporary);
	r = tree_remove_at(folder, temporary, &below);
	if (r == 0)
		r = copy_entry(folder, name, model, folder, temporary, NULL);
	auto_close int fd = r < 0 ? r : file_open_at(folder, temporary);
	if (r == 0 && (fd < 0 || fsync(fd) < 0))
		r = fd < 0 ? fd : -errno;
	return r < 0 ? r : file_publish(folder, temporary, name, true);
}

static int change(int folder, const char *name, int fd, const struct stat *st)
{
	if (st->st_nlink == 1 && would_lose(folder, name, st))
		return replace(folder, name, st);
	return fchownat(fd, "", st->st_uid, st->st_gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int give(struct visit *visit, const char *name, const struct stat *seen)
{
	struct owners *owners = visit->owners;
	struct owners_move *user = move_of(owners, false, seen->st_uid);
	struct owners_move *group = move_of(owners, true, seen->st_gid);
	struct stat st;
	int r;

	if (!user && !group)
		return 0;
	auto_close int fd = openat(visit->folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_ino != seen->st_ino || st.st_uid != seen->st_uid || st.st_gid != seen->st_gid)
		return 0; /* somebody is at work here */
	st.st_uid = user ? user->to : st.st_uid;
	st.st_gid = group ? group->to : st.st_gid;
	r = change(visit->folder, name, fd, &st);
	if (r == -EPERM || r == -EINVAL) {
		owners->left++;
		return 0;
	}
	if (r == 0 && user)
		user->count++;
	if (r == 0 && group)
		group->count++;
	return r;
}

/* ---- manifests */

static bool map_entry(struct owners *owners, struct entry *entry)
{
	const struct owners_move *user = move_of(owners, false, entry->uid);
	const struct owners_move *group = move_of(owners, true, entry->gid);

	entry->uid = user ? user->to : entry->uid;
	entry->gid = group ? group->to : entry->gid;
	return user || group;
}

static int copy_mapped(struct owners *owners, struct manifest_reader *reader,
		       struct manifest_writer *writer, bool *ret_changed)
{
	int r;

	*ret_changed = false;
	while ((r = manifest_next(reader)) == 1) {
		*ret_changed |= map_entry(owners, &reader->entry);
		r = manifest_add(writer, &reader->entry);
		if (r < 0)
			break;
	}
	if (r == -EBADMSG)
		strcpy(owners->why, reader->why);
	return r;
}

static int map_manifest(struct owners *owners, int notes, const char *name)
{
	auto_free struct manifest_reader *reader = malloc(sizeof(*reader));
	auto_free struct manifest_writer *writer = malloc(sizeof(*writer));
	bool changed;
	int r = reader && writer ? manifest_open(reader, notes, name) : -ENOMEM;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = manifest_create(writer, notes, name, reader->id);
	if (r == 0)
		r = copy_mapped(owners, reader, writer, &changed);
	if (r == 0 && changed)
		r = manifest_finish(writer);
	manifest_done(writer);
	manifest_close(reader);
	return r;
}

static int map_manifests(struct owners *owners)
{
	auto_close int top = file_open_folder(owners->volume);
	auto_close int notes = top < 0 ? top : tree_open_folder(top, MANIFEST_FOLDER);
	int r = notes < 0 ? notes : 0;

	for (int i = UPGRADE_BASE; r == 0 && i < UPGRADE_STREAMS; i++) {
		snprintf(owners->path.text, sizeof(owners->path.text), MANIFEST_FOLDER "/%s",
			 populate_note(i));
		r = map_manifest(owners, notes, populate_note(i));
	}
	return r;
}

int owners_give(struct owners *owners)
{
	struct visit visit = { .owners = owners, .see = give };
	int r = map_manifests(owners);

	if (r == 0)
		r = visit_all(&visit);
	return r == 0 ? file_sync(owners->volume) : r;
}

/* ---- whom there is */

static int note_owner(struct visit *visit, const char *name, const struct stat *st)
{
	unsigned char *used = visit->context;

	(void)name;
	if (st->st_uid <= UINT16_MAX)
		used[st->st_uid] = true;
	if (st->st_gid <= UINT16_MAX)
		used[st->st_gid] = true;
	return 0;
}

int owners_list(struct owners *owners, void (*found)(uint32_t number))
{
	static unsigned char used[UINT16_MAX + 1];
	struct visit visit = { .owners = owners, .see = note_owner, .context = used };
	int r = visit_all(&visit);

	for (uint32_t i = 0; r == 0 && i < ARRAY_SIZE(used); i++)
		if (used[i])
			found(i);
	return r;
}
