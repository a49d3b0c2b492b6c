/* SPDX-License-Identifier: MIT */
/* A rehearsal comes first: it reads all manifests to their end, so a damaged one is
 * found before anything is changed, and it counts the room that is needed. */
#include "populate.h"

#include "copy.h"
#include "crew.h"
#include "file.h"
#include "present.h"
#include "scan.h"
#include "upgrade.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#define HASHED_MAX (1 << 20)   /* larger files are told apart by time: users edit small ones */
#define SCANNED "manifest-new" /* the template's, when it has none */

/* The hashes of a template that has no manifest. For the first laying they are only needed
 * at its end: so they are made from files that were just read, while the disk writes. */
struct hashing {
	struct work *work;
	const char *from;    /* the manifest without them */
	char path[PATH_MAX]; /* in the template, after an error */
	struct manifest_reader reader;
	struct manifest_writer writer;
	struct crew crew;
	bool begun;
};

/* What is open while we are at it. */
struct work {
	struct populate *p;
	int from, to;           /* template and volume */
	int given, notes;       /* .moonrise in the template and in the volume; -1: none */
	char scratch[PATH_MAX]; /* a folder for the template's manifest, when there is none */
	bool scanned;
	uint64_t scanned_entries, scanned_bytes;
	struct hashing *hashing; /* NULL: the template's manifest has its hashes */
	struct upgrade_stream streams[UPGRADE_STREAMS];
};

/* ---- the notes in a volume */

const char *populate_note(int stream)
{
	static const char *const names[UPGRADE_STREAMS] = {
		[UPGRADE_BASE] = MANIFEST_NAME,   [UPGRADE_CUT] = "manifest-1",
		[UPGRADE_CUT + 1] = "manifest-2", [UPGRADE_CUT + 2] = "manifest-3",
		[UPGRADE_CUT + 3] = "manifest-4",
	};

	return names[stream];
}

static int open_stream(struct work *work, int number, int folder, const char *name)
{
	struct upgrade_stream *stream = &work->streams[number];
	int r = manifest_open(&stream->reader, folder, name);

	stream->live = stream->here = false;
	stream->used = r == 0;
	snprintf(stream->path, sizeof(stream->path), MANIFEST_FOLDER "/%s", name);
	stream->in_template = number == UPGRADE_NEW && !work->scanned;
	return r == -ENOENT ? r : upgrade_at(work->p, stream, r);
}

