/* SPDX-License-Identifier: MIT */
/* Where the manifests say the same, the disk is not looked at. */
#include "cred.h"
#include "scan.h"
#include "upgrade_inside.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- levels */

static struct level *top_of(struct walk *w)
{
	return &w->levels[w->depth - 1];
}

struct level *upgrade_push(struct walk *w, const char *path, struct lay_folder *folder)
{
	if (w->depth == w->room) {
		size_t room = w->room ? 2 * w->room : 32;
		struct level *levels = realloc(w->levels, room * sizeof(*levels));

		if (!levels)
			return NULL;
		w->levels = levels;
		w->room = room;
	}
	if (path != w->path)
		strcpy(w->path, path);
	w->levels[w->depth] = (struct level){ .length = strlen(path), .folder = folder };
	return &w->levels[w->depth++];
}

static void drop_level(struct walk *w, struct level *level)
{
	if (level->opened)
		lay_close(&w->lay, level->folder);
	if (level->folder && level->folder != &w->lay.top)
		lay_drop(&w->lay, level->folder);
	level->folder = NULL;
	level->opened = false;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* All in the folder was seen. */
static int leave(struct walk *w)
{
	struct level *level = top_of(w), *parent = level - 1;
	const char *name;
	int r = 0;

	w->path[level->length] = '\0';
	name = name_of(w->path);
	if (level->ours)
		r = lay_leave(&w->lay, level->folder);
	else if (level->removed)
		r = lay_remove(&w->lay, parent->folder, name, true);
	else if (level->replaced)
		r = lay_make(&w->lay, parent->folder, name, LAY_REPLACE, &level->model, NULL);
	else if (level->dressed)
		r = lay_attributes(&w->lay, parent->folder, name, &level->model);
	drop_level(w, level);
	w->depth--;
	w->path[top_of(w)->length] = '\0';
	return r;
}

static bool leads_to(const struct walk *w, const struct level *level, const char *path)
{
	return level->length == 0 ||
	       (strncmp(w->path, path, level->length) == 0 && path[level->length] == '/');
}

static int leave_for(struct walk *w, const char *path)
{
	int r = 0;

	while (r == 0 && w->depth > 1 && !leads_to(w, top_of(w), path))
		r = leave(w);
	return r;
}

int upgrade_enter(struct walk *w, struct level *level)
{
	int r = 0;

	if (level->folder && !level->opened) {
		r = lay_open(&w->lay, level->folder);
		level->opened = r == 0;
		if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) {
			drop_level(w, level);
			r = 0;
		}
	}
	return r < 0 ? r : level->opened;
}

/* ---- one path */

static bool same_entry(const struct entry *a, const struct entry *b)
{
	return present_same_content(a, b) && present_same_attributes(a, b);
}

static const struct entry *entry_in(const struct walk *w, int stream)
{
	const struct upgrade_stream *s = w->streams[stream];

	return s->used && s->here ? &s->reader.entry : NULL;
}

/* All that was ever laid down here is what the template has. */
static bool is_unchanged(const struct walk *w, const struct spot *spot)
{
	if (!spot->new || !spot->base || spot->parent->ours)
		return false;
	for (int i = UPGRADE_BASE; i < UPGRADE_STREAMS; i++) {
		const struct entry *laid = entry_in(w, i);

		if (w->streams[i]->used && (!laid || !same_entry(spot->new, laid)))
			return false;
	}
	return true;
}

static int at_spot(struct walk *w, const struct spot *spot, int r)
{
	if (r < 0 && !w->lay.failed)
		strcpy(w->p->path.text, spot->path);
	return r;
}

/* The template's file, when its manifest has no hash of it. */
static int has_new_content(struct spot *spot)
{
	struct entry *new = (struct entry *)spot->new;
	const struct present *present = &spot->present;
	int r;

	if (spot->m.ours && new->type == 'f' && !entry_same_time(&present->st.st_mtim, &new->mtime))
		return 0; /* the time is the last that a file gets */
	r = present_has_content(&spot->present, new);
	if (r != 0 || new->type != 'f' || new->has_hash || scan_type(present->st.st_mode) != 'f' ||
	    (uint64_t)present->st.st_size != new->size)
		return r;
	r = scan_hash(spot->parent->folder->from, spot->name, new->hash);
	if (r < 0)
		return r;
	new->has_hash = true;
	return present_has_content(&spot->present, new);
}

