/* SPDX-License-Identifier: MIT */
/* Entries of a template laid into a volume, in rounds. First all of a round is made
 * under temporary names, several entries at a time; then it is put on disk at once,
 * which is many times faster than one by one; then it gets its names. So a name
 * always stands for something whole that is on disk, whenever the power goes. Of a
 * folder that is missing, only the folder has a temporary name: it is in the making
 * until all that belongs in it is there.
 *
 * What a crash has left is not trusted: a folder in the making is continued, and
 * what is in it is compared byte by byte; the rest is made anew. */
#ifndef MOONRISE_LAY_H
#define MOONRISE_LAY_H

#include "crew.h"
#include "tree.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* How what was made gets its name. */
enum lay_how {
	LAY_NEW,     /* nothing is there; if there is by then, that stays */
	LAY_REPLACE, /* what is there goes; of folders only an empty one, else LAY_BESIDE */
	LAY_SAVE,    /* what is there is kept as NAME.user-old */
	LAY_BESIDE,  /* it is laid beside, as NAME.image-new */
};

/* A folder of the volume and its counterpart in the template, if it has one. The
 * descriptors are open while it has users. */
struct lay_folder {
	struct lay_folder *parent; /* NULL: the top */
	char *template_name, *name;
	char *final; /* while `name` is a temporary one */
	enum lay_how how;
	bool making; /* it, or one above it, is in the making: so all in it is ours */
	bool is_new; /* nothing was in it when we came; in a rehearsal, it is not there */
	int from, to;
	unsigned users, holders;
};

struct lay_op;

/* What is told about, with the path in the volume. */
enum lay_news {
	LAY_MADE,
	LAY_UPDATED,
	LAY_REMOVED,
	LAY_KEPT_BESIDE, /* the image's is beside it */
	LAY_KEPT_OLD,    /* the user's is beside it */
	LAY_STAYED,      /* what was to go: something of the user's is in it, or a mount on it */
};

struct lay {
	int volume;
	bool rehearsal; /* count, change nothing */
	uint64_t entries, bytes;
	struct tree_path *where; /* after an error */
	void (*tell)(void *context, enum lay_news news, const char *path);
	void *context;

	struct lay_folder top;
	struct crew crew;
	struct lay_batch *batch; /* what is to be given to the crew; NULL: nothing */
	pthread_mutex_t lock;    /* of folders and `where` */
	bool failed;
	struct lay_op *ops; /* what is to be done when the round is on disk */
	size_t op_count, op_room;
	uint64_t round, round_entries, round_bytes;
	bool unsynced;     /* something was made in this round */
	dev_t devices[16]; /* of the volume and what is mounted in it; [n] is mounts[n]'s */
	int mounts[16];
	size_t mount_count;
};

/* `from` and `to` stay the caller's and open. lay_done is due whatever happened. */
int lay_begin(struct lay *lay, int from, int to);
void lay_done(struct lay *lay);

/* All that was asked for is made. */
int lay_wait(struct lay *lay);

/* All that was asked for is done and on disk, and what was laid before, too. */
int lay_finish(struct lay *lay);

/* The counterpart of a folder that is there: the caller holds it. NULL: no memory. */
struct lay_folder *lay_folder(struct lay *lay, struct lay_folder *parent, const char *name);
void lay_hold(struct lay *lay, struct lay_folder *folder);
void lay_drop(struct lay *lay, struct lay_folder *folder);

/* 0, or -errno: -ENOENT, -ENOTDIR or -ELOOP when it is no folder. */
int lay_open(struct lay *lay, struct lay_folder *folder);
void lay_close(struct lay *lay, struct lay_folder *folder);

/* What follows takes open folders. Anything but a folder; `own` is the user's when its
 * owner, mode and extended attributes are to be kept, else NULL. */
int lay_make(struct lay *lay, struct lay_folder *folder, const char *name, enum lay_how how,
	     const struct stat *model, const struct stat *own);

/* The first name of a file that has several. */
struct lay_first {
	bool known;
	struct lay_folder *folder; /* held */
	char *name, *temporary;
	uint64_t round; /* in which it has its temporary name */
};

int lay_first_made(struct lay *lay, struct lay_folder *folder, const char *name, enum lay_how how,
		   const struct stat *model, struct lay_first *ret_first);
int lay_first_there(struct lay *lay, struct lay_folder *folder, const char *name,
		    struct lay_first *ret_first);
void lay_first_done(struct lay *lay, struct lay_first *first);

/* One more name; -EXDEV, -EMLINK, -EPERM or -ENOENT when that can't be. */
int lay_link(struct lay *lay, struct lay_folder *folder, const char *name, enum lay_how how,
	     const struct lay_first *first);

/* A folder; what is in it comes next, then lay_leave. The caller holds it. */
int lay_make_folder(struct lay *lay, struct lay_folder *parent, const char *name, enum lay_how how,
		    struct lay_folder **ret_folder);
int lay_leave(struct lay *lay, struct lay_folder *folder);

/* What a crash has left of it. */
int lay_forget(struct lay *lay, struct lay_folder *folder, const char *name);
int lay_attributes(struct lay *lay, struct lay_folder *folder, const char *name,
		   const struct stat *model);
int lay_remove(struct lay *lay, struct lay_folder *folder, const char *name, bool is_folder);

#endif
