/* SPDX-License-Identifier: MIT */
/* libFuzzer: what lies in a volume's .moonrise, and so may be anything: manifests and
 * records. The first byte says which, and whether the rest gets its checksums, so that
 * these are not all that is ever seen. What a manifest lists must be in order, lie below
 * its top, and be written as it was read. $MOONRISE_FUZZ is a folder to work in. */
#include "manifest.h"
#include "ledger.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define INPUT_MAX 65536

static int folder = -1;
static struct manifest_reader reader;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void write_file(const char *name, const char *data, size_t size)
{
	auto_close int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
}

/* ---- manifests */

/* The text, and the end that it should have. */
static size_t seal_manifest(char *text, size_t size)
{
	char *newline = memchr(text, '\n', size);
	size_t header = newline ? (size_t)(newline + 1 - text) : size, lines = 0;
	unsigned char digest[32];
	struct sha256 hash;

	for (size_t i = header; i < size; i++)
		lines += text[i] == '\n';
	sha256_init(&hash);
	sha256_add(&hash, text + header, size - header);
	sha256_add(&hash, text, header);
	sha256_done(&hash, digest);
	size += (size_t)sprintf(text + size, "end %zu ", lines);
	for (int i = 0; i < 32; i++)
		size += (size_t)sprintf(text + size, "%02x", digest[i]);
	text[size++] = '\n';
	return size;
}

static void check_entry(const struct entry *entry, const char *previous)
{
	char line[ENTRY_LINE_MAX], again[ENTRY_LINE_MAX];
	static struct entry copy;
	char path[PATH_MAX + 4];

	require(entry_compare(previous, entry->path) < 0);
	snprintf(path, sizeof(path), "/%s/", entry->path);
	require(!strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../"));
	require(entry_encode(entry, false, line) == strlen(line) && !strpbrk(line, "\n\t"));
	strcpy(again, line);
	require(!entry_decode(again, &copy));
	entry_encode(&copy, false, again);
	require(strcmp(line, again) == 0);
}

static void read_manifest(void)
{
	char previous[PATH_MAX] = "";
	int r = manifest_open(&reader, folder, "manifest");

	if (r == 0) {
		require(manifest_is_id(reader.id));
		while ((r = manifest_next(&reader)) == 1) {
			check_entry(&reader.entry, previous);
			strcpy(previous, reader.entry.path);
		}
		manifest_close(&reader);
	}
	require(r == 0 || (r == -EBADMSG && reader.why[0]));
}

/* ---- records */

/* Each line with its checksum in front. */
static size_t seal_ledger(const char *data, size_t size, char *text)
{
	size_t length = (size_t)sprintf(text, "moonrise-volume 1\n");

	while (size > 0) {
		const char *newline = memchr(data, '\n', size);
		size_t n = newline ? (size_t)(newline - data) : size;
		uint32_t crc = 0xffffffff;

		for (size_t i = 0; i < n; i++) {
			crc ^= (unsigned char)data[i];
			for (int bit = 0; bit < 8; bit++)
				crc = crc & 1 ? 0xedb88320 ^ crc >> 1 : crc >> 1;
		}
		length += (size_t)sprintf(text + length, "%08x %.*s\n", ~crc, (int)n, data);
		n += newline != NULL;
		data += n;
		size -= n;
	}
	return length;
}

static void read_ledger(void)
{
	struct ledger ledger;
	int r = ledger_read(folder, &ledger);

	require(r == 0 || (r == -EBADMSG && ledger.why[0]));
	for (size_t i = 0; r == 0 && i < ledger.count; i++)
		require(strlen(ledger.entries[i].what) + strlen(ledger.entries[i].name) <
			INPUT_MAX);
	ledger_done(&ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[16 * INPUT_MAX];
	const char *rest = (const char *)data + 1;

	if (folder < 0)
		folder = open(getenv("MOONRISE_FUZZ"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (size < 1 || size > INPUT_MAX)
		return 0;
	memcpy(text, rest, --size);
	switch (data[0] % 4) {
	case 0:
		write_file("manifest", text, size);
		read_manifest();
		break;
	case 1:
		write_file("manifest", text, seal_manifest(text, size));
		read_manifest();
		break;
	case 2:
		write_file(LEDGER_NAME, text, size);
		read_ledger();
		break;
	case 3:
		write_file(LEDGER_NAME, text, seal_ledger(rest, size, text));
		read_ledger();
		break;
	}
	return 0;
}
