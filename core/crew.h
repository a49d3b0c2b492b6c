/* SPDX-License-Identifier: MIT */
/* A few threads that do jobs side by side, since most of a copy is waiting for the
 * disk. The first error is kept; the jobs after it are not begun any more. */
#ifndef MOONRISE_CREW_H
#define MOONRISE_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define CREW_MAX 8
#define CREW_QUEUE 32

struct crew {
	int (*run)(void *job);   /* 0 or -errno; the first error is answered by crew_wait */
	void (*drop)(void *job); /* when it was run or is not going to be */
	pthread_t threads[CREW_MAX];
	int size;
	pthread_mutex_t lock;
	pthread_cond_t more, less; /* jobs: for the threads, and for who adds them */
	void *queue[CREW_QUEUE];
	size_t first, waiting, busy, idle;
	bool over;
	int error;
};

/* With fewer threads, or none, where the system allows no more. */
void crew_begin(struct crew *crew, int (*run)(void *job), void (*drop)(void *job));

/* Waits while the queue is full. 0, or the first error so far. */
int crew_add(struct crew *crew, void *job);

/* Until all jobs are done. 0 or the first error. */
int crew_wait(struct crew *crew);
void crew_done(struct crew *crew);

#endif
