/* SPDX-License-Identifier: MIT */
/* Single files, changed in one piece: what is new is made under a name of its
 * own in the same folder, put on disk, and renamed. After a crash or on a full
 * disk there is the old content or the new, never a part. Paths go through
 * walk.h, so no link leads out of a fenced volume.
 *
 * Everything returns 0 (or what it says) or -errno. */
#ifndef MOONRISE_FILE_H
#define MOONRISE_FILE_H

#include "walk.h"

#include <stddef.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

/* -1: as the file that is replaced has it; for a new one, as any new file. */
struct file_attr {
	int mode;
	uid_t uid;
	gid_t gid;
};

#define FILE_KEEP_ID ((uid_t)-1)
#define FILE_KEEP ((struct file_attr){ .mode = -1, .uid = FILE_KEEP_ID, .gid = FILE_KEEP_ID })

/* A descriptor for reading; -EOPNOTSUPP unless it is a regular file. */
int file_open(const char *path);

/* For adding to it, and made when missing. */
int file_open_append(const char *path);
int file_open_append_at(int folder, const char *name); /* a link is refused */
int file_open_new_at(int folder, const char *name);    /* for its owner alone; -EEXIST */
int file_open_folder(const char *path);

/* The lock of flock(2), which is held as long as the descriptor is open; -EAGAIN
 * while somebody else has it. */
int file_lock(int fd, bool shared);

/* All of its content is `text` now; on disk whenever that is. */
int file_note(int fd, const char *text);

/* An inotify descriptor; have it tell what happens in a folder, by the number
 * returned, or -errno; and not any more. */
int file_watcher(void);
int file_watch(int watcher, const char *folder);
void file_unwatch(int watcher, int number);

/* In place where the target is a mount point itself (/etc/resolv.conf in a
 * container) or its folder can't be written. */
int file_write(const char *path, const void *data, size_t size, const struct file_attr *attr);

/* What was there stays as it was when the disk is full. */
int file_append(const char *path, const void *data, size_t size, const struct file_attr *attr);

/* As file_write; the mode is that of `from` unless attr has one. */
int file_copy(const char *from, const char *to, const struct file_attr *attr);

/* -EXDEV between file systems. */
int file_move(const char *from, const char *to);

/* A symbolic link to `target`; it replaces anything but a folder. */
int file_link(const char *target, const char *path);

/* -EEXIST when anything is there. It appears with its mode and owner. */
int file_make_folder(const char *path, const struct file_attr *attr);

/* A file, a link (not what it leads to) or an empty folder. */
int file_remove(const char *path);

/* A link in a volume is refused: its owner may have laid it there for us. */
int file_change_owner(const char *path, uid_t uid, gid_t gid);
int file_change_mode(const char *path, int mode);

int file_stat(const char *path, bool follow_last, struct stat *ret_stat);
int file_space(const char *path, struct statvfs *ret_space);

/* 0 when this process can make files in the folder. */
int file_can_write(const char *folder);

/* All that was written on the folder's file system is on disk when it returns. */
int file_sync(const char *folder);

/* ---- the parts, for tree.c, which walks by descriptors */

/* The name under which NAME is made. It is the same each time, so that what a
 * crash has left is found and replaced, and another one for each NAME. */
void file_temporary_name(const char *name, char ret_name[static NAME_MAX + 1]);

/* Open the temporary file for writing; one left by a crash is removed first. */
int file_open_temporary(int folder, const char *temporary, mode_t mode);

/* Give the finished temporary its name; -EEXIST if taken, unless `replace`. */
int file_publish(int folder, const char *temporary, const char *name, bool replace);

/* The folder's names are on disk when it returns; `folder` may be O_PATH. */
int file_sync_names(int folder);

/* A fifo or a device must neither block us nor become our terminal. */
#define FILE_OPEN_SAFELY (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* What is left of `from` from where it stands, but no more than `size`; an earlier end
 * of the file is no error. */
int file_copy_range(int from, int to, off_t size);

int file_write_all(int fd, const void *data, size_t size);

/* As file_open, by a name in a folder; a link is refused. */
int file_open_at(int folder, const char *name);

#endif
