/* SPDX-License-Identifier: MIT */
/* The crew makes; only the thread that calls gives names. */
#include "copy.h"
#include "file.h"
#include "lay_inside.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define ROUND_ENTRIES 20000
#define ROUND_BYTES (512ULL << 20)

/* ---- making, in batches: two that make something in one folder stand in each other's
 * way, so each batch is one folder's */

#define BATCH_ENTRIES 32
#define BATCH_BYTES (1 << 20)

struct lay_batch {
	struct lay *lay;
	struct lay_folder *folder; /* open and held */
	size_t count;
	off_t bytes;
	struct item {
		struct stat model;
		enum lay_how how;
		bool keeps_own;
		char name[NAME_MAX + 1];
	} items[BATCH_ENTRIES];
};

/* What it is to be called, and what it is made as. */
struct names {
	char final[NAME_MAX + 1], first[NAME_MAX + 1];
	bool same;
};

static void find_names(const struct lay_folder *folder, const char *name, enum lay_how how,
		       struct names *ret_names)
{
	lay_suffix(name, how == LAY_BESIDE ? ".image-new" : "", ret_names->final);
	ret_names->same = folder->making;
	if (folder->making)
		strcpy(ret_names->first, ret_names->final);
	else
		file_temporary_name(ret_names->final, ret_names->first);
}

static int make_entry(const struct lay_folder *folder, const struct item *item)
{
	const char *own = item->keeps_own ? item->name : NULL;
	struct tree_path below = { "" };
	struct names names;
	int r;

	find_names(folder, item->name, item->how, &names);
	r = copy_entry(folder->from, item->name, &item->model, folder->to, names.first, own);
	if (r != -EEXIST)
		return r;
	r = tree_remove_at(folder->to, names.first, &below);
	return r < 0 ? r
		     : copy_entry(folder->from, item->name, &item->model, folder->to, names.first,
				  own);
}

static int run_batch(void *context)
{
	const struct lay_batch *batch = context;
	int r = 0;

	for (size_t i = 0; r == 0 && i < batch->count; i++)
		r = lay_failed_at(batch->lay, batch->folder, batch->items[i].name,
				  make_entry(batch->folder, &batch->items[i]));
	return r;
}

static void drop_batch(void *context)
{
	struct lay_batch *batch = context;

	if (!batch)
		return;
	pthread_mutex_lock(&batch->lay->lock);
	lay_close_locked(batch->folder);
	lay_drop_locked(batch->folder);
	pthread_mutex_unlock(&batch->lay->lock);
	free(batch);
}

static int send_batch(struct lay *lay)
{
	struct lay_batch *batch = lay->batch;

	lay->batch = NULL;
	return batch ? crew_add(&lay->crew, batch) : 0;
}

int lay_wait(struct lay *lay)
{
	int r = send_batch(lay);

	return r < 0 ? r : crew_wait(&lay->crew);
}

/* ---- rounds */

static int sync_all(struct lay *lay)
{
	for (size_t i = 0; i < lay->mount_count; i++)
		if (syncfs(lay->mounts[i]) < 0)
			return lay_failed_at(lay, &lay->top, "", -errno);
	return 0;
}

/* The folder of one operation stays open until the next has its own, since they come
 * in the order of the tree. */
static int run_ops(struct lay *lay)
{
	struct lay_folder *last = &lay->top;
	int r = lay_open(lay, last);

	for (size_t i = 0; r == 0 && i < lay->op_count; i++) {
		struct lay_folder *folder = lay->ops[i].folder;

		r = lay_failed_at(lay, folder, "", lay_open(lay, folder));
		if (r < 0)
			break;
		lay_close(lay, last);
		last = folder;
		r = lay_op_run(lay, &lay->ops[i]);
	}
	lay_close(lay, last);
	return r;
}

static int end_round(struct lay *lay)
{
	int r = lay_wait(lay);

	if (r == 0 && lay->unsynced)
		r = sync_all(lay);
	lay->unsynced = false;
	if (r == 0)
		r = run_ops(lay);
	lay_op_forget(lay);
	lay->round++;
	lay->round_entries = lay->round_bytes = 0;
	return r;
}

/* Room for one more in this round, else in the next one. What is in a folder in the
 * making is not lost when it is cut short, so it can wait. */
