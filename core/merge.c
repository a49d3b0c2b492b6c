/* SPDX-License-Identifier: MIT */
#include "merge.h"

/* What is missing was removed by its user, unless it can't have been. */
static enum merge_verdict decide_missing(const struct merge *m)
{
	if (!m->in_new)
		return MERGE_NOTHING;
	return m->in_base && m->in_all && !m->other_type && !m->ours ? MERGE_NOTHING : MERGE_MAKE;
}

static enum merge_verdict decide_dropped(const struct merge *m)
{
	return m->ours || (m->content_laid && m->attributes_laid) ? MERGE_REMOVE : MERGE_KEEP;
}

static enum merge_verdict decide_attributes(const struct merge *m)
{
	if (m->attributes_new || !(m->ours || m->attributes_laid))
		return MERGE_NOTHING;
	return MERGE_ATTRIBUTES;
}

enum merge_verdict merge_decide(const struct merge *m)
{
	if (!m->there)
		return decide_missing(m);
	if (!m->in_new)
		return decide_dropped(m);
	if (m->content_new)
		return decide_attributes(m);
	if (m->ours || (m->content_laid && m->attributes_laid))
		return MERGE_REPLACE;
	if (m->content_laid)
		return MERGE_CONTENT;
	if (m->first) /* it was there before us */
		return MERGE_NOTHING;
	if (m->in_base && !m->content_changed)
		return m->attributes_changed ? decide_attributes(m) : MERGE_NOTHING;
	return MERGE_CONFLICT;
}
