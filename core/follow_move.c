/* SPDX-License-Identifier: MIT */
#include "follow_move.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#define MOVES_MAX 1024 /* at a time: a storm of them must not take memory */

static struct follow_move *moves, **last = &moves;
static unsigned count;

static bool moves_again(const char *path, uint32_t cookie)
{
	for (struct follow_move *m = moves; m; m = m->next) {
		if (m->cookie == 0 && strcmp(m->to, path) == 0) {
			m->cookie = cookie;
			return true;
		}
	}
	return false;
}

static void add(const char *path, uint32_t cookie)
{
	struct follow_move *m = count < MOVES_MAX ? calloc(1, sizeof(*m)) : NULL;
	if (m)
		m->from = strdup(path);
	if (!m || !m->from) {
		free(m);
		return;
	}
	m->cookie = cookie;
	*last = m;
	last = &m->next;
	count++;
}

static void arrive(const char *path, uint32_t cookie)
{
	for (struct follow_move *m = moves; m; m = m->next) {
		char *to = m->cookie == cookie ? strdup(path) : NULL;
		if (!to)
			continue;
		free(m->to);
		m->to = to;
		m->cookie = 0;
	}
}

void follow_move_hear(uint32_t mask, uint32_t cookie, const char *path)
{
	if (mask & IN_MOVED_TO)
		arrive(path, cookie);
	else if (!moves_again(path, cookie))
		add(path, cookie);
}

const struct follow_move *follow_move_first(void)
{
	return moves;
}

void follow_move_forget(void)
{
	for (struct follow_move **p = &moves; *p;) {
		struct follow_move *m = *p;
		if (m->cookie != 0 && !m->is_late) {
			m->is_late = true;
			p = &m->next;
			continue;
		}
		*p = m->next;
		free(m->from);
		free(m->to);
		free(m);
		count--;
	}
	last = &moves;
	while (*last)
		last = &(*last)->next;
}