static int compare_with_laid(struct walk *w, struct spot *spot)
{
	for (int i = UPGRADE_BASE; i < UPGRADE_STREAMS; i++) {
		const struct entry *laid = entry_in(w, i);
		int r;

		if (!laid)
			continue;
		r = present_has_content(&spot->present, laid);
		if (r < 0)
			return r;
		spot->m.content_laid |= r;
		r = present_has_attributes(&spot->present, laid, w->with_owner);
		if (r < 0)
			return r;
		spot->m.attributes_laid |= r;
	}
	return 0;
}

/* Attributes are changed where they are, one call after the other. When that was cut
 * short, some are those of one template and some are those of another. */
static bool is_half_dressed(const struct walk *w, const struct spot *spot)
{
	bool owner = false, mode = false, changed = false;

	for (int i = 0; i < UPGRADE_STREAMS; i++) {
		const struct entry *entry = entry_in(w, i);

		if (!entry)
			continue;
		owner |= present_has_owner(&spot->present, entry, w->with_owner);
		mode |= present_has_mode(&spot->present, entry);
		changed |= spot->base && !present_same_attributes(entry, spot->base);
	}
	return w->cut && changed && owner && mode;
}

static int compare(struct walk *w, struct spot *spot)
{
	struct merge *m = &spot->m;
	int r = 0;

	if (spot->new) {
		r = has_new_content(spot);
		m->content_new = r > 0;
		if (r >= 0)
			r = present_has_attributes(&spot->present, spot->new, w->with_owner);
		m->attributes_new = r > 0;
	}
	m->attributes_laid = is_half_dressed(w, spot);
	return r < 0 ? r : compare_with_laid(w, spot);
}

static void compare_templates(const struct walk *w, struct spot *spot)
{
	struct merge *m = &spot->m;

	m->first = !w->streams[UPGRADE_BASE]->used;
	m->in_new = spot->new;
	m->in_base = spot->base;
	m->in_all = true;
	m->ours = spot->parent->ours;
	for (int i = UPGRADE_BASE; i < UPGRADE_STREAMS; i++) {
		const struct entry *laid = entry_in(w, i);

		m->in_all &= laid || !w->streams[i]->used;
		if (laid && spot->new &&present_deceives(laid, spot->new))
			spot->present.read_it = true;
	}
	if (!spot->new || !spot->base)
		return;
	m->other_type = spot->new->type != spot->base->type;
	m->content_changed = !present_same_content(spot->new, spot->base);
	m->attributes_changed = !present_same_attributes(spot->new, spot->base);
}

/* In a folder that was just made there is nothing. */
static int look(struct walk *w, struct spot *spot)
{
	const struct lay_folder *folder = spot->parent->folder;
	int r = 0;

	if (!folder->is_new)
		r = present_look(&spot->present, folder->to, spot->name);
	compare_templates(w, spot);
	spot->m.there = spot->present.there;
	spot->present.read_it |= spot->m.ours;
	/* Before the first time, only what one of ours may have left matters. */
	if (r == 0 && spot->m.there && (!spot->m.first || w->cut || spot->m.ours))
		r = compare(w, spot);
	return r;
}

static int visit_changed(struct walk *w, struct spot *spot)
{
	enum merge_verdict verdict;
	size_t depth = w->depth;
	int r = upgrade_enter(w, spot->parent);

	if (r == 1) {
		r = look(w, spot);
		if (r < 0)
			return r;
		verdict = merge_decide(&spot->m);
		if (w->cut && !spot->parent->folder->is_new)
			r = verdict == MERGE_MAKE || verdict == MERGE_REPLACE
				    ? 0
				    : lay_forget(&w->lay, spot->parent->folder, spot->name);
		if (r == 0)
			r = upgrade_act(w, spot, verdict);
	}
	if (r == 0 && spot->any_folder && w->depth == depth)
		r = upgrade_stay_in(w, spot) ? 0 : -ENOMEM;
	return r;
}

/* Nothing but to know the way, should something below have changed. */
static int pass(struct walk *w, const struct spot *spot)
{
	struct lay_folder *folder = NULL;

	if (spot->new->type != 'd')
		return 0;
	if (spot->parent->folder) {
		folder = lay_folder(&w->lay, spot->parent->folder, spot->name);
		if (!folder)
			return -ENOMEM;
	}
	return upgrade_push(w, spot->path, folder) ? 0 : -ENOMEM;
}

