/* SPDX-License-Identifier: MIT */
/* The calls of the kernel take a path or a descriptor that is open for reading,
 * which a link or a fifo can't have; so the path leads by /proc through the folder's
 * descriptor. Without /proc, files and folders are opened. */
#include "xattr.h"

#include "sha256.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define NAMES_MAX 65536 /* the kernel's own limits */
#define VALUE_MAX 65536

bool xattr_belongs(const char *name)
{
	if (strncmp(name, "user.", 5) == 0)
		return strncmp(name, "user.overlay.", 13) != 0 &&
		       strncmp(name, "user.fuseoverlayfs.", 19) != 0 &&
		       strcmp(name, "user.containers.override_stat") != 0;
	return strcmp(name, "security.capability") == 0 ||
	       strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

/* Where the attributes are read from: a path, or a descriptor when it is not -1. */
struct source {
	char path[64 + 256];
	int fd;
};

static ssize_t list(const struct source *source, char *names, size_t size)
{
	ssize_t n = source->fd < 0 ? llistxattr(source->path, names, size)
				   : flistxattr(source->fd, names, size);

	return n < 0 ? -errno : n;
}

static ssize_t get(const struct source *source, const char *key, void *value, size_t size)
{
	ssize_t n = source->fd < 0 ? lgetxattr(source->path, key, value, size)
				   : fgetxattr(source->fd, key, value, size);

	return n < 0 ? -errno : n;
}

/* The size of the list of names, or -errno. */
static ssize_t open_source(int folder, const char *name, struct source *ret_source)
{
	struct stat st;
	ssize_t n;

	snprintf(ret_source->path, sizeof(ret_source->path), "/proc/self/fd/%d/%s", folder, name);
	ret_source->fd = -1;
	n = list(ret_source, NULL, 0);
	if (n >= 0 || n == -ENOTSUP)
		return n;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -ENOTSUP;
	ret_source->fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return ret_source->fd < 0 ? -errno : list(ret_source, NULL, 0);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names that belong to the file as a sorted list in `keys`: how many. */
static size_t sort_names(char *names, size_t size, char **keys)
{
	size_t count = 0;

	for (char *name = names; name < names + size; name += strlen(name) + 1)
		if (xattr_belongs(name))
			keys[count++] = name;
	qsort(keys, count, sizeof(*keys), compare);
	return count;
}

static int each_of(const struct source *source, char *names, size_t size,
		   int (*each)(void *context, const char *key, const void *value, size_t size),
		   void *context)
{
	auto_free char **keys = malloc((size / 2 + 1) * sizeof(*keys));
	auto_free char *value = malloc(VALUE_MAX);
	size_t count;

	if (!keys || !value)
		return -ENOMEM;
	count = sort_names(names, size, keys);
	for (size_t i = 0; i < count; i++) {
		ssize_t n = get(source, keys[i], value, VALUE_MAX);
		int r = n < 0 ? (int)n : each(context, keys[i], value, (size_t)n);

		if (r < 0 && r != -ENODATA)
			return r;
	}
	return 0;
}

int xattr_each(int folder, const char *name,
	       int (*each)(void *context, const char *key, const void *value, size_t size),
	       void *context)
{
	struct source source;
	ssize_t size = open_source(folder, name, &source);
	__attribute__((unused)) auto_close int fd = source.fd; /* closes it */

	if (size == 0 || size == -ENOTSUP)
		return 0;
	if (size < 0)
		return (int)size;
	auto_free char *names = malloc(NAMES_MAX);
	if (!names)
		return -ENOMEM;
	size = list(&source, names, NAMES_MAX);
	return size < 0 ? (int)size : each_of(&source, names, (size_t)size, each, context);
}

struct digest {
	struct sha256 hash;
	bool any;
};

static int add(void *context, const char *key, const void *value, size_t size)
{
	struct digest *digest = context;
	uint64_t length = size;

	if (!digest->any)
		sha256_init(&digest->hash);
	digest->any = true;
	sha256_add(&digest->hash, key, strlen(key) + 1);
	for (int i = 0; i < 8; i++) /* the same on every machine */
		sha256_add(&digest->hash, &(unsigned char){ (unsigned char)(length >> 8 * i) }, 1);
	sha256_add(&digest->hash, value, size);
	return 0;
}

int xattr_digest(int folder, const char *name, unsigned char ret_digest[static XATTR_DIGEST])
{
	struct digest digest = { .any = false };
	unsigned char full[32];
	int r = xattr_each(folder, name, add, &digest);

	if (r < 0 || !digest.any)
		return r;
	sha256_done(&digest.hash, full);
	memcpy(ret_digest, full, XATTR_DIGEST);
	return 1;
}
