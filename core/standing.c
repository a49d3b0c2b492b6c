/* SPDX-License-Identifier: MIT */
/* First everything is found out, then it is printed, in one way or the other. Only what has
 * two versions is looked up while it is printed: there may be many. */
#include "standing.h"

#include "describe.h"
#include "file.h"
#include "say.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* ---- finding out */

static void count(struct standing_list *listed, const struct entry *entry)
{
	listed->all++;
	listed->files += entry->type == 'f';
	listed->folders += entry->type == 'd';
	listed->links += entry->type == 'l';
	listed->bytes += entry->size;
}

/* 0, also when there is none or it is damaged, or -errno. */
static int look_into(int notes, const char *name, struct standing_list *ret_listed)
{
	static struct manifest_reader reader;
	int r = manifest_open(&reader, notes, name);

	*ret_listed = (struct standing_list){ .there = r == 0 || r == -EBADMSG };
	if (r == 0) {
		strcpy(ret_listed->id, reader.id);
		while ((r = manifest_next(&reader)) == 1)
			count(ret_listed, &reader.entry);
		manifest_close(&reader);
	}
	if (r == -EBADMSG)
		strcpy(ret_listed->why, reader.why);
	return r == -ENOENT || r == -EBADMSG ? 0 : r;
}

static int find_unfinished(struct standing *standing)
{
	static struct manifest_reader reader;

	for (int i = 0; i < STANDING_UNFINISHED; i++) {
		char name[32];
		int r;

		snprintf(name, sizeof(name), MANIFEST_NAME "-%d", i + 1);
		r = manifest_open(&reader, standing->notes, name);
		if (r < 0 && r != -ENOENT && r != -EBADMSG)
			return r;
		if (r < 0)
			continue;
		strcpy(standing->unfinished[i], reader.id);
		manifest_close(&reader);
	}
	return 0;
}

int standing_look(struct standing *standing, const char *path)
{
	int r;

	*standing = (struct standing){ .path = path, .top = -1, .notes = -1 };
	standing->top = file_open_folder(standing->path);
	if (standing->top < 0)
		return standing->top;
	standing->notes = tree_open_folder(standing->top, MANIFEST_FOLDER);
	if (standing->notes < 0)
		return standing->notes == -ENOENT ? -ENODATA : standing->notes;
	r = ledger_read(standing->notes, &standing->ledger);
	standing->is_volume = r != -ENOENT;
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	r = look_into(standing->notes, MANIFEST_NAME, &standing->list);
	if (r == 0)
		r = look_into(standing->notes, DESCRIBE_NAME, &standing->image);
	if (r == 0 && standing->is_volume)
		r = find_unfinished(standing);
	return r < 0 || standing->is_volume || standing->list.there ? r : -ENODATA;
}

void standing_done(struct standing *standing)
{
	ledger_done(&standing->ledger);
	cleanup_close(&standing->notes);
	cleanup_close(&standing->top);
}

bool standing_is_damaged(const struct standing *standing)
{
	return standing->ledger.why[0] || standing->list.why[0] || standing->image.why[0];
}

/* Call `each` for what an upgrade has laid, or put, beside a file; where no manifest was laid
 * down there is none. */
