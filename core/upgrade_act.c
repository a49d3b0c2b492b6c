/* SPDX-License-Identifier: MIT */
/* What was decided for one path is asked of lay.c. */
#include "scan.h"
#include "upgrade_inside.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int get_model(struct walk *w, struct spot *spot, struct stat *ret_model)
{
	if (fstatat(spot->parent->folder->from, spot->name, ret_model, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (scan_type(ret_model->st_mode) == spot->new->type &&
	    (spot->new->type != 'f' || (uint64_t)ret_model->st_size == spot->new->size))
		return 0;
	strcpy(w->p->why, "the template has changed since its manifest was made; "
			  "run `moonrise volume split` again");
	return -ESTALE;
}

/* The place for what is known of a file with several names. */
static struct lay_first *first_of(struct walk *w, uint32_t group)
{
	if (group >= w->first_count) {
		size_t least = (size_t)group + 64, twice = 2 * w->first_count;
		size_t count = least > twice ? least : twice;
		struct lay_first *firsts = realloc(w->firsts, count * sizeof(*firsts));

		if (!firsts)
			return NULL;
		memset(firsts + w->first_count, 0, (count - w->first_count) * sizeof(*firsts));
		w->firsts = firsts;
		w->first_count = count;
	}
	return &w->firsts[group];
}

static bool is_no_link(int error)
{
	return error == -EXDEV || error == -EMLINK || error == -EPERM || error == -ENOENT;
}

static int make_one_of_several(struct walk *w, struct spot *spot, enum lay_how how,
			       const struct stat *model)
{
	struct lay_folder *folder = spot->parent->folder;
	struct lay_first *first = first_of(w, spot->new->group);
	int r;

	if (!first)
		return -ENOMEM;
	if (!first->known)
		return lay_first_made(&w->lay, folder, spot->name, how, model, first);
	r = lay_link(&w->lay, folder, spot->name, how, first);
	return is_no_link(r) ? lay_make(&w->lay, folder, spot->name, how, model, NULL) : r;
}

static int make_folder(struct walk *w, struct spot *spot, enum lay_how how)
{
	struct lay_folder *folder;
	struct level *level;
	int r = lay_make_folder(&w->lay, spot->parent->folder, spot->name, how, &folder);

	if (r < 0)
		return r;
	level = upgrade_push(w, spot->path, folder);
	if (!level)
		return -ENOMEM;
	level->ours = true;
	r = upgrade_enter(w, level);
	return r == 0 ? -ESTALE : r < 0 ? r : 0;
}

struct level *upgrade_stay_in(struct walk *w, struct spot *spot)
{
	bool is_folder = spot->present.there && S_ISDIR(spot->present.st.st_mode);
	struct lay_folder *folder = NULL;

	if (is_folder) {
		folder = lay_folder(&w->lay, spot->parent->folder, spot->name);
		if (!folder)
			return NULL;
	}
	return upgrade_push(w, spot->path, folder);
}

static int make(struct walk *w, struct spot *spot, enum lay_how how, const struct stat *own)
{
	struct stat model;
	int r = get_model(w, spot, &model);

	if (r < 0)
		return r;
	if (spot->new->type == 'd')
		return make_folder(w, spot, how);
	if (how == LAY_REPLACE && S_ISDIR(spot->present.st.st_mode)) {
		struct level *level = upgrade_stay_in(w, spot);

		if (!level)
			return -ENOMEM;
		level->replaced = true;
		level->model = model;
		return 0;
	}
	if (spot->new->group > 0 && !own)
		return make_one_of_several(w, spot, how, &model);
	return lay_make(&w->lay, spot->parent->folder, spot->name, how, &model, own);
}

static int dress(struct walk *w, struct spot *spot)
{
	struct level *level;
	struct stat model;
	int r = get_model(w, spot, &model);

	if (r < 0)
		return r;
	if (spot->new->type == 'f')
		return lay_attributes(&w->lay, spot->parent->folder, spot->name, &model);
	if (spot->new->type != 'd') /* there is no way to change it that follows no link */
		return make(w, spot, LAY_REPLACE, NULL);
	level = upgrade_stay_in(w, spot);
	if (!level)
		return -ENOMEM;
	level->dressed = true;
	level->model = model;
	return 0;
}

static int remove_it(struct walk *w, struct spot *spot)
{
	struct level *level;

	if (!S_ISDIR(spot->present.st.st_mode))
		return lay_remove(&w->lay, spot->parent->folder, spot->name, false);
	level = upgrade_stay_in(w, spot);
	if (!level)
		return -ENOMEM;
	level->removed = true;
	return 0;
}

static void tell(struct walk *w, enum lay_news news, const char *path)
{
	struct populate *p = w->p;

	/* What is refused for a conflict never gets further than the rehearsal. */
	if (p->tell && (w->lay.rehearsal == p->rehearsal ||
			(news == LAY_KEPT_BESIDE && p->on_conflict == POPULATE_FAIL)))
		p->tell(p->context, news, path);
}

static int settle_conflict(struct walk *w, struct spot *spot)
{
	w->p->conflicts += w->lay.rehearsal;
	if (w->p->on_conflict == POPULATE_REPLACE) {
		tell(w, LAY_KEPT_OLD, spot->path);
		return make(w, spot, LAY_SAVE, NULL);
	}
	tell(w, LAY_KEPT_BESIDE, spot->path);
	return make(w, spot, LAY_BESIDE, NULL);
}

/* Another name of what is there may have to be made. */
static int note_first(struct walk *w, struct spot *spot)
{
	struct lay_first *first;

	if (!spot->new || !spot->new->group || !spot->m.content_new || w->lay.rehearsal)
		return 0;
	first = first_of(w, spot->new->group);
	if (!first)
		return -ENOMEM;
	return first->known ? 0 : lay_first_there(&w->lay, spot->parent->folder, spot->name, first);
}

int upgrade_act(struct walk *w, struct spot *spot, enum merge_verdict verdict)
{
	const struct stat *own = &spot->present.st;

	switch (verdict) {
	case MERGE_NOTHING:
		if (spot->m.ours && spot->m.there && spot->new->type == 'd')
			return make_folder(w, spot, LAY_NEW); /* it is continued */
		return note_first(w, spot);
	case MERGE_MAKE:
		if (!spot->m.first)
			tell(w, LAY_MADE, spot->path);
		return make(w, spot, LAY_NEW, NULL);
	case MERGE_REPLACE:
		tell(w, LAY_UPDATED, spot->path);
		return make(w, spot, LAY_REPLACE, NULL);
	case MERGE_CONTENT:
		tell(w, LAY_UPDATED, spot->path);
		return make(w, spot, LAY_REPLACE, own);
	case MERGE_ATTRIBUTES:
		if (spot->m.ours)
			return make(w, spot, LAY_NEW, NULL);
		tell(w, LAY_UPDATED, spot->path);
		return dress(w, spot);
	case MERGE_REMOVE:
		if (w->lay.rehearsal)
			tell(w, LAY_REMOVED, spot->path);
		return remove_it(w, spot);
	case MERGE_KEEP:
		tell(w, LAY_STAYED, spot->path);
		return 0;
	default:
		return settle_conflict(w, spot);
	}
}
