/* SPDX-License-Identifier: MIT */
/* What is done when a round is on disk: names are given, attributes changed. */
#include "copy.h"
#include "file.h"
#include "lay_inside.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

/* ---- names */

void lay_suffix(const char *name, const char *suffix, char ret_name[static NAME_MAX + 1])
{
	snprintf(ret_name, NAME_MAX + 1, "%.*s%s", (int)(NAME_MAX - strlen(suffix)), name, suffix);
}

static bool exchange(int folder, const char *a, const char *b)
{
	return syscall(SYS_renameat2, folder, a, folder, b, 2 /* RENAME_EXCHANGE */) == 0;
}

static bool is_same(int folder, const char *a, const char *b)
{
	struct stat first, second;

	return fstatat(folder, a, &first, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(folder, b, &second, AT_SYMLINK_NOFOLLOW) == 0 &&
	       first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* A second name for what the user has, so that there is no moment without the first;
 * a folder can have no second one. An older one is kept, too. */
static int save(int folder, const char *name)
{
	char saved[NAME_MAX + 1], suffix[32] = ".user-old";
	int r = -EEXIST;

	for (int number = 2; r == -EEXIST && number < 1000; number++) {
		lay_suffix(name, suffix, saved);
		r = linkat(folder, name, folder, saved, 0) < 0 ? -errno : 0;
		if (r == -EEXIST && is_same(folder, name, saved))
			return 0;
		if (r == -EPERM)
			r = file_publish(folder, name, saved, false);
		snprintf(suffix, sizeof(suffix), ".user-old-%d", number);
	}
	return r == -ENOENT ? 0 : r;
}

/* ---- operations: what is done when the round is on disk */

int lay_op_add(struct lay *lay, struct lay_folder *folder, const char *name,
	       const struct lay_op *op)
{
	if (lay->op_count == lay->op_room) {
		size_t room = lay->op_room ? 2 * lay->op_room : 256;
		struct lay_op *ops = realloc(lay->ops, room * sizeof(*ops));

		if (!ops)
			return -ENOMEM;
		lay->ops = ops;
		lay->op_room = room;
	}
	lay->ops[lay->op_count] = *op;
	lay->ops[lay->op_count].folder = folder;
	lay->ops[lay->op_count].name = strdup(name);
	if (!lay->ops[lay->op_count].name)
		return -ENOMEM;
	lay_hold(lay, folder);
	lay->op_count++;
	return 0;
}

void lay_op_forget(struct lay *lay)
{
	for (size_t i = 0; i < lay->op_count; i++) {
		lay_drop(lay, lay->ops[i].folder);
		free(lay->ops[i].name);
	}
	lay->op_count = 0;
}

/* An empty folder becomes something else; of one that is not, it is laid beside. */
static int put_over_folder(struct lay *lay, struct lay_op *op, const char *temporary)
{
	int at = op->folder->to;
	char beside[NAME_MAX + 1];
	struct tree_path below;

	if (unlinkat(at, op->name, AT_REMOVEDIR) == 0)
		return renameat(at, temporary, at, op->name) < 0 ? -errno : 0;
	if (errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY)
		return -errno;
	lay_suffix(op->name, ".image-new", beside);
	lay_tell(lay, LAY_KEPT_BESIDE, op->folder, op->name);
	if (renameat(at, temporary, at, beside) == 0)
		return 0;
	if (errno != EISDIR)
		return -errno;
	below.text[0] = '\0';
	(void)tree_remove_at(at, beside, &below);
	return renameat(at, temporary, at, beside) < 0 ? -errno : 0;
}

static int put_new(struct lay_op *op, const char *temporary)
{
	struct tree_path below = { "" };
	int r = file_publish(op->folder->to, temporary, op->name, false);

	/* Somebody else was faster. */
	return r == -EEXIST ? tree_remove_at(op->folder->to, temporary, &below) : r;
}

static int put_in_place(struct lay *lay, struct lay_op *op, const char *temporary)
{
	int at = op->folder->to;

	if (renameat(at, temporary, at, op->name) == 0)
		return 0;
	if (errno == EISDIR || errno == EEXIST || errno == ENOTEMPTY)
		return put_over_folder(lay, op, temporary);
	if (errno != EBUSY)
		return -errno;
	lay_tell(lay, LAY_STAYED, op->folder, op->name);
	return unlinkat(at, temporary, 0) < 0 ? -errno : 0;
}

static int put_beside(struct lay_op *op, const char *temporary)
{
	struct tree_path below = { "" };
	int r = tree_remove_at(op->folder->to, op->name, &below);

	if (r < 0)
		return r;
	return renameat(op->folder->to, temporary, op->folder->to, op->name) < 0 ? -errno : 0;
}

static int put_file(struct lay *lay, struct lay_op *op, const char *temporary)
{
	int r;

	switch (op->how) {
	case LAY_NEW:
		return put_new(op, temporary);
	case LAY_BESIDE:
		return renameat(op->folder->to, temporary, op->folder->to, op->name) == 0
			       ? 0
			       : put_beside(op, temporary);
	case LAY_SAVE:
		r = save(op->folder->to, op->name);
		if (r < 0)
			return r;
		/* fall through */
	default:
		return put_in_place(lay, op, temporary);
	}
}

int lay_run_name(struct lay *lay, struct lay_op *op)
{
	char temporary[NAME_MAX + 1];

	file_temporary_name(op->name, temporary);
	return put_file(lay, op, temporary);
}

/* A folder in place of something else: there is a moment without it only where the
 * file system can't exchange names. */
static int put_folder_over(struct lay_op *op, const char *temporary)
{
	int at = op->folder->to;

	if (exchange(at, temporary, op->name))
		return unlinkat(at, temporary, 0) < 0 ? -errno : 0;
	if (errno != ENOENT && unlinkat(at, op->name, 0) < 0 && errno != ENOENT)
		return -errno;
	return renameat(at, temporary, at, op->name) < 0 ? -errno : 0;
}

static int put_folder(struct lay_op *op, const char *temporary)
{
	int r;

	switch (op->how) {
	case LAY_NEW:
		return put_new(op, temporary);
	case LAY_BESIDE:
		return put_beside(op, temporary);
	case LAY_SAVE:
		r = save(op->folder->to, op->name);
		return r < 0 ? r : put_folder_over(op, temporary);
	default:
		return put_folder_over(op, temporary);
	}
}

static int dress_folder(struct lay *lay, struct lay_folder *folder)
{
	struct stat model;
	int r = lay_open(lay, folder);

	if (r < 0)
		return r;
	r = folder->from < 0 ? -ENOENT : fstat(folder->from, &model) < 0 ? -errno : 0;
	if (r == 0)
		r = copy_folder_attributes(folder->from, &model, folder->to);
	lay_close(lay, folder);
	return r;
}

/* The folder has all that belongs in it. */
int lay_run_leave(struct lay *lay, struct lay_op *op)
{
	struct lay_folder *folder = op->folder, *parent = folder->parent;
	struct lay_op in_parent = { .how = folder->how, .folder = parent, .name = folder->final };
	int r = dress_folder(lay, folder);

	if (r < 0 || !folder->final)
		return r;
	r = lay_open(lay, parent);
	if (r < 0)
		return r;
	r = put_folder(&in_parent, folder->name);
	lay_close(lay, parent);
	free(folder->name);
	folder->name = folder->final;
	folder->final = NULL;
	return r;
}

int lay_run_remove(struct lay *lay, struct lay_op *op)
{
	if (unlinkat(op->folder->to, op->name, op->is_folder ? AT_REMOVEDIR : 0) == 0)
		lay_tell(lay, LAY_REMOVED, op->folder, op->name);
	else if (errno == ENOTEMPTY || errno == EEXIST || errno == EBUSY || errno == EISDIR)
		lay_tell(lay, LAY_STAYED, op->folder, op->name);
	else if (errno != ENOENT && errno != ENOTDIR)
		return -errno;
	return 0;
}

int lay_run_attributes(struct lay *lay, struct lay_op *op)
{
	const struct lay_folder *folder = op->folder;

	(void)lay;
	return copy_attributes(folder->from, op->name, &op->model, folder->to, op->name);
}

int lay_op_run(struct lay *lay, struct lay_op *op)
{
	int r = lay_open(lay, op->folder);

	if (r < 0)
		return lay_failed_at(lay, op->folder, op->name, r);
	r = lay_failed_at(lay, op->folder, op->name, op->run(lay, op));
	lay_close(lay, op->folder);
	return r;
}
