/* SPDX-License-Identifier: MIT */
/* One table of words. Fences come first on the command line, since a new process
 * knows of none: worker --fence /data copy FROM TO MODE UID GID. */
#include "worker.h"

#include "file.h"
#include "populate.h"
#include "sha256.h"
#include "tree.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

/* "ERRNO PATH: reason" on stderr */
static int complain(const char *path, const char *below, int error)
{
	fprintf(stderr, "%d %s%s%s: %s\n", -error, path, below[0] ? "/" : "", below,
		strerror(-error));
	return 1;
}

/* copy FROM TO MODE UID GID; -1: see struct file_attr */
static int copy(char **args)
{
	struct file_attr attr = {
		.mode = atoi(args[2]),
		.uid = (uid_t)strtoll(args[3], NULL, 10),
		.gid = (gid_t)strtoll(args[4], NULL, 10),
	};
	auto_close int readable = file_open(args[0]);
	int r;

	if (readable < 0)
		return complain(args[0], "", readable);
	r = file_copy(args[0], args[1], &attr);
	return r < 0 ? complain(args[1], "", r) : 0;
}

/* hash FILE: in hexadecimal on stdout */
static int hash(char **args)
{
	static char chunk[65536];
	unsigned char digest[32];
	struct sha256 sha;
	ssize_t n;
	auto_close int fd = file_open(args[0]);

	if (fd < 0)
		return complain(args[0], "", fd);
	sha256_init(&sha);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		sha256_add(&sha, chunk, (size_t)n);
	if (n < 0)
		return complain(args[0], "", -errno);
	sha256_done(&sha, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		printf("%02x", digest[i]);
	return 0;
}

/* missing TEMPLATE VOLUME: "ENTRIES BYTES" on stdout */
static int missing(char **args)
{
	struct populate_report report;
	int r = populate_missing(args[0], args[1], &report);

	if (r < 0)
		return complain(args[0], report.path.text, r);
	printf("%" PRIu64 " %" PRIu64, report.entries, report.bytes);
	return 0;
}

/* populate TEMPLATE VOLUME: the number of entries made, on stdout */
static int populate_volume(char **args)
{
	struct populate_report report;
	int r = populate(args[0], args[1], &report);

	if (r < 0)
		return complain(args[1], report.path.text, r);
	printf("%" PRIu64, report.entries);
	return 0;
}

/* remove PATH */
static int remove_tree(char **args)
{
	struct tree_path below;
	int r = tree_remove(args[0], &below);

	return r < 0 ? complain(args[0], below.text, r) : 0;
}

/* sync FOLDER */
static int sync_volume(char **args)
{
	int r = file_sync(args[0]);

	return r < 0 ? complain(args[0], "", r) : 0;
}

static const struct word {
	const char *name;
	int count; /* of arguments */
	int (*run)(char **args);
} words[] = {
	{ "copy", 5, copy },          { "hash", 1, hash },
	{ "missing", 2, missing },    { "populate", 2, populate_volume },
	{ "remove", 1, remove_tree }, { "sync", 1, sync_volume },
};

int worker_run(int argc, char **argv)
{
	int i = 1, r;

	for (; i + 1 < argc && strcmp(argv[i], "--fence") == 0; i += 2) {
		r = walk_fence(argv[i + 1]);
		if (r < 0)
			return complain(argv[i + 1], "", r);
	}
	for (size_t w = 0; i < argc && w < ARRAY_SIZE(words); w++) {
		if (strcmp(argv[i], words[w].name) == 0 && argc - i - 1 == words[w].count)
			return words[w].run(argv + i + 1);
	}
	fputs("worker: the init itself calls this\n", stderr);
	return 1;
}
