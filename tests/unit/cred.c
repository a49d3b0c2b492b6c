/* SPDX-License-Identifier: MIT */
/* Look-ups in passwd and group files, good and broken ones; what a change of
 * user is planned to be. What the kernel makes of plans is in spawn.c. */
#include "cred.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char passwd[] = "/tmp/moonrise-passwd-XXXXXX";
static char group[] = "/tmp/moonrise-group-XXXXXX";

static void fill(int fd, const char *text)
{
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

static int set_up(void **state)
{
	(void)state;
	fill(mkstemp(passwd), "root:x:0:0:root:/root:/bin/bash\n"
			      "# a comment: 1\n"
			      "\n"
			      "short:x:1\n"
			      "minus:x:4294967295:0::/:/bin/sh\n"
			      "letters:x:1a:0::/:/bin/sh\n"
			      "web:x:33:44:Web, Server:/var/www:\n"
			      "3344:x:55:55::/:/bin/sh\n"
			      "last:x:77:77::/:/bin/sh");
	fill(mkstemp(group), "root:x:0:\n"
			     "www:x:44:web,other\n"
			     "logs:x:4:other,web\n"
			     "near:x:5:webb,we\n"
			     "broken:x:\n"
			     "tls:x:108:web");
	cred_passwd_path = passwd;
	cred_group_path = group;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(passwd) | unlink(group);
}

static void test_user_by_name(void **state)
{
	struct cred_user user;

	(void)state;
	assert_int_equal(cred_find_user("web", &user), 0);
	assert_string_equal(user.name, "web");
	assert_int_equal(user.uid, 33);
	assert_int_equal(user.gid, 44);
	assert_string_equal(user.home, "/var/www");
	assert_string_equal(user.shell, "");
	assert_int_equal(cred_find_user("last", &user), 0);
	assert_string_equal(user.shell, "/bin/sh");
}

static void test_groups_of_a_user(void **state)
{
	struct cred_user user;

	(void)state;
	assert_int_equal(cred_find_user("web", &user), 0);
	assert_int_equal(user.group_count, 3);
	assert_int_equal(user.groups[0], 44); /* the primary one, and only once */
	assert_int_equal(user.groups[1], 4);
	assert_int_equal(user.groups[2], 108);
}

static void test_user_by_number(void **state)
{
	struct cred_user user;

	(void)state;
	assert_int_equal(cred_find_user("33", &user), 0);
	assert_string_equal(user.name, "web");
	assert_int_equal(cred_find_user("3344", &user), 0);
	assert_int_equal(user.uid, 55); /* a name first */
	assert_int_equal(cred_find_user("34", &user), -ENOENT);
}

static void test_broken_lines_are_nobody(void **state)
{
	static const char *const names[] = {
		"short", "minus", "letters", "nobody", "", "4294967295"
	};
	struct cred_user user;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(cred_find_user(names[i], &user), -ENOENT);
}

static void test_groups(void **state)
{
	struct cred_group found;

	(void)state;
	assert_int_equal(cred_find_group("logs", &found), 0);
	assert_int_equal(found.gid, 4);
	assert_int_equal(cred_find_group("108", &found), 0);
	assert_string_equal(found.name, "tls");
	assert_int_equal(cred_find_group("broken", &found), -ENOENT);
	assert_int_equal(cred_find_group("web", &found), -ENOENT);
}

static void test_no_files_no_users(void **state)
{
	struct cred_user user;
	struct cred_group found;

	(void)state;
	cred_passwd_path = cred_group_path = "/no/such/file";
	assert_int_equal(cred_find_user("root", &user), -ENOENT);
	assert_int_equal(cred_find_group("root", &found), -ENOENT);
	cred_passwd_path = passwd;
	assert_int_equal(cred_find_user("web", &user), 0);
	assert_int_equal(user.group_count, 1);
	cred_group_path = group;
}

static void test_names_of_capabilities(void **state)
{
	(void)state;
	assert_int_equal(cred_capability_number("net_bind_service"), CAP_NET_BIND_SERVICE);
	assert_int_equal(cred_capability_number("CAP_NET_BIND_SERVICE"), CAP_NET_BIND_SERVICE);
	assert_int_equal(cred_capability_number("NET_BIND_SERVICE"), CAP_NET_BIND_SERVICE);
	assert_int_equal(cred_capability_number("chown"), CAP_CHOWN);
	assert_int_equal(cred_capability_number("net_bind"), -EINVAL);
	assert_int_equal(cred_capability_number("10"), -EINVAL);
	assert_int_equal(cred_capability_number("cap_10"), -EINVAL);
	assert_int_equal(cred_capability_number("all"), -EINVAL);
	assert_int_equal(cred_capability_number(""), -EINVAL);
}

static void test_nobody_keeps_what_we_lack(void **state)
{
	uint64_t lacking = ~cred_effective();
	struct cred_plan plan = { .limit_caps = true, .keep_caps = lacking };

	(void)state;
	assert_int_equal(cred_prepare(&plan), -EPERM);
	cred_plan_done(&plan);
}

static void test_plan_for_nothing(void **state)
{
	struct cred_plan plan = { .limit_caps = false };
	const char *stage;

	(void)state;
	assert_int_equal(cred_prepare(&plan), 0);
	assert_null(plan.prepared);
	assert_int_equal(cred_apply(&plan, &stage), 0);
	cred_plan_done(&plan);
}

/* As `--user 12345` does it: we are that user, and nothing else is possible. */
static void test_own_user_needs_no_privilege(void **state)
{
	struct cred_plan plan = { .change_user = true, .uid = geteuid(), .gid = getegid() };
	gid_t groups[CRED_MAX_GROUPS];

	(void)state;
	plan.groups = groups;
	plan.group_count = getgroups(CRED_MAX_GROUPS, groups);
	assert_int_equal(cred_prepare(&plan), 0);
	assert_true(plan.keep_groups);
	cred_plan_done(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user_by_name),
		cmocka_unit_test(test_groups_of_a_user),
		cmocka_unit_test(test_user_by_number),
		cmocka_unit_test(test_broken_lines_are_nobody),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_no_files_no_users),
		cmocka_unit_test(test_names_of_capabilities),
		cmocka_unit_test(test_nobody_keeps_what_we_lack),
		cmocka_unit_test(test_plan_for_nothing),
		cmocka_unit_test(test_own_user_needs_no_privilege),
	};

	return cmocka_run_group_tests_name("cred", tests, set_up, tear_down);
}
