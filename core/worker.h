/* SPDX-License-Identifier: MIT */
/* Heavy file work, in a process of its own: `moonrise worker WORD ...`, started
 * by the init and by nobody else. PID 1 never waits for a disk that copies a tree,
 * hashes a file or writes back a gigabyte. */
#ifndef MOONRISE_WORKER_H
#define MOONRISE_WORKER_H

/* argv[0] is "worker". 0, or 1 with one line on stderr: "ERRNO PATH: reason". */
int worker_run(int argc, char **argv);

#endif
