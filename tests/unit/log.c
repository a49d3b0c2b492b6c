/* SPDX-License-Identifier: MIT */
/* moonrise's own messages. stderr is fd 2 of the process, so each case runs in a
 * child whose fd 2 is a pipe. */
#include "log.h"

#include "loop.h"
#include "output.h"
#include "util.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static int reader; /* the other end of fd 2 */
static char got[1 << 20];

static void in_child(const char *format, void (*body)(void))
{
	pid_t pid = fork();
	if (pid == 0) {
		int err[2];
		setenv("MOONRISE_LOG", format, 1);
		unsetenv("MOONRISE_LOG_LEVEL");
		assert(pipe(err) == 0 && dup2(err[1], STDERR_FILENO) == STDERR_FILENO);
		reader = err[0];
		assert(fcntl(reader, F_SETFL, O_NONBLOCK) == 0);
		assert(loop_init() == 0);
		body();
		loop_done();
		_exit(0);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static const char *read_all(void)
{
	size_t length = 0;
	for (ssize_t n; (n = read(reader, got + length, sizeof(got) - 1 - length)) > 0;)
		length += (size_t)n;
	got[length] = 0;
	return got;
}

static void text(void)
{
	log_error("cannot %s: %d", "start", 7);
	log_debug("not said");
	log_set_level(LEVEL_DEBUG);
	log_debug("said");
	log_line(LEVEL_INFO, "two\nlines\n", 10);
	log_line(LEVEL_INFO, "\x1b]0;title\x07\0end\tgr\xc3\xbcn", 20);
	assert(strcmp(read_all(),
		      "moonrise: cannot start: 7\nmoonrise: said\nmoonrise: two\nmoonrise: lines\n"
		      "moonrise: ?]0;title??end\tgr\xc3\xbcn\n") == 0);
}

static void level_from_environment(void)
{
	setenv("MOONRISE_LOG_LEVEL", "error", 1);
	log_warning("not said");
	log_error("said");
	assert(strcmp(read_all(), "moonrise: said\n") == 0);
	assert(level_number("debug") == LEVEL_DEBUG && level_number("loud") == -EINVAL);
	assert(log_is_said(LEVEL_ERROR) && !log_is_said(LEVEL_WARNING));
	for (int level = LEVEL_ERROR; level <= LEVEL_DEBUG; level++)
		assert(level_number(level_name(level)) == level);
	assert(level_of_syslog(0) == LEVEL_ERROR && level_of_syslog(3) == LEVEL_ERROR);
	assert(level_of_syslog(4) == LEVEL_WARNING && level_of_syslog(7) == LEVEL_DEBUG);
}

static void json(void)
{
	log_warning("a \"b\"");
	read_all();
	assert(strncmp(got, "{\"time\":\"", 9) == 0);
	assert(strstr(got, "Z\",\"name\":\"moonrise\",\"level\":\"warning\","
			   "\"message\":\"a \\\"b\\\"\"}\n"));
}

static void too_long(void)
{
	static char much[20000];
	memset(much, 'x', sizeof(much) - 1);
	log_info("%s", much);
	read_all();
	assert(strlen(got) > 8000 && strlen(got) < 9000 && got[strlen(got) - 1] == '\n');
}

/* Nobody reads: it does not wait, and says later how much is missing. */
static void lost(void)
{
	for (int i = 0; i < 20000; i++)
		log_info("message %d", i);
	assert(strncmp(read_all(), "moonrise: message 0\n", 20) == 0);
	assert(loop_turn(loop_time() + 30 * NSEC_PER_SEC) > 0); /* what was queued */
	read_all();
	log_info("the last one");
	read_all();
	assert(strstr(got, " messages lost: nobody read them\nmoonrise: the last one\n"));
}

#define CASE(name, format)                    \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		in_child(format, name);       \
	}

CASE(text, "plain")
CASE(level_from_environment, "prefix")
CASE(json, "json")
CASE(too_long, "prefix")
CASE(lost, "prefix")

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text), cmocka_unit_test(test_level_from_environment),
		cmocka_unit_test(test_json), cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
