/* SPDX-License-Identifier: MIT */
/* The crew makes; only the thread that calls gives names. */
#include "lay.h"

#include "copy.h"
#include "file.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#define ROUND_ENTRIES 20000
#define ROUND_BYTES (512ULL << 20)

/* ---- folders */

static void put_path(char *path, size_t size, const struct lay_folder *folder, const char *name)
{
	size_t length;

	path[0] = '\0';
	if (folder->parent)
		put_path(path, size, folder->parent, folder->final ? folder->final : folder->name);
	length = strlen(path);
	snprintf(path + length, size - length, "%s%s", length && name[0] ? "/" : "", name);
}

/* r, after noting where it was. */
static int failed_at(struct lay *lay, const struct lay_folder *folder, const char *name, int r)
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

static void tell(struct lay *lay, enum lay_news news, const struct lay_folder *folder,
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

static void drop(struct lay_folder *folder)
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
	drop(folder);
	pthread_mutex_unlock(&lay->lock);
}

static void close_locked(struct lay_folder *folder)
{
	if (--folder->users > 0)
		return;
	cleanup_close(&folder->from);
	cleanup_close(&folder->to);
	folder->from = folder->to = -1;
}

/* Something may be mounted here; then the sync of the volume does not cover it. */
static int note_mount(struct lay *lay, int fd)
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
	return folder->final ? 0 : note_mount(lay, folder->to);
}

static int open_locked(struct lay *lay, struct lay_folder *folder)
{
	int r;

	if (folder->users++ > 0)
		return 0;
	r = open_locked(lay, folder->parent);
	if (r == 0) {
		r = open_both(lay, folder);
		close_locked(folder->parent);
	}
	if (r < 0)
		close_locked(folder);
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
	close_locked(folder);
	pthread_mutex_unlock(&lay->lock);
}

/* ---- names */

/* NAME.image-new; a name that gets too long is cut. */
static void add_suffix(const char *name, const char *suffix, char ret_name[static NAME_MAX + 1])
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
		add_suffix(name, suffix, saved);
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

struct lay_op {
	int (*run)(struct lay *lay, struct lay_op *op);
	enum lay_how how;
	struct lay_folder *folder; /* held; of OP_LEAVE the folder itself */
	char *name;
	bool is_folder;
	struct stat model;
};

static int add_op(struct lay *lay, struct lay_folder *folder, const char *name,
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

static void forget_ops(struct lay *lay)
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
	add_suffix(op->name, ".image-new", beside);
	tell(lay, LAY_KEPT_BESIDE, op->folder, op->name);
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
	tell(lay, LAY_STAYED, op->folder, op->name);
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

static int run_name(struct lay *lay, struct lay_op *op)
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
static int run_leave(struct lay *lay, struct lay_op *op)
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

static int run_remove(struct lay *lay, struct lay_op *op)
{
	if (unlinkat(op->folder->to, op->name, op->is_folder ? AT_REMOVEDIR : 0) == 0)
		tell(lay, LAY_REMOVED, op->folder, op->name);
	else if (errno == ENOTEMPTY || errno == EEXIST || errno == EBUSY || errno == EISDIR)
		tell(lay, LAY_STAYED, op->folder, op->name);
	else if (errno != ENOENT && errno != ENOTDIR)
		return -errno;
	return 0;
}

static int run_attributes(struct lay *lay, struct lay_op *op)
{
	const struct lay_folder *folder = op->folder;

	(void)lay;
	return copy_attributes(folder->from, op->name, &op->model, folder->to, op->name);
}

static int run_op(struct lay *lay, struct lay_op *op)
{
	int r = lay_open(lay, op->folder);

	if (r < 0)
		return failed_at(lay, op->folder, op->name, r);
	r = failed_at(lay, op->folder, op->name, op->run(lay, op));
	lay_close(lay, op->folder);
	return r;
}

/* ---- rounds */

static int sync_all(struct lay *lay)
{
	for (size_t i = 0; i < lay->mount_count; i++)
		if (syncfs(lay->mounts[i]) < 0)
			return failed_at(lay, &lay->top, "", -errno);
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

		r = failed_at(lay, folder, "", lay_open(lay, folder));
		if (r < 0)
			break;
		lay_close(lay, last);
		last = folder;
		r = run_op(lay, &lay->ops[i]);
	}
	lay_close(lay, last);
	return r;
}

