/* SPDX-License-Identifier: MIT */
/* The Lua host: one state, one protected call of require("moonrise.boot").main().
 * The loop, the signals and the children belong to C and outlive the state:
 * whatever happens in it, the ending below is reached. */
#include "host.h"

#include "bind.h"
#include "control.h"
#include "ending.h"
#include "follow.h"
#include "guard.h"
#include "handover.h"
#include "intake.h"
#include "log.h"
#include "loop.h"
#include "memory.h"
#include "notify.h"
#include "output.h"
#include "relay.h"
#include "room.h"
#include "signal.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#define STATUS_ENGINE 70
#define UNTOLD_STOP_NS (15 * NSEC_PER_SEC)
#define READER_NS (3 * NSEC_PER_SEC)

static const struct host_options *current;

/* What the guarded call leaves behind. */
static int exit_status = STATUS_ENGINE;
static int64_t rest_grace;
static int64_t stop_deadline = LOOP_FOREVER;
static char failure[4096];

const struct host_options *host_options(void)
{
	return current;
}

int64_t host_deadline(void)
{
	return stop_deadline;
}

void host_set_deadline(int64_t from_now)
{
	stop_deadline = loop_time() + from_now;
}

/* How long a stop may last is for the boot to say; if it does not say so, the
 * answer is for C to find. */
static void signal_arrived(const struct signal_arrival *arrival)
{
	int number = arrival->number;

	if ((number == SIGTERM || number == SIGNAL_RTMIN + 3) && stop_deadline == LOOP_FOREVER)
		host_set_deadline(UNTOLD_STOP_NS);
	(void)bind_push_event(&(struct bind_event){
		.kind = EVENT_SIGNAL, .a = arrival->number, .b = arrival->outside });
}

static int panic(lua_State *L)
{
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "panic";

	(void)snprintf(failure, sizeof(failure), "%s", text);
	guard_give_up(failure);
}

static int add_traceback(lua_State *L)
{
	const char *text = luaL_tolstring(L, 1, NULL);

	luaL_traceback(L, L, text, 1);
	return 1;
}

/* Runs inside lua_pcall. main returns the exit status and the seconds that are
 * left for processes which no service owns. */
static int run_boot(lua_State *L)
{
	bind_safe_install(L);
	bind_require_install(L);
	bind_init(L);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "moonrise.boot");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "main");
	lua_call(L, 0, 2);
	exit_status = (int)luaL_checkinteger(L, -2);
	rest_grace = bind_nanoseconds(luaL_optnumber(L, -1, 0));
	return 0;
}

static void keep_failure(lua_State *L)
{
	const char *text = lua_tostring(L, -1);

	(void)snprintf(failure, sizeof(failure), "%s", text ? text : "an error that is no text");
}

/* Runs inside guard_call. The state is never closed: the process ends soon, and
 * finalizers of a script must not hold that up. */
static void run_state(void *data)
{
	static lua_State *L; /* static: ours for good, not a leak */

	(void)data;
	L = lua_newstate(memory_allocate, NULL);
	if (!L) {
		(void)snprintf(failure, sizeof(failure), "no memory for a Lua state");
		return;
	}
	lua_atpanic(L, panic);
	lua_setwarnf(L, bind_host_warn, NULL);
	/* A half more, not twice as much: what PID 1 has once taken it keeps. */
	lua_gc(L, LUA_GCINC, 150, 0, 0);
	lua_gc(L, LUA_GCSTOP); /* bind_start_collector starts it */
	bind_host_enter(L);
	lua_pushcfunction(L, add_traceback);
	lua_pushcfunction(L, run_boot);
	if (lua_pcall(L, 0, 0, 1) != LUA_OK)
		keep_failure(L);
	bind_host_enter(NULL);
}

static int become_init(void)
{
	int r = loop_init();

	if (r >= 0)
		r = signal_init(signal_arrived);
	if (r >= 0 && getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = -errno;
	signal_reset_dispositions(SIGNAL_ALL); /* once for all services */
	room_init();
	return r;
}

/* Signals end a rehearsal as they end any program. */
static void end_rehearsal(const struct signal_arrival *arrival)
{
	static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
		if (arrival->number == deadly[i])
			exit(128 + arrival->number);
}

/* Its few children are workers that look at a volume. */
static int rehearse(void)
{
	int r = loop_init();

	return r < 0 ? r : signal_init(end_rehearsal);
}

/* What the services wrote last should get out. */
static void flush_all(void)
{
	int64_t soon = loop_time() + READER_NS;
	bool is_late = stop_deadline == LOOP_FOREVER || stop_deadline < soon;
	struct output_end end = { READER_NS, is_late ? soon : stop_deadline };

	intake_flush();
	follow_flush(&end);
	relay_flush(&end);
}

int host_hand_over(const struct spawn_plan *plan)
{
	flush_all();
	control_done(LOOP_NOW);
	notify_done();
	intake_done();
	return handover_exec(plan);
}

static void say_why(const char *lost)
{
	char text[sizeof(failure) + 64];

	if (lost)
		(void)snprintf(text, sizeof(text), "engine lost: %s", lost);
	else
		(void)snprintf(text, sizeof(text), "engine failed: %s", failure);
	log_error("%s", text);
	ending_termination_log(text);
}

/* One deadline: after a stop that has lasted too long there is no second patience. */
static int64_t grace_without_lua(void)
{
	int64_t left = stop_deadline - loop_time();

	if (left < 0)
		return 0;
	return left < ENDING_GRACE_NS ? left : ENDING_GRACE_NS;
}

int host_run(const struct host_options *options)
{
	bool boot = strcmp(options->mode, "boot") == 0;

	current = options;
	memory_set_limit(options->memory_limit ? options->memory_limit : HOST_MEMORY_LIMIT);
	int r = boot ? become_init() : rehearse();
	if (r >= 0)
		r = guard_init(bind_host_overrun);
	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return STATUS_ENGINE;
	}
	const char *lost = guard_call(run_state, NULL);
	if (lost || *failure)
		say_why(lost);
	if (boot) {
		control_done(LOOP_NOW); /* nobody answers any more */
		notify_done();
		ending_run(SIGTERM, lost || *failure ? grace_without_lua() : rest_grace);
		flush_all();
		intake_done();
	}
	return exit_status;
}
