/* SPDX-License-Identifier: MIT */
/* What is copied is the same in everything that `cp -a` keeps, and more is not
 * touched. */
#include "copy.h"

#include "file.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <cmocka.h>

static char top[] = "/tmp/moonrise-copy-XXXXXX";

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
	umask(0);
	shell("mkdir -p a/folder/deep a/closed && cd a && echo one > one && chmod 4750 one &&"
	      "ln one folder/again && ln one folder/deep/third && ln -s ../one folder/link &&"
	      "mkfifo -m 621 fifo && : > empty && : > \"odd $(printf '\\n\\377')name\" &&"
	      "seq 20000 > folder/long && truncate -s 64M hole && echo end >> hole &&"
	      "truncate -s 8M folder/nothing && chmod 1777 folder/deep && chmod 500 closed &&"
	      "touch -h -d @1000000001.5 folder/link fifo && touch -d @1000000000.25 one folder");
	if (getuid() == 0)
		shell("chown 12:34 a/empty a/folder && chown -h 56:78 a/folder/link &&"
		      "mknod -m 600 a/null c 1 3 && chown 5:6 a/fifo");
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "chmod -R u+w %s; rm -rf %s", top, top);
	return system(command);
}

static int copy_to(const char *to, struct tree_path *path)
{
	struct copy copy = { .top = AT_FDCWD, .path = path };
	int r;

	strcpy(path->text, to);
	r = copy_tree(&copy, AT_FDCWD, "a", AT_FDCWD, to);
	copy_done(&copy);
	return r;
}

static void everything_is_the_same(void **state)
{
	struct tree_path path;

	(void)state;
	assert_int_equal(copy_to("b", &path), 0);
	assert_string_equal(path.text, "b");
	shell("list() { (cd $1 && find . -printf '%p %M %n %U:%G %s %T@ %l\\n' | sort;"
	      " stat -c %t:%T fifo null 2> /dev/null; find . -type f -print0 | sort -z | xargs -0 cat | cksum); };"
	      "list a > list-a; list b > list-b; diff list-a list-b");
	shell("test b/one -ef b/folder/again && test b/one -ef b/folder/deep/third &&"
	      "test $(stat -c %b b/hole) -lt 100 && test $(stat -c %b b/folder/nothing) -lt 100");
}

static void give(const char *path, const char *key, const char *value)
{
	if (setxattr(path, key, value, strlen(value), 0) < 0 && errno == ENOTSUP)
		skip();
}

static void assert_given(const char *path, const char *key, const char *value)
{
	char text[64] = "";

	assert_int_equal(getxattr(path, key, text, sizeof(text) - 1), strlen(value));
	assert_string_equal(text, value);
}

static void extended_attributes_come_along(void **state)
{
	struct tree_path path;

	(void)state;
	give("a/one", "user.colour", "red");
	give("a/folder", "user.colour", "blue");
	assert_int_equal(copy_to("b", &path), 0);
	assert_given("b/one", "user.colour", "red");
	assert_given("b/folder", "user.colour", "blue");
}

/* u:12:rw- beside the mode, as the kernel takes it */
static const unsigned char acl[] = { 2,   0,   0,   0,    1,   0,   6,    0,   255, 255, 255,
				     255, 2,   0,   6,    0,   12,  0,    0,   0,   4,   0,
				     4,   0,   255, 255,  255, 255, 0x10, 0,   6,   0,   255,
				     255, 255, 255, 0x20, 0,   0,   0,    255, 255, 255, 255 };

static void access_lists_come_along(void **state)
{
	unsigned char copied[sizeof(acl) + 1];
	struct tree_path path;
	struct stat original, st;

	(void)state;
	if (setxattr("a/one", "system.posix_acl_access", acl, sizeof(acl), 0) < 0)
		skip();
	assert_int_equal(copy_to("b", &path), 0);
	assert_int_equal(getxattr("b/one", "system.posix_acl_access", copied, sizeof(copied)),
			 sizeof(acl));
	assert_memory_equal(copied, acl, sizeof(acl));
	assert_int_equal(stat("a/one", &original), 0);
	assert_int_equal(stat("b/one", &st), 0);
	assert_int_equal(st.st_mode, original.st_mode);
}

static void capabilities_come_along(void **state)
{
	unsigned char caps[20] = { 1, 0, 0, 2, 0, 4 }, copied[24]; /* net_bind_service=ep */
	struct tree_path path;

	(void)state;
	if (setxattr("a/one", "security.capability", caps, sizeof(caps), 0) < 0)
		skip();
	assert_int_equal(copy_to("b", &path), 0);
	assert_int_equal(getxattr("b/one", "security.capability", copied, sizeof(copied)),
			 sizeof(caps));
	assert_memory_equal(copied, caps, sizeof(caps));
}

static void sockets_are_left_out(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "a/socket" };
	struct tree_path path;
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(copy_to("b", &path), 0);
	assert_int_equal(access("b/socket", F_OK), -1);
}

static void nothing_is_followed_or_opened(void **state)
{
	struct stat file;

	(void)state;
	assert_int_equal(stat("a/one", &file), 0);
	shell("mkdir b && ln -s ../a/one b/link && mkfifo b/fifo");
	assert_int_equal(copy_entry(AT_FDCWD, "b/link", &file, AT_FDCWD, "c", NULL), -EOPNOTSUPP);
	assert_int_equal(copy_entry(AT_FDCWD, "b/fifo", &file, AT_FDCWD, "c", NULL), -EOPNOTSUPP);
	assert_int_equal(copy_entry(AT_FDCWD, "a/one", &file, AT_FDCWD, "b/link", NULL), -EEXIST);
	shell("test -L b/link && test ! -e c");
}

static void set_largest_file(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void errors_name_the_place(void **state)
{
	struct tree_path path;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	set_largest_file(20000); /* folder/long has more, and so has no other file but holes */
	shell("rm a/hole a/folder/nothing");
	assert_int_equal(copy_to("b", &path), -EFBIG);
	set_largest_file(RLIM_INFINITY);
	assert_string_equal(path.text, "b/folder/long");
	shell("test ! -e b/folder/long");
}

static void many_files_of_two_names(void **state)
{
	struct tree_path path;

	(void)state;
	shell("cd a && seq 500 | xargs touch && mkdir twice && seq 500 | xargs -I% ln % twice/%");
	assert_int_equal(copy_to("b", &path), 0);
	shell("cd b && for i in $(seq 500); do test $i -ef twice/$i || exit 1; done");
}

#define WITH_TREES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TREES(everything_is_the_same),  WITH_TREES(extended_attributes_come_along),
		WITH_TREES(access_lists_come_along), WITH_TREES(capabilities_come_along),
		WITH_TREES(sockets_are_left_out),    WITH_TREES(nothing_is_followed_or_opened),
		WITH_TREES(errors_name_the_place),   WITH_TREES(many_files_of_two_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