static int open_notes(struct work *work)
{
	for (int i = UPGRADE_BASE; work->notes >= 0 && i < UPGRADE_STREAMS; i++) {
		int r = open_stream(work, i, work->notes, populate_note(i));

		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

static void close_streams(struct work *work)
{
	for (int i = 0; i < UPGRADE_STREAMS; i++) {
		if (work->streams[i].used)
			manifest_close(&work->streams[i].reader);
		work->streams[i].used = false;
	}
}

/* ---- the template's manifest */

struct listing {
	struct work *work;
	struct manifest_writer writer;
};

static int add_entry(void *context, const struct entry *entry)
{
	struct listing *listing = context;

	listing->work->scanned_entries++;
	listing->work->scanned_bytes += entry->size;
	return manifest_add(&listing->writer, entry);
}

static int scan_template(struct work *work, int folder)
{
	auto_free struct listing *listing = calloc(1, sizeof(*listing));
	struct scan scan = { .most = HASHED_MAX, .add = add_entry, .context = listing };
	struct manifest_writer *writer;
	int r;

	if (!work->streams[UPGRADE_BASE].used)
		work->hashing = calloc(1, sizeof(*work->hashing));
	else
		scan.hash = true;
	if (!listing || (!scan.hash && !work->hashing))
		return -ENOMEM;
	if (work->hashing) {
		work->hashing->work = work;
		work->hashing->writer.fd = -1;
	}
	listing->work = work;
	writer = &listing->writer;
	r = manifest_create(writer, folder, SCANNED, NULL);
	writer->is_synced_later = true;
	if (r == 0)
		r = scan_tree(work->from, &scan, &work->p->path);
	if (r == 0) {
		strcpy(work->p->path.text, MANIFEST_FOLDER "/" SCANNED);
		r = manifest_finish(writer);
	}
	manifest_done(writer);
	return r;
}

/* Is it the next one of the last manifest? If that is damaged, it is found out later. */
static int compare_entry(void *context, const struct entry *entry)
{
	struct manifest_reader *base = context;
	int r = manifest_next(base);

	return r == 1 && strcmp(entry->path, base->entry.path) == 0 &&
			       entry->group == base->entry.group &&
			       present_same_content(entry, &base->entry) &&
			       present_same_attributes(entry, &base->entry)
		       ? 0
		       : -ESTALE;
}

/* 1 when the template is, entry by entry, what was laid last, 0 or -errno. */
static int is_same_template(struct work *work)
{
	struct upgrade_stream *base = &work->streams[UPGRADE_BASE];
	struct scan scan = { .add = compare_entry, .context = &base->reader };
	int r;

	if (!base->used || work->streams[UPGRADE_CUT].used)
		return 0;
	r = scan_tree(work->from, &scan, &work->p->path);
	if (r == 0)
		r = manifest_next(&base->reader) == 0 ? 1 : -ESTALE;
	return r == -ESTALE ? 0 : r;
}

/* Where the manifest of a template without one is made: in the volume, unless nothing
 * may be changed there. A descriptor or -errno. */
static int open_scratch(struct work *work)
{
	const char *where = getenv("TMPDIR");
	int r;

	if (!work->p->rehearsal)
		return fcntl(work->notes, F_DUPFD_CLOEXEC, 0);
	if (!where || where[0] != '/')
		where = "/tmp";
	snprintf(work->scratch, sizeof(work->scratch), "%s/moonrise-check-XXXXXX", where);
	if (mkdtemp(work->scratch))
		return tree_open_folder(AT_FDCWD, work->scratch);
	r = -errno;
	snprintf(work->p->why, sizeof(work->p->why), "no folder can be made in %.80s: %s", where,
		 strerror(-r));
	work->scratch[0] = '\0';
	return r;
}

static const char *given_name(const struct work *work)
{
	return work->scanned ? SCANNED : MANIFEST_NAME;
}

/* 1 when there is nothing to do, 0 or -errno. */
static int find_manifest(struct work *work)
{
	struct upgrade_stream *base = &work->streams[UPGRADE_BASE];
	int r;

	work->given = tree_open_folder(work->from, MANIFEST_FOLDER);
	r = work->given < 0 ? work->given
			    : open_stream(work, UPGRADE_NEW, work->given, given_name(work));
	if (r == 0)
		return base->used && !work->streams[UPGRADE_CUT].used &&
		       strcmp(base->reader.id, work->streams[UPGRADE_NEW].reader.id) == 0;
	if (r != -ENOENT)
		return r;
	r = is_same_template(work);
	if (r != 0)
		return r;
	cleanup_close(&work->given);
	work->given = open_scratch(work);
	work->scanned = true;
	r = work->given < 0 ? work->given : scan_template(work, work->given);
	return r < 0 ? r : open_stream(work, UPGRADE_NEW, work->given, given_name(work));
}

/* ---- begin and end of a laying */

static int slot_for(const struct work *work, bool *ret_noted)
{
	const struct upgrade_stream *streams = work->streams;
	int i = UPGRADE_CUT;

	*ret_noted = false;
	for (int at = UPGRADE_CUT; at < UPGRADE_STREAMS; at++) {
		*ret_noted = streams[at].used &&
			     strcmp(streams[at].reader.id, streams[UPGRADE_NEW].reader.id) == 0;
		if (*ret_noted)
			return at;
	}
	while (i < UPGRADE_STREAMS - 1 && streams[i].used)
		i++;
	return i;
}

static int copy_given(struct work *work, const char *name)
{
	char temporary[NAME_MAX + 1];
	struct tree_path below = { "" };
	struct stat model;
	int r;

	file_temporary_name(name, temporary);
	r = tree_remove_at(work->notes, temporary, &below);
	if (r < 0)
		return r;
	if (fstatat(work->given, given_name(work), &model, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	r = copy_entry(work->given, given_name(work), &model, work->notes, temporary, NULL);
	auto_close int fd = r < 0 ? -1 : file_open_at(work->notes, temporary);
	if (r == 0 && (fd < 0 || fsync(fd) < 0))
		r = fd < 0 ? fd : -errno;
	return r < 0 ? r : file_publish(work->notes, temporary, name, true);
}

/* From now on, what is there may be the new template's. The sync that comes before the
 * first name is given covers this name, too. */
static int note_begin(struct work *work, int *ret_slot)
{
	bool noted;
	int r = 0;

	*ret_slot = slot_for(work, &noted);
	if (!noted)
		r = copy_given(work, populate_note(*ret_slot));
	if (r < 0)
		snprintf(work->p->path.text, sizeof(work->p->path.text), MANIFEST_FOLDER "/%s",
			 populate_note(*ret_slot));
	return r;
}

static int add_hashed(struct hashing *hashing)
{
	struct entry *entry = &hashing->reader.entry;
	int r = 0;

	if (entry->type == 'f' && entry->size <= HASHED_MAX) {
		r = scan_hash(hashing->work->from, entry->path, entry->hash);
		entry->has_hash = true;
	}
	if (r < 0)
		strcpy(hashing->path, entry->path);
	return r < 0 ? r : manifest_add(&hashing->writer, entry);
}

static int add_hashes(void *context)
{
	struct hashing *hashing = context;
	int r = manifest_open(&hashing->reader, hashing->work->notes, hashing->from);

	if (r < 0)
		return r;
	r = manifest_create(&hashing->writer, hashing->work->notes, populate_note(UPGRADE_BASE),
			    NULL);
	while (r == 0 && (r = manifest_next(&hashing->reader)) == 1)
		r = add_hashed(hashing);
	manifest_close(&hashing->reader);
	return r;
}

static void keep_hashing(void *context)
{
	(void)context; /* close_work */
}

static int begin_hashing(void *context)
{
	struct hashing *hashing = context;

	hashing->begun = true;
	crew_begin(&hashing->crew, add_hashes, keep_hashing);
	return crew_add(&hashing->crew, hashing);
}

static int end_hashing(struct work *work)
{
	struct hashing *hashing = work->hashing;
	int r = crew_wait(&hashing->crew);

	if (r == 0)
		r = manifest_finish(&hashing->writer);
	if (r == 0)
		strcpy(work->p->new_id, hashing->writer.id);
	work->p->at_template = hashing->path[0];
	strcpy(work->p->path.text, hashing->path[0] ? hashing->path : MANIFEST_PATH);
	return r;
}

static void drop_hashing(struct hashing *hashing)
{
	if (hashing && hashing->begun) {
		crew_done(&hashing->crew);
		manifest_done(&hashing->writer);
	}
	free(hashing);
}

/* The new one is the last one now; those that were cut short no longer matter. */
static int note_end(struct work *work, int slot)
{
	int r = work->hashing ? end_hashing(work) : 0;

	if (r < 0)
		return r;
	if (!work->hashing && renameat(work->notes, populate_note(slot), work->notes,
				       populate_note(UPGRADE_BASE)) < 0)
		r = -errno;
	for (int i = UPGRADE_CUT; r == 0 && i < UPGRADE_STREAMS; i++)
		if (unlinkat(work->notes, populate_note(i), 0) < 0 && errno != ENOENT)
			r = -errno;
	if (r == 0)
		r = file_sync_names(work->notes);
	if (r < 0)
		strcpy(work->p->path.text, MANIFEST_PATH);
	return r;
}

/* ---- all of it */

static int walk(struct work *work, bool rehearsal)
{
	struct upgrade_stream *streams[UPGRADE_STREAMS];
	int r;

	close_streams(work);
	r = open_notes(work);
	if (r == 0)
		r = open_stream(work, UPGRADE_NEW, work->given, given_name(work));
	for (int i = 0; i < UPGRADE_STREAMS; i++)
		streams[i] = &work->streams[i];
	if (r < 0)
		return r;
	return upgrade_walk(work->p, streams, work->from, work->to, rehearsal,
			    work->hashing && !rehearsal ? begin_hashing : NULL, work->hashing);
}

static int check_room(struct work *work)
{
	struct populate *p = work->p;
	struct statvfs space;

	if (fstatvfs(work->to, &space) < 0)
		return -errno;
	p->free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
	p->free_entries = space.f_files ? space.f_favail : UINT64_MAX;
	p->is_small = p->bytes > p->free_bytes || p->entries > p->free_entries;
	return p->is_small ? -ENOSPC : 0;
}

/* It counts what is missing, tells conflicts and finds damage. Of what was just scanned, all
 * may be missing as far as there is room for it, and a first laying has no conflicts. */
static int rehearse(struct work *work)
{
	struct populate *p = work->p;

	if (work->hashing && !p->rehearsal) {
		p->entries = work->scanned_entries;
		p->bytes = work->scanned_bytes;
		if (check_room(work) == 0)
			return 0;
	}
	return walk(work, true);
}

static int lay_down(struct work *work)
{
	struct populate *p = work->p;
	int slot = UPGRADE_CUT, r = rehearse(work);

	if (r == 0 && p->on_conflict == POPULATE_FAIL && p->conflicts > 0)
		r = -EUCLEAN;
	if (r < 0 || p->rehearsal)
		return r;
	r = check_room(work);
	if (r == 0)
		r = note_begin(work, &slot);
	if (work->hashing)
		work->hashing->from = populate_note(slot);
	if (r == 0)
		r = walk(work, false);
	return r < 0 ? r : note_end(work, slot);
}

static int open_work(struct work *work)
{
	struct populate *p = work->p;

	work->from = file_open_folder(p->template);
	p->at_template = work->from < 0;
	if (work->from < 0)
		return work->from;
	work->to = file_open_folder(p->volume);
	if (work->to < 0)
		return work->to;
	work->notes = tree_open_folder(work->to, MANIFEST_FOLDER);
	if (work->notes >= 0 || (p->rehearsal && work->notes == -ENOENT))
		return 0;
	strcpy(p->path.text, MANIFEST_FOLDER);
	return work->notes;
}

static void close_work(struct work *work)
{
	close_streams(work);
	drop_hashing(work->hashing);
	if (work->given >= 0 && work->scanned)
		(void)unlinkat(work->given, SCANNED, 0);
	if (work->scratch[0])
		(void)rmdir(work->scratch);
	cleanup_close(&work->given);
	cleanup_close(&work->notes);
	cleanup_close(&work->to);
	cleanup_close(&work->from);
	free(work);
}

static int run(struct work *work)
{
	struct populate *p = work->p;
	mode_t mask = umask(0);
	int r = open_work(work);

	if (r == 0)
		r = open_notes(work);
	if (r == 0)
		r = find_manifest(work);
	if (work->streams[UPGRADE_BASE].used)
		strcpy(p->old_id, work->streams[UPGRADE_BASE].reader.id);
	if (r == 0)
		strcpy(p->new_id, work->streams[UPGRADE_NEW].reader.id);
	else if (r == 1)
		strcpy(p->new_id, p->old_id);
	if (r == 0)
		r = lay_down(work);
	umask(mask);
	return r < 0 ? r : 0;
}

int populate_run(struct populate *p)
{
	struct work *work = calloc(1, sizeof(*work));
	int r;

	if (!work)
		return -ENOMEM;
	work->p = p;
	work->from = work->to = work->given = work->notes = -1;
	r = run(work);
	close_work(work);
	return r;
}
