/* SPDX-License-Identifier: MIT */
/* A tree, its manifest and what is read back are the same; of a file that is not as it
 * was written, no entry is believed that leads elsewhere, and the end is never reached. */
#include "manifest.h"

#include "file.h"
#include "scan.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cmocka.h>

static char top[] = "/tmp/moonrise-manifest-XXXXXX";
static struct manifest_reader reader;
static struct manifest_writer writer;

static void shell(const char *command)
{
	assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chdir(top), 0);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static int add(void *context, const struct entry *entry)
{
	return manifest_add(context, entry);
}

/* The manifest of the tree, as "manifest". */
static void write_of(const char *tree, const char *id)
{
	const struct scan scan = { .hash = true, .add = add, .context = &writer };
	struct tree_path path;
	auto_close int folder = open(tree, O_RDONLY | O_DIRECTORY);

	assert_true(folder >= 0);
	assert_int_equal(manifest_create(&writer, AT_FDCWD, "manifest", id), 0);
	assert_int_equal(scan_tree(folder, &scan, &path), 0);
	assert_int_equal(manifest_finish(&writer), 0);
	manifest_done(&writer);
}

static void write_text(const char *text, size_t size)
{
	auto_close int fd = open("manifest", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
}

static size_t read_text(char *text, size_t size)
{
	auto_close int fd = open("manifest", O_RDONLY);
	ssize_t n = read(fd, text, size);

	assert_true(n >= 0 && (size_t)n < size);
	return (size_t)n;
}

/* 0 when all of it is fine. */
static int read_all(void)
{
	int r = manifest_open(&reader, AT_FDCWD, "manifest");

	if (r < 0)
		return r;
	while ((r = manifest_next(&reader)) == 1)
		;
	manifest_close(&reader);
	return r;
}

static void assert_damaged(const char *why)
{
	assert_int_equal(read_all(), -EBADMSG);
	assert_string_equal(reader.why, why);
}

/* ---- what is written */

static void entries_are_sorted_and_complete(void **state)
{
	static const char *const paths[] = { "a",         "a/z",  "a.b",
					     "a0",        "fifo", "hard",
					     "hard2",     "l k",  "odd\n\xff%20'\"",
					     "socketless" };
	size_t i = 0;

	(void)state;
	shell("mkdir -p t/.moonrise t/a/z t/a.b t/socketless && touch t/a0 t/.moonrise/x &&"
	      "mkfifo -m 620 t/fifo && printf abc > t/hard && ln t/hard t/hard2 &&"
	      "ln -s 'to %\n' 't/l k' && touch -d @-5.25 \"t/$(printf 'odd\\n\\377%%20')'\\\"\"");
	write_of("t", NULL);
	assert_int_equal(manifest_open(&reader, AT_FDCWD, "manifest"), 0);
	while (manifest_next(&reader) == 1) {
		const struct entry *entry = &reader.entry;

		assert_string_equal(entry->path, paths[i++]);
		assert_int_equal(entry->type, i == 5             ? 'p'
					      : i == 8           ? 'l'
					      : i < 4 || i == 10 ? 'd'
								 : 'f');
		assert_int_equal(entry->group, i == 6 || i == 7 ? 1 : 0);
		assert_int_equal(entry->has_hash, entry->type == 'f');
		assert_int_equal(entry->uid, getuid());
		if (i == 5)
			assert_int_equal(entry->mode, 0620);
		if (i == 6)
			assert_int_equal(entry->size, 3);
		if (i == 7)
			assert_int_equal(entry->hash[0], 0xba);
		if (i == 8)
			assert_string_equal(entry->target, "to %\n");
		if (i == 9) {
			assert_int_equal(entry->mtime.tv_sec, -6);
			assert_int_equal(entry->mtime.tv_nsec, 750000000);
		}
	}
	assert_int_equal(i, ARRAY_SIZE(paths));
	assert_int_equal(reader.count, i);
	assert_int_equal(manifest_next(&reader), 0);
	manifest_close(&reader);
}

static void nothing_has_a_manifest_too(void **state)
{
	(void)state;
	shell("mkdir t");
	write_of("t", "me/image:1");
	assert_int_equal(read_all(), 0);
	assert_int_equal(reader.count, 0);
	assert_string_equal(reader.id, "me/image:1");
}

static void the_id_is_that_of_the_content(void **state)
{
	char first[MANIFEST_ID_MAX + 1], text[4096], again[4096];

	(void)state;
	shell("mkdir -p t/a && echo 1 > t/a/b && ln -s x t/c");
	write_of("t", NULL);
	strcpy(first, writer.id);
	assert_int_equal(strlen(first), 64);
	assert_int_equal(read_all(), 0);
	assert_string_equal(reader.id, first);
	size_t size = read_text(text, sizeof(text));

	write_of("t", NULL);
	assert_int_equal(read_text(again, sizeof(again)), size);
	assert_memory_equal(again, text, size);

	shell("touch -d @1 t/a t/a/b");
	write_of("t", NULL);
	assert_string_equal(writer.id, first);
	shell("echo 2 > t/a/b");
	write_of("t", NULL);
	assert_string_not_equal(writer.id, first);
	shell("echo 1 > t/a/b && chmod 600 t/a/b");
	write_of("t", NULL);
	assert_string_not_equal(writer.id, first);
}

static void attributes_are_seen(void **state)
{
	unsigned char digest[XATTR_DIGEST], other[XATTR_DIGEST];

	(void)state;
	shell("touch a b");
	if (setxattr("a", "user.x", "1", 1, 0) < 0)
		skip();
	assert_int_equal(xattr_digest(AT_FDCWD, "b", digest), 0);
	int folder = open(".", O_PATH);
	assert_int_equal(xattr_digest(folder, "b", digest), 0);
	assert_int_equal(xattr_digest(folder, "a", digest), 1);
	assert_int_equal(setxattr("b", "user.y", "2", 1, 0), 0);
	assert_int_equal(setxattr("b", "user.x", "1", 1, 0), 0);
	assert_int_equal(setxattr("a", "user.y", "2", 1, 0), 0);
	assert_int_equal(xattr_digest(folder, "a", digest), 1);
	assert_int_equal(xattr_digest(folder, "b", other), 1);
	assert_memory_equal(digest, other, XATTR_DIGEST);
	assert_int_equal(setxattr("b", "user.y", "3", 1, 0), 0);
	assert_int_equal(xattr_digest(folder, "b", other), 1);
	assert_memory_not_equal(digest, other, XATTR_DIGEST);
	close(folder);
	assert_true(xattr_belongs("security.capability"));
	assert_false(xattr_belongs("security.selinux"));
	assert_false(xattr_belongs("trusted.overlay.opaque"));
}

/* ---- what is read */

static const char *const good = "moonrise-manifest 1 id\n"
				"d 0755 0 0 0 1.000000000 - - - a\n"
				"f 0644 0 0 12 1.000000000 - - - a/b\n"
				"end 2 ";

/* The text with the checksum that it should have. */
static void write_sealed(const char *text)
{
	char sealed[32768], sum[65] = "";
	const char *entries = strchr(text, '\n') + 1, *end = strstr(entries, "end ");
	unsigned char digest[32];
	struct sha256 hash;

	sha256_init(&hash);
	sha256_add(&hash, entries, (size_t)(end - entries));
	sha256_add(&hash, text, (size_t)(entries - text));
	sha256_done(&hash, digest);
	for (int i = 0; i < 32; i++)
		sprintf(sum + 2 * i, "%02x", digest[i]);
	write_text(sealed, (size_t)snprintf(sealed, sizeof(sealed), "%s%s\n", text, sum));
}

static void write_line(const char *line)
{
	char text[32768];

	snprintf(text, sizeof(text),
		 "moonrise-manifest 1 id\nd 0755 0 0 0 1.000000000 - - - a\n%s\nend 2 ", line);
	write_sealed(text);
}

static void any_flipped_bit_is_found(void **state)
{
	char text[1024];

	(void)state;
	write_sealed(good);
	assert_int_equal(read_all(), 0);
	size_t size = read_text(text, sizeof(text));

	for (size_t i = 0; i < size; i++) {
		for (int bit = 0; bit < 8; bit++) {
			text[i] = (char)(text[i] ^ 1 << bit);
			write_text(text, size);
			assert_int_equal(read_all(), -EBADMSG);
			text[i] = (char)(text[i] ^ 1 << bit);
		}
	}
}

static void any_cut_and_any_addition_is_found(void **state)
{
	char text[1024];

	(void)state;
	write_sealed(good);
	size_t size = read_text(text, sizeof(text) - 2);

	for (size_t i = 0; i < size; i++) {
		write_text(text, i);
		assert_int_equal(read_all(), -EBADMSG);
	}
	text[size] = text[size + 1] = '\n';
	write_text(text, size + 1);
	assert_damaged("something follows its end");
	write_text(text, size + 2);
	assert_damaged("something follows its end");
}

static void faults_have_their_line(void **state)
{
	static const struct {
		const char *line, *why;
	} known[] = {
		{ "x 0644 0 0 0 1.000000000 - - - a/b", "line 3: it has no known type" },
		{ "f 0844 0 0 0 1.000000000 - - - a/b", "line 3: its mode is none" },
		{ "f 100644 0 0 0 1.000000000 - - - a/b", "line 3: its mode is none" },
		{ "f 0644 4294967295 0 0 1.000000000 - - - a/b", "line 3: its owner is none" },
		{ "f 0644 0 -1 0 1.000000000 - - - a/b", "line 3: its group is none" },
		{ "f 0644 0 0 9223372036854775808 1.000000000 - - - a/b",
		  "line 3: its size is none" },
		{ "f 0644 0 0 0 1 - - - a/b", "line 3: its time is none" },
		{ "f 0644 0 0 0 --1.000000000 - - - a/b", "line 3: its time is none" },
		{ "f 0644 0 0 0 1.000000000 0 - - a/b", "line 3: its group of hard links is none" },
		{ "f 0644 0 0 0 1.000000000 - 0 - a/b",
		  "line 3: its digest of attributes is none" },
		{ "f 0644 0 0 0 1.000000000 - - 12 a/b", "line 3: its content is none" },
		{ "l 0777 0 0 0 1.000000000 - -  a/b", "line 3: its content is none" },
		{ "l 0777 0 0 0 1.000000000 - - %00 a/b", "line 3: its content is none" },
		{ "c 0666 0 0 0 1.000000000 - - 1 a/b", "line 3: its content is none" },
		{ "d 0755 0 0 0 1.000000000 - - x a/b", "line 3: its content is none" },
		{ "f 0644 0 0 0 1.000000000 - - - a/../b", "line 3: its path is none" },
		{ "f 0644 0 0 0 1.000000000 - - - /b", "line 3: its path is none" },
		{ "f 0644 0 0 0 1.000000000 - - - b/", "line 3: its path is none" },
		{ "f 0644 0 0 0 1.000000000 - - - b//c", "line 3: its path is none" },
		{ "f 0644 0 0 0 1.000000000 - - - .", "line 3: its path is none" },
		{ "f 0644 0 0 0 1.000000000 - - - a%2fb", "line 3: its path is none" },
		{ "f 0644 0 0 0 1.000000000 - - - a%2", "line 3: its path is none" },
		{ "f 0644 0 0 0 1.000000000 - - - b c", "line 3: its path is none" },
		{ "f 0644 0 0 0 1.000000000 - - -", "line 3: its path is none" },
		{ "f 0644 0 0 0 1.000000000 - - - a", "line 3: it is not in order" },
		{ "f 0644 0 0 0 1.000000000 - - - Z", "line 3: it is not in order" },
		{ "f 0644 0 0 0 1.000000000 - - - b/c", "line 3: it lies in no folder" },
		{ "f 0644 0 0 0 1.000000000 - - - a/b/c", "line 3: it lies in no folder" },
		{ "end 1 0", "line 3: the checksum is wrong" },
		{ "", "line 3: it has no known type" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		write_line(known[i].line);
		assert_damaged(known[i].why);
	}
	write_line("l 0777 0 0 0 1.000000000 - - %20/.. a/%0a%25");
	assert_int_equal(read_all(), 0);
	assert_string_equal(reader.entry.path, "a/\n%");
}

static void a_folder_of_a_file_is_none(void **state)
{
	(void)state;
	write_sealed("moonrise-manifest 1 id\nf 0644 0 0 0 1.000000000 - - - a\n"
		     "f 0644 0 0 0 1.000000000 - - - a/b\nend 2 ");
	assert_damaged("line 3: it lies in no folder");
}

static void paths_have_a_limit(void **state)
{
	char line[9000];
	size_t n = (size_t)sprintf(line, "f 0644 0 0 0 1.000000000 - - - b");

	(void)state;
	memset(line + n, 'b', 254);
	line[n + 254] = '\0';
	write_line(line);
	assert_int_equal(read_all(), 0);
	strcpy(line + n + 254, "b");
	write_line(line);
	assert_damaged("line 3: its path is none");
	memset(line + n, 'b', 5000);
	line[n + 5000] = '\0';
	write_line(line);
	assert_damaged("line 3: its path is none");
}

static void other_formats_are_named(void **state)
{
	(void)state;
	write_text("moonrise-manifest 12 id what", 28);
	assert_damaged("it does not begin as a manifest does");
	write_text("moonrise-manifest 12 id what\n", 29);
	assert_damaged("it was written by a newer moonrise (format 12; this one reads up to 1)");
	write_text("moonrise-manifest 0 id\n", 23);
	assert_damaged("line 1: there is no id in it");
	write_text("moonrise-manifest 1 i*d\n", 24);
	assert_damaged("line 1: there is no id in it");
	write_text("", 0);
	assert_damaged("it does not begin as a manifest does");
}

static void a_gigabyte_is_no_burden(void **state)
{
	(void)state;
	write_text("", 0);
	assert_int_equal(truncate("manifest", 1 << 30), 0);
	assert_damaged("it does not begin as a manifest does");
	write_sealed(good);
	assert_int_equal(truncate("manifest", 1 << 30), 0);
	assert_int_equal(read_all(), -EBADMSG);
	shell("{ echo moonrise-manifest 1 id; head -c 64M /dev/zero | tr '\\0' x; } > manifest");
	assert_damaged("line 2: it is too long");
}

static void only_a_file_is_opened(void **state)
{
	(void)state;
	assert_int_equal(read_all(), -ENOENT);
	shell("mkfifo manifest");
	assert_int_equal(read_all(), -EOPNOTSUPP);
	shell("rm manifest && ln -s /etc/passwd manifest");
	assert_int_equal(read_all(), -ELOOP);
	shell("rm manifest && mkdir manifest");
	assert_int_equal(read_all(), -EISDIR);
}

static void one_that_was_not_finished_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(manifest_create(&writer, AT_FDCWD, "manifest", NULL), 0);
	assert_int_equal(manifest_add(&writer, &(struct entry){ .type = 'd', .path = "a" }), 0);
	manifest_done(&writer);
	shell("test -z \"$(ls -A)\"");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(entries_are_sorted_and_complete),
		TEST(nothing_has_a_manifest_too),
		TEST(the_id_is_that_of_the_content),
		TEST(attributes_are_seen),
		TEST(any_flipped_bit_is_found),
		TEST(any_cut_and_any_addition_is_found),
		TEST(faults_have_their_line),
		TEST(a_folder_of_a_file_is_none),
		TEST(paths_have_a_limit),
		TEST(other_formats_are_named),
		TEST(a_gigabyte_is_no_burden),
		TEST(only_a_file_is_opened),
		TEST(one_that_was_not_finished_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
