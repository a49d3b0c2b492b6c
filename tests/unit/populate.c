/* SPDX-License-Identifier: MIT */
/* A volume is filled with what is missing and nothing else is touched; a populate
 * that was cut short anywhere is continued to the same end. */
#include "populate.h"

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

#include <cmocka.h>

static char top[] = "/tmp/moonrise-populate-XXXXXX";

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
	shell("mkdir -p template/etc/deep/er template/closed volume/.moonrise &&"
	      "echo one > template/etc/one && chmod 600 template/etc/one &&"
	      "echo two > template/etc/deep/er/two && chmod 4755 template/etc/deep/er/two &&"
	      "ln -s ../etc/one template/link && ln -s /nowhere template/etc/dangling &&"
	      "mkfifo -m 620 template/fifo && : > \"template/odd $(printf '\\n\\377')name\" &&"
	      "echo x > template/closed/x && touch -d @1000000000 template/etc/one template/etc &&"
	      "touch -h -d @1000000001 template/link && chmod 555 template/closed");
	if (getuid() == 0)
		shell("chown 12:34 template/etc template/etc/one && chown -h 56:78 template/link");
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	walk_done();
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "chmod -R u+w %s; rm -rf %s", top, top);
	return system(command);
}

/* Type, mode, owner, size, time of modification and link target of everything. */
static void assert_same(const char *a, const char *b)
{
	char command[512];

	snprintf(
		command, sizeof(command),
		"list() { (cd $1 && find . -mindepth 1 -path ./.moonrise -prune -o -mindepth 1 -printf '%%p %%M %%U:%%G %%s %%T@ %%l\\n' | sort;"
		" cat etc/one etc/deep/er/two closed/x); };"
		"list %s > list-a; list %s > list-b; diff list-a list-b",
		a, b);
	shell(command);
}

static int populate(const char *template, const char *volume, struct populate *ret_report)
{
	*ret_report = (struct populate){ .template = template,
					 .volume = volume,
					 .rehearsal = ret_report->rehearsal };
	return populate_run(ret_report);
}

static void everything_is_copied(void **state)
{
	struct populate report = { .rehearsal = true };

	(void)state;
	assert_int_equal(populate("template", "volume", &report), 0);
	assert_int_equal(report.entries, 11);
	assert_int_equal(report.bytes, 10);
	shell("test \"$(ls -A volume)\" = .moonrise && test -z \"$(ls -A volume/.moonrise)\"");
	report.rehearsal = false;
	assert_int_equal(populate("template", "volume", &report), 0);
	assert_same("template", "volume");
	assert_int_equal(report.entries, 11);
	assert_string_equal(report.old_id, "");
	shell("test \"$(ls -A volume/.moonrise)\" = manifest");

	assert_int_equal(populate("template", "volume", &report), 0);
	assert_int_equal(report.entries, 0);
	assert_string_equal(report.old_id, report.new_id);
}

static void what_is_there_stays(void **state)
{
	struct populate report = { 0 };

	(void)state;
	shell("mkdir -p outside volume/etc && chmod 700 volume/etc && echo mine > volume/etc/one &&"
	      "ln -s ../../outside volume/etc/deep && mkdir volume/link && mkfifo volume/closed");
	assert_int_equal(populate("template", "volume", &report), 0);
	shell("test \"$(cat volume/etc/one)\" = mine && test -L volume/etc/deep &&"
	      "test -z \"$(ls -A outside)\" && test -d volume/link && test -p volume/closed &&"
	      "test $(stat -c %a volume/etc) = 700 && test -L volume/etc/dangling && test -p volume/fifo");
}

static void leftovers_of_a_crash_are_continued(void **state)
{
	struct populate report = { 0 };

	(void)state;
	shell("mkdir -p volume/.etc.moonrise-new/deep/er && cd volume/.etc.moonrise-new &&"
	      "echo eno > one && touch -d @1000000000 one && mkdir dangling && touch dangling/x &&"
	      "echo two > deep/er/two && touch -r ../../template/etc/deep/er/two deep/er/two && cd .. &&"
	      "ln -s /elsewhere .link.moonrise-new && echo x > .fifo.moonrise-new");
	assert_int_equal(populate("template", "volume", &report), 0);
	assert_same("template", "volume");
}

static void sockets_are_left_out(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "template/socket" };
	struct populate report = { 0 };
	struct stat st;
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(populate("template", "volume", &report), 0);
	assert_int_equal(file_stat("volume/socket", false, &st), -ENOENT);
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
	struct populate report = { 0 };

	(void)state;
	assert_int_equal(populate("none", "volume", &report), -ENOENT);
	assert_true(report.at_template);
	assert_string_equal(report.path.text, "");
	shell("mkdir -p small/deep && seq 500 > small/deep/file");
	signal(SIGXFSZ, SIG_IGN);
	set_largest_file(1000); /* the notes are smaller */
	assert_int_equal(populate("small", "volume", &report), -EFBIG);
	set_largest_file(RLIM_INFINITY);
	assert_string_equal(report.path.text, "deep/file");
	assert_int_equal(populate("small", "volume", &report), 0);
}

static void hostile_leftovers_are_replaced(void **state)
{
	struct populate report = { 0 };

	(void)state;
	shell("mkdir outside volume/etc && ln -s ../../outside volume/etc/.deep.moonrise-new &&"
	      "ln -s ../../outside/x volume/etc/.one.moonrise-new &&"
	      "mkdir -p volume/.fifo.moonrise-new/deep");
	assert_int_equal(populate("template", "volume", &report), 0);
	shell("test -z \"$(ls -A outside)\" && test -d volume/etc/deep/er && test -f volume/etc/one");
}

/* More entries than one round takes; what lies there from before is in none. */
static void large_trees_take_several_rounds(void **state)
{
	struct populate report = { 0 };

	(void)state;
	shell("mkdir -p large/a/b large/c volume/a/b && cd large &&"
	      "seq -f 'a/b/%g' 12000 | xargs touch && seq -f 'c/%g' 9000 | xargs touch &&"
	      "seq 9000 | xargs touch && cd ../volume && mkdir .c.moonrise-new &&"
	      "seq -f '.c.moonrise-new/%g' 9000 | xargs touch &&"
	      "echo half > .7.moonrise-new && echo half > .c.moonrise-new/9000");
	assert_int_equal(populate("large", "volume", &report), 0);
	assert_int_equal(report.entries, 30001);
	shell("(cd large && find . | sort) > a; (cd volume && rm -r .moonrise &&"
	      " find . -size 0 -o -type d | sort) > b; diff a b");
}

#define WITH_TREES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TREES(everything_is_copied),
		WITH_TREES(what_is_there_stays),
		WITH_TREES(leftovers_of_a_crash_are_continued),
		WITH_TREES(sockets_are_left_out),
		WITH_TREES(errors_name_the_place),
		WITH_TREES(hostile_leftovers_are_replaced),
		WITH_TREES(large_trees_take_several_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