static int end_round(struct lay *lay)
{
	int r = crew_wait(&lay->crew);

	if (r == 0 && lay->unsynced)
		r = sync_all(lay);
	lay->unsynced = false;
	if (r == 0)
		r = run_ops(lay);
	forget_ops(lay);
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

/* ---- making */

struct job {
	struct lay *lay;
	struct lay_folder *folder; /* open and held */
	struct stat model;
	bool keeps_own;
	char first[NAME_MAX + 1];
	char name[NAME_MAX + 1];
};

static int make_entry(const struct job *job)
{
	const struct lay_folder *folder = job->folder;
	const char *own = job->keeps_own ? job->name : NULL;
	struct tree_path below = { "" };
	int r = copy_entry(folder->from, job->name, &job->model, folder->to, job->first, own);

	if (r != -EEXIST)
		return r;
	r = tree_remove_at(folder->to, job->first, &below);
	return r < 0 ? r
		     : copy_entry(folder->from, job->name, &job->model, folder->to, job->first,
				  own);
}

static int run_job(void *context)
{
	const struct job *job = context;

	return failed_at(job->lay, job->folder, job->name, make_entry(job));
}

static void drop_job(void *context)
{
	struct job *job = context;

	pthread_mutex_lock(&job->lay->lock);
	close_locked(job->folder);
	drop(job->folder);
	pthread_mutex_unlock(&job->lay->lock);
	free(job);
}

/* What it is to be called, and what it is made as. */
struct names {
	char final[NAME_MAX + 1], first[NAME_MAX + 1];
	bool same;
};

static void find_names(const struct lay_folder *folder, const char *name, enum lay_how how,
		       struct names *ret_names)
{
	add_suffix(name, how == LAY_BESIDE ? ".image-new" : "", ret_names->final);
	ret_names->same = folder->making;
	if (folder->making)
		strcpy(ret_names->first, ret_names->final);
	else
		file_temporary_name(ret_names->final, ret_names->first);
}

/* What is in a folder in the making needs no name of its own at the end. */
static int name_later(struct lay *lay, struct lay_folder *folder, const struct names *names,
		      enum lay_how how)
{
	const struct lay_op op = { .run = run_name, .how = how };

	return names->same ? 0 : add_op(lay, folder, names->final, &op);
}

static struct job *new_job(struct lay *lay, struct lay_folder *folder, const char *name,
			   const struct stat *model, const struct stat *own)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	*job = (struct job){ .lay = lay, .folder = folder, .model = *model, .keeps_own = own };
	strcpy(job->name, name);
	if (own) {
		job->model.st_mode = (model->st_mode & S_IFMT) | (own->st_mode & 07777);
		job->model.st_uid = own->st_uid;
		job->model.st_gid = own->st_gid;
	}
	lay_hold(lay, folder);
	(void)lay_open(lay, folder); /* it is open already */
	return job;
}

int lay_make(struct lay *lay, struct lay_folder *folder, const char *name, enum lay_how how,
	     const struct stat *model, const struct stat *own)
{
	struct names names;
	struct job *job;
	int r = count_one(lay, folder, S_ISREG(model->st_mode) ? (uint64_t)model->st_size : 0);

	if (r < 0 || lay->rehearsal)
		return r;
	find_names(folder, name, how, &names);
	r = name_later(lay, folder, &names, how);
	if (r < 0)
		return r;
	job = new_job(lay, folder, name, model, own);
	if (!job)
		return -ENOMEM;
	strcpy(job->first, names.first);
	return crew_add(&lay->crew, job);
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
	r = crew_wait(&lay->crew);
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
		return failed_at(lay, folder, name, r);
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
		r = failed_at(lay, parent, name, make_first(parent, names.first, &is_new));
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
	const struct lay_op op = { .run = run_leave };

	return lay->rehearsal ? 0 : add_op(lay, folder, "", &op);
}

/* ---- what is there */

int lay_forget(struct lay *lay, struct lay_folder *folder, const char *name)
{
	char temporary[NAME_MAX + 1];
	struct tree_path below = { "" };

	if (lay->rehearsal)
		return 0;
	file_temporary_name(name, temporary);
	return failed_at(lay, folder, temporary, tree_remove_at(folder->to, temporary, &below));
}

int lay_attributes(struct lay *lay, struct lay_folder *folder, const char *name,
		   const struct stat *model)
{
	const struct lay_op op = { .run = run_attributes, .model = *model };

	return lay->rehearsal ? 0 : add_op(lay, folder, name, &op);
}

int lay_remove(struct lay *lay, struct lay_folder *folder, const char *name, bool is_folder)
{
	const struct lay_op op = { .run = run_remove, .is_folder = is_folder };

	return lay->rehearsal ? 0 : add_op(lay, folder, name, &op);
}

/* ---- begin and end */

int lay_begin(struct lay *lay, int from, int to)
{
	lay->volume = to;
	lay->unsynced = true; /* the caller's notes */
	lay->top = (struct lay_folder){ .from = from, .to = to, .users = 1, .holders = 1 };
	pthread_mutex_init(&lay->lock, NULL);
	crew_begin(&lay->crew, run_job, drop_job);
	return note_mount(lay, to);
}

int lay_finish(struct lay *lay)
{
	int r = lay->rehearsal ? 0 : end_round(lay);

	return r == 0 && !lay->rehearsal ? sync_all(lay) : r;
}

void lay_done(struct lay *lay)
{
	crew_done(&lay->crew);
	forget_ops(lay);
	free(lay->ops);
	for (size_t i = 0; i < lay->mount_count; i++)
		cleanup_close(&lay->mounts[i]);
	pthread_mutex_destroy(&lay->lock);
}
