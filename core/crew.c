/* SPDX-License-Identifier: MIT */
/* To wake somebody up costs a good part of what a small file does. So who finds the queue
 * full sleeps until half of it is done, and threads are woken up only while some sleep. */
#include "crew.h"

#include "util.h"

#include <sched.h>

static int count_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : CPU_COUNT(&set);
}

/* The lock is held, but not while the job runs. */
static void do_one(struct crew *crew)
{
	void *job = crew->queue[crew->first];
	int r = crew->error;

	crew->first = (crew->first + 1) % CREW_QUEUE;
	crew->waiting--;
	crew->busy++;
	if (crew->waiting == CREW_QUEUE / 2)
		pthread_cond_signal(&crew->less);
	pthread_mutex_unlock(&crew->lock);
	if (r == 0)
		r = crew->run(job);
	crew->drop(job);
	pthread_mutex_lock(&crew->lock);
	crew->busy--;
	if (crew->error == 0)
		crew->error = r;
	if (crew->waiting + crew->busy == 0)
		pthread_cond_signal(&crew->less);
}

static void *work(void *context)
{
	struct crew *crew = context;

	pthread_mutex_lock(&crew->lock);
	while (!crew->over) {
		if (crew->waiting > 0) {
			do_one(crew);
			continue;
		}
		crew->idle++;
		pthread_cond_wait(&crew->more, &crew->lock);
		crew->idle--;
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

void crew_begin(struct crew *crew, int (*run)(void *job), void (*drop)(void *job))
{
	int wanted = 2 * count_cpus();
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 512 << 10); /* musl's own is small */
	*crew = (struct crew){ .run = run, .drop = drop };
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->more, NULL);
	pthread_cond_init(&crew->less, NULL);
	while (crew->size < wanted && crew->size < CREW_MAX &&
	       pthread_create(&crew->threads[crew->size], &attributes, work, crew) == 0)
		crew->size++;
	pthread_attr_destroy(&attributes);
}

int crew_add(struct crew *crew, void *job)
{
	int r;

	pthread_mutex_lock(&crew->lock);
	while (crew->waiting == CREW_QUEUE)
		pthread_cond_wait(&crew->less, &crew->lock);
	crew->queue[(crew->first + crew->waiting++) % CREW_QUEUE] = job;
	if (crew->size == 0)
		do_one(crew);
	else if (crew->idle > 0)
		pthread_cond_signal(&crew->more);
	r = crew->error;
	pthread_mutex_unlock(&crew->lock);
	return r;
}

int crew_wait(struct crew *crew)
{
	int r;

	pthread_mutex_lock(&crew->lock);
	while (crew->waiting + crew->busy > 0)
		pthread_cond_wait(&crew->less, &crew->lock);
	r = crew->error;
	pthread_mutex_unlock(&crew->lock);
	return r;
}

void crew_done(struct crew *crew)
{
	(void)crew_wait(crew);
	pthread_mutex_lock(&crew->lock);
	crew->over = true;
	pthread_cond_broadcast(&crew->more);
	pthread_mutex_unlock(&crew->lock);
	for (int i = 0; i < crew->size; i++)
		pthread_join(crew->threads[i], NULL);
	pthread_cond_destroy(&crew->more);
	pthread_cond_destroy(&crew->less);
	pthread_mutex_destroy(&crew->lock);
}
