/* SPDX-License-Identifier: MIT */
/* One table of words. Fences come first on the command line, since a new process
 * knows of none: worker --fence /data copy FROM TO MODE UID GID. */
#include "worker.h"

#include "changes.h"
#include "entry.h"
#include "file.h"
#include "owners.h"
#include "populate.h"
#include "sha256.h"
#include "snapshot.h"
#include "split_late.h"
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

/* ---- what prints lines has paths in them as a manifest has */

static void print_change(void *context, const char *what, const char *path)
{
	char text[3 * PATH_MAX];

	(void)context;
	entry_escape(path, text);
	printf("%s %s\n", what, text);
}

static int complain_of(const char *path, const struct tree_path *below, const char *why, int r)
{
	if (!why[0])
		return complain(path, below->text, r);
	fprintf(stderr, "%d %s/%s: %s\n", -r, path, below->text, why);
	return 1;
}

/* changes VOLUME: what its user has created, changed and removed */
static int print_changes(char **args)
{
	struct changes changes = { .volume = args[0], .tell = print_change };
	int r = changes_run(&changes);

	return r < 0 ? complain_of(args[0], &changes.path, changes.why, r) : 0;
}

static void print_number(uint32_t number)
{
	printf("%" PRIu32 "\n", number);
}

/* owners VOLUME: numbers, one a line */
static int print_owners(char **args)
{
	struct owners owners = { .volume = args[0] };
	int r = owners_list(&owners, print_number);

	return r < 0 ? complain_of(args[0], &owners.path, owners.why, r) : 0;
}

#define MOVES_MAX 4096

/* give VOLUME [user|group FROM TO]...: how many, line by line, and how many could not be */
static int give(char **args)
{
	static struct owners_move moves[MOVES_MAX];
	struct owners owners = { .volume = args[0], .moves = moves };
	int r;

	for (char **arg = args + 1; arg[0] && arg[1] && arg[2]; arg += 3) {
		if (owners.count == MOVES_MAX)
			return complain(args[0], "", -E2BIG);
		moves[owners.count++] = (struct owners_move){
			.is_group = strcmp(arg[0], "group") == 0,
			.from = (uint32_t)strtoul(arg[1], NULL, 10),
			.to = (uint32_t)strtoul(arg[2], NULL, 10),
		};
	}
	r = owners_give(&owners);
	if (r < 0)
		return complain_of(args[0], &owners.path, owners.why, r);
	for (size_t i = 0; i < owners.count; i++)
		printf("%" PRIu64 "\n", moves[i].count);
	printf("%" PRIu64 "\n", owners.left);
	return 0;
}

#define NEWS_MAX 50 /* of each kind; PID 1 is to hold no more */

static void print_news(void *context, enum lay_news news, const char *path)
{
	static const char *const names[] = {
		[LAY_MADE] = "made",         [LAY_UPDATED] = "updated",
		[LAY_REMOVED] = "removed",   [LAY_KEPT_BESIDE] = "beside",
		[LAY_KEPT_OLD] = "replaced", [LAY_STAYED] = "stayed",
	};
	uint64_t *counts = context;
	char text[3 * PATH_MAX];

	if (counts[news]++ >= NEWS_MAX)
		return;
	entry_escape(path, text);
	printf("%s %s\n", names[news], text);
}

static int run_populate(char **args, bool rehearsal)
{
	static const char *const ways[] = {
		[POPULATE_KEEP] = "keep", [POPULATE_REPLACE] = "replace", [POPULATE_FAIL] = "fail"
	};
	uint64_t counts[LAY_STAYED + 1] = { 0 };
	static struct populate p;
	int r;

	p = (struct populate){ .template = args[0], .volume = args[1], .rehearsal = rehearsal };
	p.tell = print_news;
	p.context = counts;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (strcmp(args[2], ways[i]) == 0)
			p.on_conflict = (int)i;
	r = populate_run(&p);
	printf("counts");
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		printf(" %" PRIu64, counts[i]);
	printf("\nimages %s %s\n", p.old_id[0] ? p.old_id : "-", p.new_id);
	printf("size %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", p.entries, p.bytes,
	       p.free_entries, p.free_bytes);
	if (p.is_small) {
		printf("small\n");
		return 0;
	}
	if (r == -EUCLEAN) {
		printf("conflicts\n");
		return 0;
	}
	if (r < 0)
		return complain_of(p.at_template ? p.template : p.volume, &p.path, p.why, r);
	return 0;
}

/* populate TEMPLATE VOLUME keep|replace|fail */
static int populate_volume(char **args)
{
	return run_populate(args, false);
}

/* plan TEMPLATE VOLUME keep|replace|fail: what populate would do */
static int plan(char **args)
{
	return run_populate(args, true);
}

/* remove PATH */
static int remove_tree(char **args)
{
	struct tree_path below;
	int r = tree_remove(args[0], &below);

	return r < 0 ? complain(args[0], below.text, r) : 0;
}

/* snapshot VOLUME FOLDER PATH... */
static int take_snapshot(char **args)
{
	struct tree_path path = { "" };
	size_t count = 0;
	int r;

	while (args[2 + count])
		count++;
	r = snapshot_take(args[0], args[1], args + 2, count, &path);
	return r < 0 ? complain(args[0], path.text, r) : 0;
}

/* restore VOLUME FOLDER */
static int restore_snapshot(char **args)
{
	struct tree_path path = { "" };
	int r = snapshot_restore(args[0], args[1], &path);

	return r < 0 ? complain(args[0], path.text, r) : 0;
}

/* split TEMPLATE VOLUME file|paths NAME...: see split_late.h */
static int split_image(char **args)
{
	struct path where;
	int r = split_late(args, false, &where);

	return r < 0 ? complain(where.text, "", r) : 0;
}

/* splitting TEMPLATE VOLUME file|paths NAME...: what split would do */
static int plan_split(char **args)
{
	struct path where;
	int r = split_late(args, true, &where);

	return r < 0 ? complain(where.text, "", r) : 0;
}

/* sync FOLDER */
static int sync_volume(char **args)
{
	int r = file_sync(args[0]);

	return r < 0 ? complain(args[0], "", r) : 0;
}

static const struct word {
	const char *name;
	int count; /* of arguments, at least */
	int (*run)(char **args);
} words[] = {
	{ "changes", 1, print_changes },
	{ "copy", 5, copy },
	{ "give", 1, give },
	{ "hash", 1, hash },
	{ "owners", 1, print_owners },
	{ "plan", 3, plan },
	{ "populate", 3, populate_volume },
	{ "remove", 1, remove_tree },
	{ "restore", 2, restore_snapshot },
	{ "snapshot", 2, take_snapshot },
	{ "split", 3, split_image },
	{ "splitting", 3, plan_split },
	{ "sync", 1, sync_volume },
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
		if (strcmp(argv[i], words[w].name) == 0 && argc - i - 1 >= words[w].count)
			return words[w].run(argv + i + 1);
	}
	fputs("worker: the init itself calls this\n", stderr);
	return 1;
}
