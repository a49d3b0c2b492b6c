/* SPDX-License-Identifier: MIT */
/* Streams to the journal, sd_journal_stream_fd(3): a few lines that say who it is, and
 * then a relay like that of a service's stdout. */
#ifndef MOONRISE_STREAM_H
#define MOONRISE_STREAM_H

#define STREAM_MAX 256      /* open at once; more are refused, as the journal does */
#define STREAM_MAX_EACH 128 /* of one service */

/* 0 or -errno, as of listen_unix. */
int stream_listen(const char *path);

/* Accept those that wait: before their senders are reaped, and at the end. */
void stream_accept(void);

void stream_done(void);

#endif
