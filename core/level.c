/* SPDX-License-Identifier: MIT */
#include "level.h"

#include "util.h"

#include <errno.h>
#include <string.h>

static const char *const names[] = {
	[LEVEL_ERROR] = "error", [LEVEL_WARNING] = "warning", [LEVEL_NOTICE] = "notice",
	[LEVEL_INFO] = "info",   [LEVEL_DEBUG] = "debug",
};

int level_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -EINVAL;
}

const char *level_name(enum level level)
{
	return level == LEVEL_NONE ? NULL : names[level];
}

/* 0 to 3 are all that is worse than a warning. */
enum level level_of_syslog(unsigned priority)
{
	return priority <= 3 ? LEVEL_ERROR : (enum level)(LEVEL_ERROR + priority - 3);
}

unsigned level_to_syslog(enum level level)
{
	return level < LEVEL_ERROR ? 6 : (unsigned)(level - LEVEL_ERROR) + 3;
}

enum level level_wanted(enum level otherwise)
{
	const char *name = getenv("MOONRISE_LOG_LEVEL");
	int level = name ? level_number(name) : -EINVAL;

	return level < 0 ? otherwise : (enum level)level;
}