static int count_one(struct lay *lay, const struct lay_folder *folder, uint64_t bytes)
{
	int r = 0;

	lay->unsynced = true;
	if (folder->making) {
		lay->entries++;
		lay->bytes += bytes;
		return 0;
	}
	if (lay->round_entries >= ROUND_ENTRIES || lay->round_bytes >= ROUND_BYTES)
		r = end_round(lay);
	lay->entries++;
	lay->bytes += bytes;
	lay->round_entries++;
	lay->round_bytes += bytes;
	return r;
}

/* What is in a folder in the making needs no name of its own at the end. */
static int name_later(struct lay *lay, struct lay_folder *folder, const struct names *names,
		      enum lay_how how)
{
	const struct lay_op op = { .run = lay_run_name, .how = how };

	return names->same ? 0 : lay_op_add(lay, folder, names->final, &op);
}

static int begin_batch(struct lay *lay, struct lay_folder *folder)
{
	lay->batch = malloc(sizeof(*lay->batch));
	if (!lay->batch)
		return -ENOMEM;
	lay->batch->lay = lay;
	lay->batch->folder = folder;
	lay->batch->count = 0;
	lay->batch->bytes = 0;
	lay_hold(lay, folder);
	(void)lay_open(lay, folder); /* it is open already */
	return 0;
}

static int add_item(struct lay *lay, struct lay_folder *folder, const struct item *item)
{
	struct lay_batch *batch = lay->batch;
	int r = batch && batch->folder != folder ? send_batch(lay) : 0;

	if (r == 0 && !lay->batch)
		r = begin_batch(lay, folder);
	if (r < 0)
		return r;
	batch = lay->batch;
	batch->items[batch->count++] = *item;
	batch->bytes += item->model.st_size;
	return batch->count == BATCH_ENTRIES || batch->bytes >= BATCH_BYTES ? send_batch(lay) : 0;
}

int lay_make(struct lay *lay, struct lay_folder *folder, const char *name, enum lay_how how,
	     const struct stat *model, const struct stat *own)
{
	struct item item = { .model = *model, .how = how, .keeps_own = own };
	struct names names;
	int r = count_one(lay, folder, S_ISREG(model->st_mode) ? (uint64_t)model->st_size : 0);

	if (r < 0 || lay->rehearsal)
		return r;
	find_names(folder, name, how, &names);
	r = name_later(lay, folder, &names, how);
	if (r < 0)
		return r;
	strcpy(item.name, name);
	if (own) {
		item.model.st_mode = (model->st_mode & S_IFMT) | (own->st_mode & 07777);
		item.model.st_uid = own->st_uid;
		item.model.st_gid = own->st_gid;
	}
	return add_item(lay, folder, &item);
}

/* ---- files of several names */

int lay_first_there(struct lay *lay, struct lay_folder *folder, const char *name,
		    struct lay_first *ret_first)
{
	*ret_first = (struct lay_first){ .known = true, .name = strdup(name) };
	if (!ret_first->name)
		return -ENOMEM;
	lay_hold(lay, folder);
	ret_first->folder = folder;
	return 0;
}

void lay_first_done(struct lay *lay, struct lay_first *first)
{
	if (first->folder)
		lay_drop(lay, first->folder);
	free(first->name);
	free(first->temporary);
}

int lay_first_made(struct lay *lay, struct lay_folder *folder, const char *name, enum lay_how how,
		   const struct stat *model, struct lay_first *ret_first)
{
	struct names names;
	int r = lay_make(lay, folder, name, how, model, NULL);

	ret_first->known = true;
	if (r < 0 || lay->rehearsal)
		return r;
	r = lay_wait(lay);
	find_names(folder, name, how, &names);
	if (r == 0)
		r = lay_first_there(lay, folder, names.final, ret_first);
	if (r < 0)
		return r;
	ret_first->temporary = strdup(names.first);
	ret_first->round = lay->round;
	return ret_first->temporary ? 0 : -ENOMEM;
}

