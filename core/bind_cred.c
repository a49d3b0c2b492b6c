/* SPDX-License-Identifier: MIT */
/* sys.cred: users, groups, capabilities.
 *
 *     user(name|uid) -> { name, uid, gid, home, shell, groups = {} } | nil, reason, errno
 *     group(name|gid) -> gid, name | nil, reason, errno
 *     caps() -> names      the effective set      bounding() -> names
 *     uid()  gid() */
#include "bind.h"
#include "cred.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void push_user(lua_State *L, const struct cred_user *user)
{
	lua_createtable(L, 0, 6);
	lua_pushstring(L, user->name);
	lua_setfield(L, -2, "name");
	lua_pushinteger(L, user->uid);
	lua_setfield(L, -2, "uid");
	lua_pushinteger(L, user->gid);
	lua_setfield(L, -2, "gid");
	lua_pushstring(L, user->home);
	lua_setfield(L, -2, "home");
	lua_pushstring(L, user->shell);
	lua_setfield(L, -2, "shell");
	lua_createtable(L, user->group_count, 0);
	for (int i = 0; i < user->group_count; i++) {
		lua_pushinteger(L, user->groups[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "groups");
}

static int l_user(lua_State *L)
{
	struct cred_user user;
	const char *name = luaL_checkstring(L, 1);

	int r = cred_find_user(name, &user);
	if (r < 0)
		return bind_fail(L, r, name);
	push_user(L, &user);
	return 1;
}

static int l_group(lua_State *L)
{
	struct cred_group group;
	const char *name = luaL_checkstring(L, 1);

	int r = cred_find_group(name, &group);
	if (r < 0)
		return bind_fail(L, r, name);
	lua_pushinteger(L, group.gid);
	lua_pushstring(L, group.name);
	return 2;
}

/* Without "cap_", as the script's `caps` option takes them. Copied, since pushing it may raise. */
static void capability_name(int number, char *ret_name, size_t size)
{
	char *name = cap_to_name((cap_value_t)number);

	(void)snprintf(ret_name, size, "%s", name ? name + strlen("cap_") : "?");
	(void)cap_free(name);
}

static int push_capabilities(lua_State *L, uint64_t set)
{
	lua_Integer count = 0;
	char name[64];

	lua_newtable(L);
	for (int i = 0; i < 64; i++) {
		if (!(set >> i & 1))
			continue;
		capability_name(i, name, sizeof(name));
		lua_pushstring(L, name);
		lua_rawseti(L, -2, ++count);
	}
	return 1;
}

static int l_caps(lua_State *L)
{
	return push_capabilities(L, cred_effective());
}

static int l_bounding(lua_State *L)
{
	return push_capabilities(L, cred_bounding());
}

static int l_uid(lua_State *L)
{
	lua_pushinteger(L, geteuid());
	return 1;
}

static int l_gid(lua_State *L)
{
	lua_pushinteger(L, getegid());
	return 1;
}

static const luaL_Reg functions[] = {
	{ "user", l_user }, { "group", l_group }, { "caps", l_caps }, { "bounding", l_bounding },
	{ "uid", l_uid },   { "gid", l_gid },     { NULL, NULL },
};

int bind_open_cred(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
