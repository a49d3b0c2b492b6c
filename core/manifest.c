/* SPDX-License-Identifier: MIT */
/* The header can only be written when the last entry is known, since the id may be made
 * of them; it has its place from the start, and comes last into the checksum. */
#include "manifest.h"

#include "file.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#define MAGIC "moonrise-manifest "
#define NO_ID "0000000000000000000000000000000000000000000000000000000000000000"

bool manifest_is_id(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._:+@/-";
	size_t length = strspn(text, allowed);

	return length > 0 && length <= MANIFEST_ID_MAX && text[length] == '\0';
}

static void hex_of(const struct sha256 *hash, char ret_text[static 65])
{
	struct sha256 end = *hash;
	unsigned char digest[32];

	sha256_done(&end, digest);
	for (int i = 0; i < 32; i++)
		sprintf(ret_text + 2 * i, "%02x", digest[i]);
}

/* ---- reading */

__attribute__((format(printf, 2, 3))) static int damaged(struct manifest_reader *reader,
							 const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(reader->why, sizeof(reader->why), fmt, args);
	va_end(args);
	return -EBADMSG;
}

static int damaged_line(struct manifest_reader *reader, const char *why)
{
	return damaged(reader, "line %" PRIu64 ": %s", reader->count + 2, why);
}

/* More of the file behind what is left in the buffer: how much, 0 at its end. */
static ssize_t fill(struct manifest_reader *reader)
{
	ssize_t n;

	memmove(reader->buffer, reader->buffer + reader->start, reader->length);
	reader->start = 0;
	do
		n = read(reader->fd, reader->buffer + reader->length,
			 sizeof(reader->buffer) - reader->length);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	reader->length += (size_t)n;
	return n;
}

/* 1 with the next line, which is NUL-terminated in place of its newline, 0 at the end of
 * the file, or -errno. */
static int next_line(struct manifest_reader *reader, char **ret_line, size_t *ret_length)
{
	char *start, *newline;
	ssize_t n = 1;

	for (;;) {
		start = reader->buffer + reader->start;
		newline = memchr(start, '\n', reader->length);
		if (newline || n == 0)
			break;
		if (reader->length >= ENTRY_LINE_MAX)
			return damaged_line(reader, "it is too long");
		n = fill(reader);
		if (n < 0)
			return (int)n;
	}
	if (!newline)
		return reader->length == 0 ? 0 : damaged_line(reader, "it is cut off");
	*newline = '\0';
	*ret_line = start;
	*ret_length = (size_t)(newline - start);
	reader->start += *ret_length + 1;
	reader->length -= *ret_length + 1;
	if (strlen(start) != *ret_length)
		return damaged_line(reader, "there is a NUL in it");
	return 1;
}

static int read_header(struct manifest_reader *reader)
{
	char *line, *end;
	size_t length;
	long format;
	int r = next_line(reader, &line, &length);

	if (r < 0 && r != -EBADMSG)
		return r;
	if (r <= 0 || strncmp(line, MAGIC, strlen(MAGIC)) != 0)
		return damaged(reader, "it does not begin as a manifest does");
	format = strtol(line + strlen(MAGIC), &end, 10);
	if (format > MANIFEST_FORMAT)
		return damaged(
			reader,
			"it was written by a newer moonrise (format %ld; this one reads up to %d)",
			format, MANIFEST_FORMAT);
	if (format < 1 || *end != ' ' || !manifest_is_id(end + 1))
		return damaged(reader, "line 1: there is no id in it");
	strcpy(reader->id, end + 1);
	snprintf(reader->header, sizeof(reader->header), "%s\n", line);
	return 0;
}

int manifest_open(struct manifest_reader *reader, int folder, const char *name)
{
	int r;

	memset(reader, 0, offsetof(struct manifest_reader, buffer));
	reader->fd = file_open_at(folder, name);
	if (reader->fd < 0)
		return reader->fd;
	sha256_init(&reader->hash);
	r = read_header(reader);
	if (r < 0)
		manifest_close(reader);
	return r;
}

/* "end COUNT CHECKSUM", and nothing after it. */
static int check_end(struct manifest_reader *reader, const char *line)
{
	char expected[128], sum[65];
	size_t length;
	char *more;
	int r;

	sha256_add(&reader->hash, reader->header, strlen(reader->header));
	hex_of(&reader->hash, sum);
	snprintf(expected, sizeof(expected), "end %" PRIu64 " %s", reader->count, sum);
	if (strcmp(line, expected) != 0)
		return damaged_line(reader, "the checksum is wrong");
	reader->count++;
	r = next_line(reader, &more, &length);
	reader->count--;
	if (r > 0)
		return damaged(reader, "something follows its end");
	reader->ended = r == 0;
	return r;
}

/* In order, and each below a folder that was there. */
static const char *check_place(const struct manifest_reader *reader)
{
	const char *path = reader->entry.path, *slash = strrchr(path, '/');
	size_t parent = slash ? (size_t)(slash - path) : 0;

	if (reader->count > 0 && entry_compare(reader->previous, path) >= 0)
		return "it is not in order";
	if (parent == 0)
		return NULL;
	if (strncmp(reader->previous, path, parent) != 0 ||
	    (reader->previous[parent] != '/' &&
	     (reader->previous[parent] != '\0' || reader->previous_type != 'd')))
		return "it lies in no folder";
	return NULL;
}

