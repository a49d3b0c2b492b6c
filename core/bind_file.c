/* SPDX-License-Identifier: MIT */
/* sys.file: single files for lua/moonrise/fs.lua. MODE, UID and GID may be left
 * out; see struct file_attr. */
#include "bind.h"
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DIR_TYPE "sys.file.dir"
#define READ_MAX 65536

/* A name on disk has no NUL; what would be cut off there is a mistake. */
static const char *check_path(lua_State *L, int arg)
{
	size_t length;
	const char *path = luaL_checklstring(L, arg, &length);

	luaL_argcheck(L, strlen(path) == length, arg, "a path with a NUL byte in it");
	return path;
}

static int check_number(lua_State *L, int arg, lua_Integer max)
{
	lua_Integer number = luaL_optinteger(L, arg, -1);

	luaL_argcheck(L, number >= -1 && number <= max, arg, "out of range");
	return (int)number;
}

static struct file_attr check_attr(lua_State *L, int arg)
{
	return (struct file_attr){
		.mode = check_number(L, arg, 07777),
		.uid = (uid_t)check_number(L, arg + 1, UINT32_MAX - 1),
		.gid = (gid_t)check_number(L, arg + 2, UINT32_MAX - 1),
	};
}

/* true, or the three values of bind_fail */
static int answer(lua_State *L, int r, const char *path)
{
	if (r < 0)
		return bind_fail(L, r, path);
	lua_pushboolean(L, 1);
	return 1;
}

/* Reads to the end, whatever the size said: files of /proc have none. The pieces
 * grow, so that a small file needs no memory but the buffer's own. */
static int push_content(lua_State *L, int fd, lua_Integer limit)
{
	luaL_Buffer buffer;
	size_t piece = LUAL_BUFFERSIZE;
	lua_Integer size = 0;
	ssize_t n;

	luaL_buffinit(L, &buffer);
	do {
		n = read(fd, luaL_prepbuffsize(&buffer, piece), piece);
		if (n > 0) {
			luaL_addsize(&buffer, (size_t)n);
			size += n;
		}
		if (n == (ssize_t)piece && piece < READ_MAX)
			piece *= 2;
	} while (size <= limit && (n > 0 || (n < 0 && errno == EINTR)));
	if (n < 0)
		return -errno;
	if (size > limit)
		return -EFBIG;
	luaL_pushresult(&buffer);
	return 0;
}

/* read(path, limit) -> text */
static int l_read(lua_State *L)
{
	const char *path = check_path(L, 1);
	lua_Integer limit = luaL_optinteger(L, 2, LUA_MAXINTEGER);
	struct bind_fd *file = bind_new_fd(L);
	int r;

	lua_toclose(L, -1);
	r = file_open(path);
	if (r < 0)
		return bind_fail(L, r, path);
	file->source.fd = r;
	r = push_content(L, file->source.fd, limit);
	return r < 0 ? bind_fail(L, r, path) : 1;
}

/* open_read(path), open_append(path) -> descriptor, for a child's stdin, stdout */
static int open_with(lua_State *L, int (*open_it)(const char *path))
{
	const char *path = check_path(L, 1);
	struct bind_fd *file = bind_new_fd(L);

	return bind_give_fd(L, file, open_it(path), path);
}

static int l_open_read(lua_State *L)
{
	return open_with(L, file_open);
}

static int l_open_append(lua_State *L)
{
	return open_with(L, file_open_append);
}

/* lock(fd, shared, note) -> true; EAGAIN while somebody else holds it. The note is
 * what the file then says. */
static int l_lock(lua_State *L)
{
	int fd = bind_check_fd(L, 1)->source.fd;
	const char *note = luaL_optstring(L, 3, NULL);
	int r = file_lock(fd, lua_toboolean(L, 2));

	if (r == 0 && note)
		(void)file_note(fd, note); /* without it only a message says less */
	return answer(L, r, "lock");
}

/* watcher() -> fd, which gives struct inotify_event */
static int l_watcher(lua_State *L)
{
	struct bind_fd *watcher = bind_new_fd(L);

	return bind_give_fd(L, watcher, file_watcher(), "inotify");
}

/* watch(watcher, folder) -> number in its events */
static int l_watch(lua_State *L)
{
	const struct bind_fd *watcher = bind_check_fd(L, 1);
	const char *folder = check_path(L, 2);
	int r = file_watch(watcher->source.fd, folder);

	if (r < 0)
		return bind_fail(L, r, folder);
	lua_pushinteger(L, r);
	return 1;
}

/* unwatch(watcher, number) */
static int l_unwatch(lua_State *L)
{
	file_unwatch(bind_check_fd(L, 1)->source.fd, (int)luaL_checkinteger(L, 2));
	return 0;
}

/* write(path, text, mode, uid, gid) -> true */
static int l_write(lua_State *L)
{
	size_t size;
	const char *path = check_path(L, 1), *text = luaL_checklstring(L, 2, &size);
	struct file_attr attr = check_attr(L, 3);

	return answer(L, file_write(path, text, size, &attr), path);
}

/* append(path, text, mode, uid, gid) -> true */
static int l_append(lua_State *L)
{
	size_t size;
	const char *path = check_path(L, 1), *text = luaL_checklstring(L, 2, &size);
	struct file_attr attr = check_attr(L, 3);

	return answer(L, file_append(path, text, size, &attr), path);
}

/* mkdir(path, mode, uid, gid) -> true */
static int l_mkdir(lua_State *L)
{
	const char *path = check_path(L, 1);
	struct file_attr attr = check_attr(L, 2);

	return answer(L, file_make_folder(path, &attr), path);
}

/* link(target, path) -> true */
static int l_link(lua_State *L)
{
	const char *target = check_path(L, 1), *path = check_path(L, 2);

	return answer(L, file_link(target, path), path);
}