static int visit(struct walk *w, const char *path)
{
	struct spot spot = { .path = path, .name = name_of(path) };
	int r = leave_for(w, path);

	if (r < 0)
		return r;
	spot.parent = top_of(w);
	spot.new = entry_in(w, UPGRADE_NEW);
	spot.base = entry_in(w, UPGRADE_BASE);
	for (int i = 0; i < UPGRADE_STREAMS; i++)
		spot.any_folder |= entry_in(w, i) && entry_in(w, i)->type == 'd';
	return at_spot(w, &spot, is_unchanged(w, &spot) ? pass(w, &spot) : visit_changed(w, &spot));
}

/* ---- the streams */

int upgrade_at(struct populate *p, const struct upgrade_stream *stream, int r)
{
	if (r < 0) {
		strcpy(p->path.text, stream->path);
		p->at_template = stream->in_template;
	}
	if (r == -EBADMSG)
		strcpy(p->why, stream->reader.why);
	return r;
}

static int advance(struct walk *w, struct upgrade_stream *stream)
{
	int r = manifest_next(&stream->reader);

	stream->live = r == 1;
	return r < 0 ? upgrade_at(w->p, stream, r) : 0;
}

/* The first path that any has; NULL after the last. */
static const char *next_path(struct walk *w)
{
	const char *first = NULL;

	for (int i = 0; i < UPGRADE_STREAMS; i++) {
		const struct upgrade_stream *s = w->streams[i];

		if (s->used && s->live &&
		    (!first || entry_compare(s->reader.entry.path, first) < 0))
			first = s->reader.entry.path;
	}
	for (int i = 0; i < UPGRADE_STREAMS; i++) {
		struct upgrade_stream *s = w->streams[i];

		s->here = s->used && s->live && strcmp(s->reader.entry.path, first) == 0;
	}
	return first;
}

static int walk_all(struct walk *w)
{
	const char *path;
	int r = 0;

	for (int i = 0; r == 0 && i < UPGRADE_STREAMS; i++)
		if (w->streams[i]->used)
			r = advance(w, w->streams[i]);
	while (r == 0 && (path = next_path(w))) {
		r = visit(w, path);
		for (int i = 0; r == 0 && i < UPGRADE_STREAMS; i++)
			if (w->streams[i]->here)
				r = advance(w, w->streams[i]);
	}
	while (r == 0 && w->depth > 1)
		r = leave(w);
	return r;
}

static int begin(struct walk *w, struct populate *p, int from, int to, bool rehearsal)
{
	struct level *top;
	int r;

	w->lay.rehearsal = rehearsal;
	w->lay.where = &p->path;
	w->lay.tell = p->tell;
	w->lay.context = p->context;
	w->with_owner = cred_effective() & UINT64_C(1) << CAP_CHOWN;
	for (int i = UPGRADE_BASE + 1; i < UPGRADE_STREAMS; i++)
		w->cut |= w->streams[i]->used;
	r = lay_begin(&w->lay, from, to);
	if (r < 0)
		return r;
	top = upgrade_push(w, "", &w->lay.top);
	return top ? 0 : -ENOMEM;
}

static void end(struct walk *w)
{
	while (w->depth > 0)
		drop_level(w, &w->levels[--w->depth]);
	for (size_t i = 0; i < w->first_count; i++)
		lay_first_done(&w->lay, &w->firsts[i]);
	free(w->firsts);
	free(w->levels);
	lay_done(&w->lay);
}

int upgrade_walk(struct populate *p, struct upgrade_stream **streams, int from, int to,
		 bool rehearsal, int (*made)(void *context), void *context)
{
	struct walk w = { .p = p, .streams = streams };
	int r = begin(&w, p, from, to, rehearsal);

	if (r == 0)
		r = walk_all(&w);
	if (r == 0 && made)
		r = lay_wait(&w.lay);
	if (r == 0 && made)
		r = made(context);
	if (r == 0)
		r = lay_finish(&w.lay);
	p->entries = w.lay.entries;
	p->bytes = w.lay.bytes;
	end(&w);
	return r;
}