int manifest_next(struct manifest_reader *reader)
{
	char *line;
	size_t length;
	const char *fault;
	int r = reader->ended ? 0 : next_line(reader, &line, &length);

	if (reader->ended || r < 0)
		return r;
	if (r == 0)
		return damaged(reader, "its end is missing");
	if (strncmp(line, "end ", 4) == 0)
		return check_end(reader, line);
	sha256_add(&reader->hash, line, length);
	sha256_add(&reader->hash, "\n", 1);
	if (reader->count > 0) {
		strcpy(reader->previous, reader->entry.path);
		reader->previous_type = reader->entry.type;
	}
	fault = entry_decode(line, &reader->entry);
	if (!fault)
		fault = check_place(reader);
	if (fault)
		return damaged_line(reader, fault);
	reader->count++;
	return 1;
}

void manifest_close(struct manifest_reader *reader)
{
	cleanup_close(&reader->fd);
	reader->fd = -1;
}

/* ---- writing */

static int flush(struct manifest_writer *writer)
{
	int r = file_write_all(writer->fd, writer->buffer, writer->length);

	writer->length = 0;
	return r;
}

static int put(struct manifest_writer *writer, const char *text, size_t length)
{
	int r = writer->length + length > sizeof(writer->buffer) ? flush(writer) : 0;

	memcpy(writer->buffer + writer->length, text, length);
	writer->length += length;
	return r;
}

static int header_of(const struct manifest_writer *writer, char *ret_header, size_t size)
{
	return snprintf(ret_header, size, MAGIC "%d %s\n", MANIFEST_FORMAT, writer->id);
}

int manifest_create(struct manifest_writer *writer, int folder, const char *name, const char *id)
{
	char header[MANIFEST_ID_MAX + 64];

	memset(writer, 0, offsetof(struct manifest_writer, buffer));
	writer->folder = folder;
	writer->given = id != NULL;
	snprintf(writer->id, sizeof(writer->id), "%s", id ? id : NO_ID);
	snprintf(writer->name, sizeof(writer->name), "%s", name);
	file_temporary_name(name, writer->temporary);
	writer->fd = file_open_temporary(folder, writer->temporary, 0644);
	if (writer->fd < 0)
		return writer->fd;
	sha256_init(&writer->hash);
	sha256_init(&writer->content);
	return put(writer, header, (size_t)header_of(writer, header, sizeof(header)));
}

int manifest_add(struct manifest_writer *writer, const struct entry *entry)
{
	char line[ENTRY_LINE_MAX];
	size_t length;

	length = entry_encode(entry, true, line);
	line[length++] = '\n';
	sha256_add(&writer->content, line, length);
	length = entry_encode(entry, false, line);
	line[length++] = '\n';
	sha256_add(&writer->hash, line, length);
	writer->count++;
	return put(writer, line, length);
}

static int put_end(struct manifest_writer *writer)
{
	char header[MANIFEST_ID_MAX + 64], end[128], sum[65];
	int size, length, r;

	if (!writer->given)
		hex_of(&writer->content, writer->id);
	size = header_of(writer, header, sizeof(header));
	sha256_add(&writer->hash, header, (size_t)size);
	hex_of(&writer->hash, sum);
	length = snprintf(end, sizeof(end), "end %" PRIu64 " %s\n", writer->count, sum);
	r = put(writer, end, (size_t)length);
	if (r == 0)
		r = flush(writer);
	if (r == 0 && lseek(writer->fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : file_write_all(writer->fd, header, (size_t)size);
}

/* true when the file says the same already. */
static bool is_there(struct manifest_writer *writer)
{
	char other[sizeof(writer->buffer)];
	auto_close int fd = file_open_at(writer->folder, writer->name);
	auto_close int own = file_open_at(writer->folder, writer->temporary);
	ssize_t n, m;

	do {
		n = fd < 0 ? -1 : read(fd, other, sizeof(other));
		m = own < 0 ? -1 : read(own, writer->buffer, sizeof(writer->buffer));
	} while (n > 0 && n == m && memcmp(other, writer->buffer, (size_t)n) == 0);
	return n == 0 && m == 0;
}

int manifest_finish(struct manifest_writer *writer)
{
	int r = put_end(writer);

	if (r == 0 && is_there(writer))
		return 0;
	if (r == 0 &&
	    (fchmod(writer->fd, 0644) < 0 || (!writer->is_synced_later && fsync(writer->fd) < 0)))
		r = -errno;
	if (r == 0)
		r = file_publish(writer->folder, writer->temporary, writer->name, true);
	if (r < 0)
		return r;
	writer->temporary[0] = '\0';
	return writer->is_synced_later ? 0 : file_sync_names(writer->folder);
}

void manifest_done(struct manifest_writer *writer)
{
	cleanup_close(&writer->fd);
	writer->fd = -1;
	if (writer->temporary[0])
		(void)unlinkat(writer->folder, writer->temporary, 0);
	writer->temporary[0] = '\0';
}
