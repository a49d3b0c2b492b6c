/* SPDX-License-Identifier: MIT */
/* One epoll descriptor. What epoll_wait reported is kept in a static batch, not
 * on the stack, so that loop_remove can strike a source out of what is still to
 * be called, and a nested loop_turn simply takes the batch over. */
#include "loop.h"

#include "util.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

static int epoll = -1;

static struct {
	struct epoll_event events[64];
	int count;
	int next; /* the first one that was not called yet */
} batch;

int loop_init(void)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	return epoll < 0 ? -errno : 0;
}

void loop_done(void)
{
	cleanup_close(&epoll);
	epoll = -1;
	batch.count = 0;
}

static int control(int operation, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(epoll, operation, source->fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop_source *source, uint32_t events)
{
	return control(EPOLL_CTL_ADD, source, events);
}

int loop_change(struct loop_source *source, uint32_t events)
{
	return control(EPOLL_CTL_MOD, source, events);
}

void loop_remove(struct loop_source *source)
{
	(void)control(EPOLL_CTL_DEL, source, 0);
	for (int i = batch.next; i < batch.count; i++)
		if (batch.events[i].data.ptr == source)
			batch.events[i].data.ptr = NULL;
}

int64_t loop_time(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

/* A timer that is never due: of interest is what cancels it. */
int loop_clock_changes(void)
{
	struct itimerspec never = { .it_value.tv_sec = INT32_MAX };
	auto_close int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0)
		return -errno;
	return keep_fd(&fd);
}

/* Milliseconds until the deadline, rounded up: waking up early would mean
 * spinning until it has come. */
static int timeout_until(int64_t deadline)
{
	int64_t left;

	if (deadline == LOOP_FOREVER)
		return -1;
	if (deadline <= 0)
		return 0;
	left = deadline - loop_time();
	if (left <= 0)
		return 0;
	if (left / NSEC_PER_MSEC >= INT_MAX)
		return INT_MAX;
	return (int)((left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
}

static int call_batch(void)
{
	int called = 0;

	while (batch.next < batch.count) {
		struct epoll_event *event = &batch.events[batch.next++];
		struct loop_source *source = event->data.ptr;

		if (!source)
			continue;
		source->ready(source, event->events);
		called++;
	}
	return called;
}

int loop_turn(int64_t deadline)
{
	int n = epoll_wait(epoll, batch.events, ARRAY_SIZE(batch.events), timeout_until(deadline));

	batch.next = 0;
	batch.count = n < 0 ? 0 : n;
	if (n < 0 && errno != EINTR) /* a handler ran: the CPU timer's */
		return -errno;
	return call_batch();
}
