/* SPDX-License-Identifier: MIT */
/* What the init for one command says, and in whose words: people read the logs of
 * tini or dumb-init with scripts, so a drop-in keeps to their lines. One table of
 * texts for each of them, indexed by what has happened. */
#ifndef MOONRISE_VOICE_H
#define MOONRISE_VOICE_H

#include <stdbool.h>

enum voice_event {
	VOICE_FAILED,     /* could not start: subject, reason */
	VOICE_NO_REAPER,  /* neither PID 1 nor a subreaper */
	VOICE_HANDED_OFF, /* a signal swallowed while letting go of the terminal: a */
	VOICE_SESSION,    /* the child has a session of its own */
	VOICE_STARTED,    /* a: pid, subject: the command */
	VOICE_RECEIVED,   /* a: signal */
	VOICE_REWRITTEN,  /* a: signal, b: what it became */
	VOICE_FORWARDED,  /* a: signal as sent */
	VOICE_DROPPED,    /* a: signal */
	VOICE_GONE,       /* a: signal that came too late */
	VOICE_SUSPENDED,  /* we stop, too */
	VOICE_CHILD,      /* the command has ended: a: pid */
	VOICE_REAPED,     /* a: pid of a stranger */
	VOICE_ORPHAN,     /* the same, when -w asks for it */
	VOICE_EXITED,     /* the command: a: pid, b: status */
	VOICE_KILLED,     /* the command: a: pid, b: signal */
	VOICE_GOODBYE,    /* a: the exit status */
	VOICE_EVENTS,
};

/* In a text: # is a, % is b, @ the subject, ! the reason, ~ our own pid, and $ the
 * name of the signal b as strsignal(3) says it. */
struct voice_text {
	int verbosity; /* said from here on */
	const char *text;
};

struct voice {
	int verbosity;   /* where it starts without options */
	int stdout_from; /* texts of that verbosity go to the standard output */
	bool explains;   /* reasons in our own words, not only errno's */
	struct voice_text texts[VOICE_EVENTS];
};

struct voice_fact {
	int a, b;
	const char *subject, *reason;
};

extern const struct voice voice_moonrise, voice_tini, voice_dumb_init, voice_catatonit;

void voice_say(const struct voice *voice, int verbosity, enum voice_event event,
	       const struct voice_fact *fact);

#endif
