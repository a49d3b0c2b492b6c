/* SPDX-License-Identifier: MIT */
/* What the files of lay share: lay.c makes, lay_op.c gives names, lay_folder.c knows
 * where. */
#ifndef MOONRISE_LAY_INSIDE_H
#define MOONRISE_LAY_INSIDE_H

#include "lay.h"

#include <limits.h>

/* ---- folders; with lay->lock held where it says so */

void lay_drop_locked(struct lay_folder *folder);
void lay_close_locked(struct lay_folder *folder);
int lay_note_mount(struct lay *lay, int fd);

/* r, after noting where it was. */
int lay_failed_at(struct lay *lay, const struct lay_folder *folder, const char *name, int r);
void lay_tell(struct lay *lay, enum lay_news news, const struct lay_folder *folder,
	      const char *name);

/* ---- operations: what is done when the round is on disk */

struct lay_op {
	int (*run)(struct lay *lay, struct lay_op *op);
	enum lay_how how;
	struct lay_folder *folder; /* held; of OP_LEAVE the folder itself */
	char *name;
	bool is_folder;
	struct stat model;
};

int lay_op_add(struct lay *lay, struct lay_folder *folder, const char *name,
	       const struct lay_op *op);
int lay_op_run(struct lay *lay, struct lay_op *op);
void lay_op_forget(struct lay *lay); /* all */

/* For lay_op.run. */
int lay_run_name(struct lay *lay, struct lay_op *op);
int lay_run_leave(struct lay *lay, struct lay_op *op);
int lay_run_remove(struct lay *lay, struct lay_op *op);
int lay_run_attributes(struct lay *lay, struct lay_op *op);

/* NAME.image-new; a name that gets too long is cut. */
void lay_suffix(const char *name, const char *suffix, char ret_name[static NAME_MAX + 1]);

#endif
