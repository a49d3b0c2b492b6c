/* SPDX-License-Identifier: MIT */
/* The folders that are watched for names that come and go. Each look at the names
 * asks for those that it passes; what it does not ask for any more is left. */
#ifndef MOONRISE_FOLLOW_FOLDER_H
#define MOONRISE_FOLLOW_FOLDER_H

/* From now on, what is not watched (again) is left by follow_folder_end. */
void follow_folder_begin(void);
void follow_folder_end(int notifier);

/* The folder that `path` really lies in, whether or not that exists. 0 or -errno. */
int follow_folder_watch(int notifier, const char *path);

/* What inotify says is gone. */
void follow_folder_forget(int watch);

/* As it was asked for; NULL: it is none of them. */
const char *follow_folder_path(int watch);

/* Watch what a descriptor stands for: a number, or -errno. */
int follow_watch(int notifier, int fd, unsigned events);

#endif