/* move(from, to) -> true */
static int l_move(lua_State *L)
{
	const char *from = check_path(L, 1), *to = check_path(L, 2);

	return answer(L, file_move(from, to), from);
}

/* remove(path) -> true */
static int l_remove(lua_State *L)
{
	const char *path = check_path(L, 1);

	return answer(L, file_remove(path), path);
}

/* chown(path, uid, gid) -> true */
static int l_chown(lua_State *L)
{
	const char *path = check_path(L, 1);
	uid_t uid = (uid_t)check_number(L, 2, UINT32_MAX - 1);
	gid_t gid = (gid_t)check_number(L, 3, UINT32_MAX - 1);

	return answer(L, file_change_owner(path, uid, gid), path);
}

/* chmod(path, mode) -> true */
static int l_chmod(lua_State *L)
{
	const char *path = check_path(L, 1);
	int mode = (int)luaL_checkinteger(L, 2);

	return answer(L, file_change_mode(path, mode & 07777), path);
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "folder";
	case S_IFLNK:
		return "link";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "device";
	}
}

static void set_integer(lua_State *L, const char *key, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

/* stat(path, follow) -> { type, mode, size, uid, gid, mtime, inode } */
static int l_stat(lua_State *L)
{
	const char *path = check_path(L, 1);
	struct stat st;
	int r = file_stat(path, lua_toboolean(L, 2), &st);

	if (r < 0)
		return bind_fail(L, r, path);
	lua_createtable(L, 0, 7);
	lua_pushstring(L, type_name(st.st_mode));
	lua_setfield(L, -2, "type");
	lua_pushnumber(L, (lua_Number)st.st_mtim.tv_sec + (lua_Number)st.st_mtim.tv_nsec / 1e9);
	lua_setfield(L, -2, "mtime");
	set_integer(L, "mode", st.st_mode & 07777);
	set_integer(L, "size", st.st_size);
	set_integer(L, "uid", st.st_uid);
	set_integer(L, "gid", st.st_gid);
	set_integer(L, "inode", (lua_Integer)st.st_ino);
	return 1;
}

static int l_close_dir(lua_State *L)
{
	DIR **dir = luaL_checkudata(L, 1, DIR_TYPE);

	if (*dir)
		(void)closedir(*dir);
	*dir = NULL;
	return 0;
}

static DIR **new_dir(lua_State *L)
{
	DIR **dir = lua_newuserdatauv(L, sizeof(DIR *), 0);

	*dir = NULL;
	luaL_setmetatable(L, DIR_TYPE);
	lua_toclose(L, -1);
	return dir;
}

/* list(path) -> { name... }, in the order of the disk */
static int l_list(lua_State *L)
{
	const char *path = check_path(L, 1);
	DIR **dir = new_dir(L);
	int fd = file_open_folder(path), count = 0;
	struct dirent *entry;

	if (fd < 0)
		return bind_fail(L, fd, path);
	*dir = fdopendir(fd);
	if (!*dir) {
		(void)close(fd);
		return bind_fail(L, ENOMEM, path);
	}
	lua_newtable(L);
	while ((errno = 0, entry = readdir(*dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		lua_pushstring(L, entry->d_name);
		lua_rawseti(L, -2, ++count);
	}
	return errno ? bind_fail(L, errno, path) : 1;
}

/* space(path) -> free bytes, free files (nil: no limit), read-only */
static int l_space(lua_State *L)
{
	const char *path = check_path(L, 1);
	struct statvfs space;
	int r = file_space(path, &space);

	if (r < 0)
		return bind_fail(L, r, path);
	lua_pushinteger(L, (lua_Integer)(space.f_bavail * space.f_frsize));
	if (space.f_files > 0)
		lua_pushinteger(L, (lua_Integer)space.f_favail);
	else
		lua_pushnil(L);
	lua_pushboolean(L, (space.f_flag & ST_RDONLY) != 0);
	return 3;
}

/* can_write(folder) -> true */
static int l_can_write(lua_State *L)
{
	const char *path = check_path(L, 1);

	return answer(L, file_can_write(path), path);
}

/* fence(path) -> true: no link in it leads out of it from now on */
static int l_fence(lua_State *L)
{
	const char *path = check_path(L, 1);

	return answer(L, walk_fence(path), path);
}

/* fenced() -> { path... } */
static int l_fenced(lua_State *L)
{
	const char *path;

	lua_newtable(L);
	for (int n = 0; (path = walk_fenced(n)); n++) {
		lua_pushstring(L, path);
		lua_rawseti(L, -2, n + 1);
	}
	return 1;
}

static const luaL_Reg functions[] = {
	{ "append", l_append },
	{ "can_write", l_can_write },
	{ "chmod", l_chmod },
	{ "chown", l_chown },
	{ "fence", l_fence },
	{ "fenced", l_fenced },
	{ "link", l_link },
	{ "list", l_list },
	{ "lock", l_lock },
	{ "mkdir", l_mkdir },
	{ "move", l_move },
	{ "open_read", l_open_read },
	{ "open_append", l_open_append },
	{ "read", l_read },
	{ "remove", l_remove },
	{ "space", l_space },
	{ "stat", l_stat },
	{ "watch", l_watch },
	{ "watcher", l_watcher },
	{ "unwatch", l_unwatch },
	{ "write", l_write },
	{ NULL, NULL },
};

int bind_open_file(lua_State *L)
{
	static const luaL_Reg dir[] = { { "__gc", l_close_dir },
					{ "__close", l_close_dir },
					{ NULL, NULL } };

	luaL_newmetatable(L, DIR_TYPE);
	luaL_setfuncs(L, dir, 0);
	luaL_newlib(L, functions);
	return 1;
}
