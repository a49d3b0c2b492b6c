/* SPDX-License-Identifier: MIT */
/* From a process to how its service is called in the log, for messages that do not
 * come through the service's own pipes. */
#ifndef MOONRISE_ORIGIN_H
#define MOONRISE_ORIGIN_H

#include "message.h"
#include "speaker.h"

#include <sys/types.h>

#define ORIGIN_LABEL_SIZE 160

struct origin;

/* What comes of the process `id` (as descend_mark has it) is to be known by this name.
 * A tag that is `program`, or the name, says nothing more. `tail` and `output` may be
 * NULL. NULL: no memory. */
struct origin *origin_new(unsigned id, const char *name, const char *program, struct tail *tail,
			  struct output *output);
/* All that came of it is gone. NULL is fine here and below. */
void origin_end(struct origin *origin);

struct origin *origin_ref(struct origin *origin);
void origin_unref(struct origin *origin);

/* NULL: it belongs to nobody, or is gone. */
struct origin *origin_of(pid_t pid);

/* Makes `speaker` say what comes from there; NULL for strangers. Not needed when the
 * last one was the same. */
void origin_introduce(const struct origin *origin, struct speaker *speaker,
		      enum speaker_stream stream);

/* Whose words follow: of a service, "CRON[12]" unless that is the service itself. A
 * stranger has nothing but its tag, and its pid so that it is never taken for a
 * service. `label` is where the text is. */
void origin_label(const struct origin *origin, struct speaker *speaker, pid_t pid,
		  const struct message *message, char label[ORIGIN_LABEL_SIZE]);

#endif