int lay_link(struct lay *lay, struct lay_folder *folder, const char *name, enum lay_how how,
	     const struct lay_first *first)
{
	struct names names;
	struct tree_path below = { "" };
	int r = count_one(lay, folder, 0);

	if (r < 0 || lay->rehearsal)
		return r;
	find_names(folder, name, how, &names);
	r = tree_remove_at(folder->to, names.first, &below);
	if (r == 0)
		r = lay_open(lay, first->folder);
	if (r < 0)
		return lay_failed_at(lay, folder, name, r);
	if (linkat(first->folder->to,
		   first->temporary && first->round == lay->round ? first->temporary : first->name,
		   folder->to, names.first, 0) < 0)
		r = -errno;
	lay_close(lay, first->folder);
	if (r < 0)
		return r; /* the caller makes a copy, perhaps */
	return name_later(lay, folder, &names, how);
}

/* ---- folders in the making */

static int make_first(struct lay_folder *parent, const char *name, bool *ret_new)
{
	*ret_new = mkdirat(parent->to, name, 0700) == 0;
	if (*ret_new || errno != EEXIST)
		return *ret_new ? 0 : -errno;
	if (unlinkat(parent->to, name, 0) < 0) /* a folder, which is continued */
		return errno == EISDIR || errno == EPERM ? 0 : -errno;
	*ret_new = mkdirat(parent->to, name, 0700) == 0;
	return *ret_new ? 0 : -errno;
}

int lay_make_folder(struct lay *lay, struct lay_folder *parent, const char *name, enum lay_how how,
		    struct lay_folder **ret_folder)
{
	struct lay_folder *folder;
	struct names names;
	bool is_new = true;
	int r = count_one(lay, parent, 0);

	find_names(parent, name, how, &names);
	if (r == 0 && !lay->rehearsal)
		r = lay_failed_at(lay, parent, name, make_first(parent, names.first, &is_new));
	if (r < 0)
		return r;
	folder = *ret_folder = lay_folder(lay, parent, names.first);
	if (!folder)
		return -ENOMEM;
	free(folder->template_name);
	folder->template_name = strdup(name);
	if (!names.same)
		folder->final = strdup(names.final);
	folder->how = how;
	folder->making = true;
	folder->is_new = is_new;
	return folder->template_name && (names.same || folder->final) ? 0 : -ENOMEM;
}

int lay_leave(struct lay *lay, struct lay_folder *folder)
{
	const struct lay_op op = { .run = lay_run_leave };

	return lay->rehearsal ? 0 : lay_op_add(lay, folder, "", &op);
}

/* ---- what is there */

int lay_forget(struct lay *lay, struct lay_folder *folder, const char *name)
{
	char temporary[NAME_MAX + 1];
	struct tree_path below = { "" };

	if (lay->rehearsal)
		return 0;
	file_temporary_name(name, temporary);
	return lay_failed_at(lay, folder, temporary, tree_remove_at(folder->to, temporary, &below));
}

int lay_attributes(struct lay *lay, struct lay_folder *folder, const char *name,
		   const struct stat *model)
{
	const struct lay_op op = { .run = lay_run_attributes, .model = *model };

	return lay->rehearsal ? 0 : lay_op_add(lay, folder, name, &op);
}

int lay_remove(struct lay *lay, struct lay_folder *folder, const char *name, bool is_folder)
{
	const struct lay_op op = { .run = lay_run_remove, .is_folder = is_folder };

	return lay->rehearsal ? 0 : lay_op_add(lay, folder, name, &op);
}

/* ---- begin and end */

int lay_begin(struct lay *lay, int from, int to)
{
	lay->volume = to;
	lay->unsynced = true; /* the caller's notes */
	lay->top = (struct lay_folder){ .from = from, .to = to, .users = 1, .holders = 1 };
	pthread_mutex_init(&lay->lock, NULL);
	crew_begin(&lay->crew, run_batch, drop_batch);
	return lay_note_mount(lay, to);
}

int lay_finish(struct lay *lay)
{
	int r = lay->rehearsal ? 0 : end_round(lay);

	return r == 0 && !lay->rehearsal ? sync_all(lay) : r;
}

void lay_done(struct lay *lay)
{
	drop_batch(lay->batch);
	crew_done(&lay->crew);
	lay_op_forget(lay);
	free(lay->ops);
	for (size_t i = 0; i < lay->mount_count; i++)
		cleanup_close(&lay->mounts[i]);
	pthread_mutex_destroy(&lay->lock);
}
