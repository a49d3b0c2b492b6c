/* SPDX-License-Identifier: MIT */
/* The allocation sweep: each case of cases.lua is run with all allocations failing
 * from the 1st on, from the 2nd on, ... until it passes. Lua's allocations and those
 * of the core (malloc is wrapped by the linker) count alike. After each run nothing
 * may be left: no descriptor, no child, no memory (ASan looks at that). */
#include "bind.h"
#include "child.h"
#include "control.h"
#include "handover.h"
#include "host.h"
#include "notify.h"
#include "signal.h"
#include "util.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define MAX_ALLOCATIONS 20000
#define PATIENCE_NS (20 * NSEC_PER_SEC)

static struct {
	bool armed;
	long count, fail_from;
} sweep;

static char dir[] = "/tmp/moonrise-alloc-XXXXXX";

static bool must_fail(void)
{
	return sweep.armed && ++sweep.count >= sweep.fail_from;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size)
{
	return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
	return must_fail() ? NULL : __real_realloc(block, size);
}

static void *allocate(void *data, void *block, size_t old_size, size_t new_size)
{
	(void)data;
	if (new_size == 0) {
		free(block);
		return NULL;
	}
	if (block && new_size <= old_size) /* Lua counts on it: less is always there */
		return __real_realloc(block, new_size);
	return must_fail() ? NULL : __real_realloc(block, new_size);
}

/* ---- what the bindings find in place of host.c */

const struct host_options *host_options(void)
{
	static char *args[] = { "one", "two", NULL };
	static struct host_options options = { .mode = "boot", .args = args };

	return &options;
}

int host_hand_over(const struct spawn_plan *plan)
{
	return handover_exec(plan);
}

int64_t host_deadline(void)
{
	return LOOP_FOREVER;
}

void host_set_deadline(int64_t from_now)
{
	(void)from_now;
}

static void signal_arrived(const struct signal_arrival *arrival)
{
	(void)bind_push_event(&(struct bind_event){ .kind = EVENT_SIGNAL, .a = arrival->number });
}

/* true when something has failed already, so that waiting for it would be in vain. */
static int l_has_failed(lua_State *L)
{
	lua_pushboolean(L, sweep.count >= sweep.fail_from);
	return 1;
}

static int l_send_signal(lua_State *L)
{
	(void)kill(getpid(), (int)luaL_checkinteger(L, 1));
	return 0;
}

/* send_message(path, text): a datagram with two descriptors. */
static int l_send_message(lua_State *L)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct iovec text = { (void *)luaL_checkstring(L, 2), lua_rawlen(L, 2) };
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr header;
	} control = { .header = { CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr message = {
		&address, sizeof(address), &text, 1, &control, sizeof(control), 0
	};
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", luaL_checkstring(L, 1));
	memcpy(CMSG_DATA(&control.header), (int[]){ fd, fd }, 2 * sizeof(int));
	(void)sendmsg(fd, &message, 0);
	return 0;
}

/* ---- one run */

static lua_State *new_state(void)
{
	lua_State *L = lua_newstate(allocate, NULL);

	lua_setwarnf(L, bind_host_warn, NULL);
	bind_safe_install(L);
	bind_require_install(L);
	bind_init(L);
	bind_host_enter(L);
	int status = luaL_loadfile(L, "tests/alloc/cases.lua");
	lua_pushstring(L, dir);
	lua_pushcfunction(L, l_has_failed);
	lua_pushcfunction(L, l_send_signal);
	lua_pushcfunction(L, l_send_message);
	if (status != LUA_OK || lua_pcall(L, 4, 1, 0) != LUA_OK) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		exit(1);
	}
	return L;
}

static int count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* What was started may take a moment to end, and pipes to be drained. */
static void settle(int descriptors)
{
	int64_t deadline = loop_time() + PATIENCE_NS;

	control_done(loop_time());
	notify_done();
	while ((child_any() || count_descriptors() > descriptors) && loop_time() < deadline)
		(void)loop_turn(loop_time() + NSEC_PER_MSEC);
	while (bind_first_event())
		bind_drop_event();
}

static const char *find_leak(int descriptors)
{
	settle(descriptors);
	if (child_any())
		return "a child is left";
	return count_descriptors() == descriptors ? NULL : "a descriptor is left";
}

/* NULL, or the error that it raised. */
static const char *run_state(int number, long fail_from)
{
	static char message[256];
	lua_State *L = new_state();

	lua_geti(L, -1, number);
	lua_getfield(L, -1, "run");
	sweep.count = 0;
	sweep.fail_from = fail_from;
	sweep.armed = true;
	int status = lua_pcall(L, 0, 0, 0);
	sweep.armed = false;
	(void)snprintf(message, sizeof(message), "%s",
		       status == LUA_OK ? "" : luaL_tolstring(L, -1, NULL));
	lua_close(L);
	return status == LUA_OK ? NULL : message;
}

/* The first run is for what the core opens once and keeps. */
static bool run_case(int number, const char *name)
{
	const char *fault = run_state(number, LONG_MAX);
	bool passed = false;
	long n = 0;

	settle(INT_MAX);
	while (!passed && !fault && n < MAX_ALLOCATIONS) {
		int descriptors = count_descriptors();
		const char *error = run_state(number, ++n);

		passed = sweep.count < n;
		fault = find_leak(descriptors);
		if (!fault && passed)
			fault = error;
	}
	if (!fault && !passed)
		fault = "it never passes";
	if (fault)
		printf("not ok %s: with allocations failing from %ld on: %s\n", name, n, fault);
	else
		printf("ok %s: %ld allocations\n", name, n - 1);
	(void)fflush(stdout);
	return !fault;
}

/* All cases, or those named. */
static bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(name, argv[i]) == 0)
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	int failed = 0;
	char name[64];

	if (loop_init() < 0 || signal_init(signal_arrived) < 0 || !mkdtemp(dir) ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return 1;
	for (int i = 1;; i++) {
		lua_State *L = new_state();
		bool is_case = lua_geti(L, -1, i) == LUA_TTABLE;

		if (is_case) {
			lua_getfield(L, -1, "name");
			(void)snprintf(name, sizeof(name), "%s", lua_tostring(L, -1));
		}
		lua_close(L);
		if (!is_case)
			break;
		if (is_wanted(name, argc, argv))
			failed += !run_case(i, name);
	}
	(void)rmdir(dir);
	loop_done();
	return failed > 0;
}
