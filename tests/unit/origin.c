/* SPDX-License-Identifier: MIT */
/* From a process to a name, and how what is said looks. The processes are children with
 * the mark of a service. */
#include "origin.h"

#include "descend.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#define PART(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}

static struct speaker speaker;
static char label[ORIGIN_LABEL_SIZE];

static void introduce(struct origin *origin, const char *format, const struct message *message)
{
	setenv("MOONRISE_LOG", format, 1);
	origin_introduce(origin, &speaker, SPEAKER_SYSLOG);
	origin_label(origin, &speaker, 77, message, label);
	speaker_done(&speaker);
}

static void is_called(const char *name, const char *tag)
{
	assert_string_equal(speaker.name, name);
	assert_int_equal(speaker.tag != NULL, tag != NULL);
	if (tag)
		assert_string_equal(speaker.tag, tag);
}

static const struct {
	struct message message;
	const char *of_service, *name_of_stranger, *in_json;
} labels[] = {
	{ { .tag = PART("tag") }, "tag", "tag[77]", "tag" },
	{ { .tag = PART("tag"), .pid = PART("12") }, "tag[12]", "tag[77]", "tag" },
	{ { .tag = PART("web") }, NULL, "web[77]", "web" },
	{ { .tag = PART("WEB"), .pid = PART("12") }, NULL, "WEB[77]", "WEB" },
	{ { .tag = PART("httpd") }, NULL, "httpd[77]", "httpd" },
	{ { .tag = PART("webs") }, "webs", "webs[77]", "webs" },
	{ { .tag = PART("two words") }, NULL, "syslog[77]", NULL },
	{ { .tag = PART("a\033[1m") }, NULL, "syslog[77]", NULL },
	{ { .tag = PART("tag"), .pid = PART("1 2") }, "tag", "tag[77]", "tag" },
	{ { .text = PART("text") }, NULL, "syslog[77]", NULL },
};

static void test_labels(void **state)
{
	struct origin *web = origin_new(7, "web", "/usr/sbin/httpd", NULL, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		introduce(web, "prefix", &labels[i].message);
		is_called("web", labels[i].of_service);
		introduce(web, "json", &labels[i].message);
		is_called("web", labels[i].in_json);
		assert_int_equal(speaker.pid, 77);
		introduce(NULL, "prefix", &labels[i].message);
		is_called(labels[i].name_of_stranger, NULL);
		introduce(NULL, "json", &labels[i].message);
		is_called("syslog", labels[i].in_json);
	}
	origin_end(web);
}

static void test_long_ones_fit(void **state)
{
	static char text[200];
	struct message message = { .tag = { text, 64 }, .pid = { text, 64 } };
	struct origin *web = origin_new(7, "web", "httpd", NULL, NULL);

	(void)state;
	memset(text, 'x', sizeof(text));
	introduce(web, "prefix", &message);
	assert_int_equal(strlen(speaker.tag), 64 + 1 + 64 + 1);
	introduce(NULL, "prefix", &message);
	assert_int_equal(strlen(speaker.name), 64 + strlen("[77]"));
	message.tag.length = 65;
	introduce(web, "prefix", &message);
	is_called("web", NULL);
	origin_end(web);
}

/* A process that is marked, until we hang up. */
static pid_t start(unsigned id, int *ret_fd)
{
	int p[2], ready[2];
	char byte;

	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit mark = { DESCEND_MARK + id, DESCEND_MARK + id };

		close(p[1]);
		(void)setrlimit(RLIMIT_LOCKS, &mark);
		(void)!write(ready[1], "", 1);
		(void)!read(p[0], &byte, 1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(p[0]);
	close(ready[0]);
	close(ready[1]);
	*ret_fd = p[1];
	return pid;
}

static void test_processes(void **state)
{
	struct origin *web = origin_new(7, "web", "httpd", NULL, NULL);
	struct origin *other = origin_new(7 + 256, "other", "httpd", NULL, NULL);
	int fd;
	pid_t pid = start(7 + 256, &fd);

	(void)state;
	assert_ptr_equal(origin_of(pid), other);
	assert_ptr_equal(origin_of(pid), other);
	assert_null(origin_of(getpid()));
	assert_null(origin_of(0));
	assert_ptr_equal(origin_of(pid), other);
	origin_ref(other);
	origin_end(other);
	assert_null(origin_of(pid));
	introduce(other, "prefix", &labels[0].message); /* it is still ours */
	is_called("other", "tag");
	origin_unref(other);
	close(fd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_null(origin_of(getpid())); /* what is known of the last one is forgotten */
	assert_null(origin_of(pid));
	origin_end(web);
	origin_end(NULL);
	origin_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_long_ones_fit),
		cmocka_unit_test(test_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
