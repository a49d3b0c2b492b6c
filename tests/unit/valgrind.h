/* SPDX-License-Identifier: MIT */
/* What valgrind does not have of Linux is not tested under it: a clone that
 * shares memory (it makes a fork of it), /proc/self/exe, signals that it wants for
 * itself, and limits on its own descriptors. */
#ifndef MOONRISE_TESTS_VALGRIND_H
#define MOONRISE_TESTS_VALGRIND_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return preloaded && strstr(preloaded, "vgpreload");
}

#endif