static int each_kept(const struct standing *standing, void (*each)(void *context, const char *path),
		     void *context)
{
	static const char *const suffixes[] = { ".image-new", ".user-old" };
	static struct manifest_reader reader;
	char path[PATH_MAX + 16];
	struct stat st;
	int r = standing->is_volume ? manifest_open(&reader, standing->notes, MANIFEST_NAME)
				    : -ENOENT;

	if (r < 0)
		return r == -ENOENT || r == -EBADMSG ? 0 : r;
	while ((r = manifest_next(&reader)) == 1) {
		for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
			snprintf(path, sizeof(path), "%s%s", reader.entry.path, suffixes[i]);
			if (fstatat(standing->top, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
				each(context, path);
		}
	}
	manifest_close(&reader);
	return r == -EBADMSG ? 0 : r;
}

/* ---- as text */

static void print_listed(const char *title, const struct standing_list *listed)
{
	if (!listed->there)
		return;
	if (listed->why[0]) {
		printf("  %-12sits manifest is damaged: %s\n", title, listed->why);
		return;
	}
	printf("  %-12s%" PRIu64 ": %" PRIu64 " files of %" PRIu64 " bytes, %" PRIu64
	       " folders, %" PRIu64 " links",
	       title, listed->all, listed->files, listed->bytes, listed->folders, listed->links);
	if (listed->all > listed->files + listed->folders + listed->links)
		printf(", %" PRIu64 " others",
		       listed->all - listed->files - listed->folders - listed->links);
	putchar('\n');
}

static void print_name(const char *title, const char *name)
{
	printf("  %-12s", title);
	say_text(name);
	putchar('\n');
}

static void print_kept(void *context, const char *path)
{
	(void)context;
	print_name("beside", path);
}

static void print_recorded(const struct ledger_entry *entry)
{
	static const struct {
		const char *what, *title;
	} titles[] = { { "begin", "begun" }, { "keep", "upgrading" }, { "image", "booted with" } };
	const char *title = entry->what;

	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		if (strcmp(entry->what, titles[i].what) == 0)
			title = titles[i].title;
	printf("  %-12s", title);
	say_text(entry->name);
	if (entry->image) {
		fputs(", for ", stdout);
		say_text(entry->image);
	}
	putchar('\n');
}

int standing_print(const struct standing *standing)
{
	say_text(standing->path);
	printf(": %s, format %d\n", standing->is_volume ? "volume" : "template",
	       standing->is_volume ? LEDGER_FORMAT : MANIFEST_FORMAT);
	if (standing->list.id[0])
		print_name("image", standing->list.id);
	print_listed("entries", &standing->list);
	print_listed("whole image", &standing->image);
	for (int i = 0; i < STANDING_UNFINISHED; i++)
		if (standing->unfinished[i][0])
			print_name("unfinished", standing->unfinished[i]);
	if (standing->ledger.why[0])
		printf("  %-12s%s\n", "record", standing->ledger.why);
	for (size_t i = 0; !standing->ledger.why[0] && i < standing->ledger.count; i++)
		print_recorded(&standing->ledger.entries[i]);
	return each_kept(standing, print_kept, NULL);
}

/* ---- as JSON */

static void field(const char *name, const char *text)
{
	printf(", \"%s\": ", name);
	if (text[0])
		say_json(text);
	else
		fputs("null", stdout);
}

static void list_item(bool *any, const char *text)
{
	fputs(*any ? ", " : "", stdout);
	say_json(text);
	*any = true;
}

static void json_listed(const char *name, const struct standing_list *listed)
{
	printf(", \"%s\": ", name);
	if (listed->there && !listed->why[0])
		printf("{\"all\": %" PRIu64 ", \"files\": %" PRIu64 ", \"folders\": %" PRIu64
		       ", \"links\": %" PRIu64 ", \"bytes\": %" PRIu64 "}",
		       listed->all, listed->files, listed->folders, listed->links, listed->bytes);
	else
		fputs("null", stdout);
}

static void json_record(const struct standing *standing, const char *name, const char *what)
{
	const struct ledger *ledger = &standing->ledger;
	bool any = false;

	printf(", \"%s\": [", name);
	for (size_t i = 0; !ledger->why[0] && i < ledger->count; i++)
		if (strcmp(ledger->entries[i].what, what) == 0)
			list_item(&any, ledger->entries[i].name);
	putchar(']');
}

static void json_upgraded(const struct standing *standing)
{
	const char *before = "";

	fputs(", \"upgraded\": [", stdout);
	for (size_t i = 0; !standing->ledger.why[0] && i < standing->ledger.count; i++) {
		const struct ledger_entry *entry = &standing->ledger.entries[i];

		if (!entry->image)
			continue;
		printf("%s{\"step\": ", before);
		say_json(entry->name);
		fputs(", \"image\": ", stdout);
		say_json(entry->image);
		putchar('}');
		before = ", ";
	}
	putchar(']');
}

static void json_unfinished(const struct standing *standing)
{
	bool any = false;

	fputs(", \"unfinished\": [", stdout);
	for (int i = 0; i < STANDING_UNFINISHED; i++)
		if (standing->unfinished[i][0])
			list_item(&any, standing->unfinished[i]);
	putchar(']');
}

static void json_kept(void *context, const char *path)
{
	list_item(context, path);
}

static void json_faults(const struct standing *standing)
{
	const char *const whys[] = { standing->ledger.why, standing->list.why,
				     standing->image.why };
	bool any = false;

	fputs(", \"faults\": [", stdout);
	for (size_t i = 0; i < ARRAY_SIZE(whys); i++)
		if (whys[i][0])
			list_item(&any, whys[i]);
	putchar(']');
}

int standing_print_json(const struct standing *standing)
{
	bool any = false;
	int r;

	fputs("{\"path\": ", stdout);
	say_json(standing->path);
	field("kind", standing->is_volume ? "volume" : "template");
	printf(", \"format\": %d", standing->is_volume ? LEDGER_FORMAT : MANIFEST_FORMAT);
	field("image", standing->list.id);
	json_listed("entries", &standing->list);
	json_listed("whole_image", &standing->image);
	json_unfinished(standing);
	json_record(standing, "done", "done");
	json_record(standing, "begun", "begin");
	json_upgraded(standing);
	json_record(standing, "upgrading", "keep");
	json_record(standing, "images", "image");
	fputs(", \"beside\": [", stdout);
	r = each_kept(standing, json_kept, &any);
	putchar(']');
	json_faults(standing);
	putchar('}');
	return r;
}
