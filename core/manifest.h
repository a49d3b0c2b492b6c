/* SPDX-License-Identifier: MIT */
/* What a template holds, or a whole image: a text file, written once when the image
 * is built, read as a stream. A header, one line for each entry, and a last line:
 *
 *     moonrise-manifest 1 ID
 *     d 0755 0 0 0 1700000000.000000000 - - - etc
 *     f 0644 0 0 12 1700000000.000000000 - - 5f78...e31b etc/motd
 *     l 0777 0 0 0 1700000000.000000000 - - ../etc/motd etc/link
 *     end 3 CHECKSUM
 *
 * type, mode, uid, gid, size, time of modification, number of the group of hard links,
 * digest of the extended attributes; then the SHA-256 of a file, the target of a link or
 * MAJOR:MINOR of a device; then the path. "-" is none. Types are those of `ls -l`, with
 * "f" for a file. A blank, a control character and "%" in a path or target are "%XX".
 *
 * A folder comes right before what it holds, and names in it are sorted by bytes: see
 * entry_compare. The checksum is the SHA-256 of the entries' lines and the header. */
#ifndef MOONRISE_MANIFEST_H
#define MOONRISE_MANIFEST_H

#include "entry.h"
#include "sha256.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define MANIFEST_FORMAT 1
#define MANIFEST_FOLDER ".moonrise" /* at the top of a template or volume */
#define MANIFEST_NAME "manifest"
#define MANIFEST_PATH MANIFEST_FOLDER "/" MANIFEST_NAME
#define MANIFEST_ID_MAX 128

/* Letters, digits and "._:+@/-", up to MANIFEST_ID_MAX of them. */
bool manifest_is_id(const char *text);

/* ---- reading. Nothing of the file is trusted. */

struct manifest_reader {
	int fd;
	char id[MANIFEST_ID_MAX + 1]; /* of the image */
	struct entry entry;
	uint64_t count; /* of entries read so far */
	char why[128];  /* after -EBADMSG: what is wrong */

	bool ended;
	char previous[PATH_MAX];
	char previous_type;
	char header[MANIFEST_ID_MAX + 64];
	struct sha256 hash;
	size_t start, length; /* what is left in the buffer */
	char buffer[65536];
};

/* Reads the header. 0 or -errno: -ENOENT when there is none; -EBADMSG when it is damaged,
 * no manifest at all, or of a newer format. No link is followed in the last place. */
int manifest_open(struct manifest_reader *reader, int folder, const char *name);

/* 1 with the next one in reader->entry, 0 after the last, when the checksum was right, or
 * -errno. So what stands in a damaged file is seen before that is found out. */
int manifest_next(struct manifest_reader *reader);
void manifest_close(struct manifest_reader *reader);

/* ---- writing */

struct manifest_writer {
	int fd, folder;
	char name[NAME_MAX + 1], temporary[NAME_MAX + 1];
	char id[MANIFEST_ID_MAX + 1];
	bool given;           /* the id */
	bool is_synced_later; /* by its user, with more */
	uint64_t count;
	struct sha256 hash, content;
	size_t length;
	char buffer[65536];
};

/* Under a temporary name. `id` is NULL for one that is made of the content: the same for
 * every build of an image that has the same entries, whatever their times. `folder` must
 * stay open. 0 or -errno. */
int manifest_create(struct manifest_writer *writer, int folder, const char *name, const char *id);

/* In the order of entry_compare. 0 or -errno. */
int manifest_add(struct manifest_writer *writer, const struct entry *entry);

/* It is on disk and has its name; writer->id is the id. One that says the same already
 * stays as it is. 0 or -errno. */
int manifest_finish(struct manifest_writer *writer);

/* Nothing of it is left, unless it was finished. */
void manifest_done(struct manifest_writer *writer);

#endif
