--- Volumes: what outlives the container.
--
--     local data = fs.volume("/data", {
--       template = "/data-template",               -- what it has, the volume gets
--       dirs = { "logs", run = { mode = "0750" } },
--       owner = "www-data",                        -- of the volume itself and of `dirs`
--     })
--     data:once("site certificate", function() ... end)
--
-- A volume that can't be used is refused before anything on it is changed. Nothing
-- under it is reached through a link that leads out of it. What was done is recorded
-- after it is on disk (see moonrise.volume.record).
-- @module moonrise.volume
local sys_cred = require "sys.cred"
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local log = require "sys.log"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local fs = require "moonrise.fs"
local record = require "moonrise.volume.record"
local steps = require "moonrise.steps"
local strict = require "moonrise.strict"

local M = {}

local STATUS = fault.STATUS

local function refuse(path, fmt, ...)
  fault.raise(STATUS.volume, "the volume %s %s", path, fmt:format(...))
end

-- Checks --------------------------------------------------------------------------

local function account(uid, gid)
  local user = sys_cred.user(uid)
  local _, group = sys_cred.group(gid)
  return ("uid %d%s, gid %d%s"):format(uid, user and (" (%s)"):format(user.name) or "",
    gid, group and (" (%s)"):format(group) or "")
end

local function check_space(path)
  local bytes, files, is_read_only = sys_file.space(path)
  if is_read_only then refuse(path, "is read-only") end
  if bytes == 0 then refuse(path, "is full: no bytes are free") end
  if files == 0 then refuse(path, "is full: no more files can be made") end
end

local function check_access(path, present)
  local ok, _, errno = sys_file.can_write(path)
  if ok then return end
  if errno == 30 then refuse(path, "is read-only") end -- EROFS: a read-only bind mount
  refuse(path, "can't be written: we are %s; it belongs to %s and has mode %04o",
    account(sys_cred.uid(), sys_cred.gid()), account(present.uid, present.gid), present.mode)
end

local function check(path)
  local present, why, errno = sys_file.stat(path, true)
  if not present and errno == file.ENOENT then -- nobody mounted one: it is part of the container
    fs.mkdir(path)
    present, why, errno = sys_file.stat(path, true)
  end
  if not present then file.fail("use the volume " .. path, path, why, errno) end
  if present.type ~= "folder" then refuse(path, "is no folder, but a %s", present.type) end
  check_space(path)
  check_access(path, present)
  local ok, reason = sys_file.fence(path)
  if not ok then refuse(path, "can't be used: %s", reason) end
end

-- The volume ------------------------------------------------------------------------

local Volume = {}

--- The path of something in the volume; of the volume itself without an argument.
function Volume:path(below)
  if below == nil then return self.path_ end
  return self.path_ .. "/" .. strict.path(below, "volume:path")
end

local function check_once(name, options, f)
  if type(name) ~= "string" or name == "" then
    fault.raise(STATUS.script, "volume:once takes a name first, not %s", strict.show(name))
  end
  if f == nil then options, f = {}, options end
  options = strict.check("volume:once", options, { undo = "function" })
  if type(f) ~= "function" then
    fault.raise(STATUS.script, "volume:once takes a function, not %s", strict.describe(f))
  end
  return options, f
end

--- Do something exactly once in the volume's life. `f` must be safe to repeat, or
-- come with `undo`: a step that was cut short is done again. It is recorded as done
-- when `f` has returned and what it wrote in the volume is on disk.
-- @string name under which it is recorded
-- @tparam[opt] table options undo = g: called first when the last try was cut short,
--   to clear what that has left
-- @func f gets { interrupted = true } when the last try was cut short
-- @treturn boolean false when it was done already
function Volume:once(name, options, f)
  options, f = check_once(name, options, f)
  if self.record.done[name] == "done" then return false end
  if self.running[name] then fault.raise(STATUS.script, "volume:once: '%s' is being done already", name) end
  local interrupted = self.record.done[name] == "begin"
  if sys_host.mode ~= "boot" then
    local how = interrupted and (options.undo and ", after undoing what was cut short:" or ", again:") or ":"
    require("moonrise.rehearse").within(("once %q%s"):format(name, how), f, { interrupted = interrupted })
    return true
  end
  local _ <close> = steps.begin("once", name)
  self.running[name] = true
  local _ <close> = setmetatable({}, { __close = function() self.running[name] = nil end })
  if interrupted then
    log.line("notice", ("volume %s: '%s' was cut short; it is %sdone again"):format(self.path_, name,
      options.undo and "undone and " or ""))
    if options.undo then options.undo() end
  else
    self.record:note("begin", name)
  end
  f { interrupted = interrupted }
  file.work("write back " .. self.path_, self.path_, "sync", self.path_)
  self.record:note("done", name)
  return true
end

--- Do something when the image is another than the one for which it was last done;
-- not on a volume that has never seen another. It is recorded when `f` has returned
-- and what it wrote in the volume is on disk, and repeated when that was cut short.
-- @string name under which it is recorded
-- @tparam[opt] table options snapshot = { PATH... }: these paths of the volume are as
--   they were before when `f` fails, or the container ends in the middle of it
-- @func f gets the old and the new image's id
-- @treturn boolean whether it was done
function Volume:upgrade(name, options, f) return require("moonrise.volume.upgrade").step(self, name, options, f) end

--- What its user has made of the volume: in what it differs from the template that
-- was laid down last.
-- @treturn {table,...} sorted by path: path (below the volume), change ("created", "changed"
--   or "removed")
function Volume:changed()
  local what = "look through " .. self.path_
  local list = {}
  for change, path in file.work(what, self.path_, "changes", self.path_):gmatch("(%l+) ([^\n]*)\n") do
    list[#list + 1] = { change = change, path = require("moonrise.journal").unescape(path) }
  end
  return list
end

Volume.__name = "volume"
Volume.__tostring = function(self) return "volume " .. self.path_ end
Volume.__index = function(_, key)
  return Volume[key] or fault.raise(STATUS.script, "a volume has no '%s'%s", tostring(key),
    require("moonrise.nearest").hint(tostring(key), Volume))
end

-- dirs = { "logs", run = { mode = "0750" } } as a sorted list of name and options.
local function check_dirs(dirs)
  local list = {}
  for key, value in pairs(dirs) do
    local name, options = key, value
    if math.type(key) == "integer" then name, options = value, {} end
    file.below(name, "'dirs' of fs.volume")
    file.options(("'%s' in 'dirs' of fs.volume"):format(name), options)
    list[#list + 1] = { name = name, options = options }
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function make_dirs(volume, dirs, owner)
  for _, dir in ipairs(dirs) do
    local options = dir.options
    fs.mkdir(volume:path(dir.name), { mode = options.mode, owner = options.owner or owner, group = options.group })
  end
end

-- One of a few words; the first is what it is when nothing is said.
local function choice(takes, ...)
  local words, first = {}, (...)
  for _, word in ipairs { ... } do words[word] = true end
  return {
    default = first,
    check = function(value, what)
      if not words[value] then fault.raise(STATUS.script, "%s is %s; it takes %s", what, strict.show(value), takes) end
    end,
  }
end

local PATHS = strict.list("string", 'paths, such as { "/etc/app" }, or the name of a list of them')

local function check_list(list, what)
  if type(list) == "table" then PATHS.check(list, what) end
end

local OPTIONS = {
  template = "string", owner = "string|integer",
  dirs = { type = "table", takes = '{ "logs", run = { mode = "0750" } }' },
  list = { type = "string|table", takes = PATHS.takes, check = check_list },
  on_conflict = choice('"keep", "replace" or "fail"', "keep", "replace", "fail"),
  owners_by = choice('"name" or "number"', "name", "number"),
}

--- Prepare a volume.
-- @string path where it is mounted
-- @tparam[opt] table options
--   template = a folder of the image: the volume gets what it has, with modes, owners, times and
--   links, each entry in one piece, and follows it when a new image has another one;
--   list = paths of the image, or the name of a list of them, that are moved to the template
--   (PATH-template, when none is named) unless they were when the image was built;
--   on_conflict = "keep", "replace" or "fail": what becomes of a file that both the user and a new
--   image have changed;
--   dirs = folders to make: a list, or NAME = { mode =, owner =, group = };
--   owner = who the volume itself and `dirs` belong to (not what the template brings);
--   owners_by = "name" or "number": what a user or group keeps who has another number in a new image
-- @treturn table the volume
function M.open(path, options)
  options = strict.check("fs.volume", options or {}, OPTIONS)
  path = strict.path(path, "fs.volume"):gsub("(.)/+$", "%1")
  if path:sub(1, 1) ~= "/" then
    fault.raise(STATUS.script, "fs.volume takes an absolute path, not %s", strict.show(path))
  end
  local dirs = check_dirs(options.dirs or {})
  file.owner(options.owner, nil, "fs.volume")
  local list = options.list
  local template = options.template or list and path .. "-template"
  local _ <close> = steps.begin("volume", path)
  local is_boot = sys_host.mode == "boot"
  if is_boot then check(path) else require("moonrise.rehearse").note("use the volume " .. path) end
  local volume = setmetatable({ path_ = path, running = {}, record = record.load(path) }, Volume)
  if list then require("moonrise.volume.split").run(path, template, list) end
  if is_boot then volume.record:begin() end
  if next(volume.record.kept) and is_boot then require("moonrise.volume.upgrade").recover(volume) end
  if options.owners_by == "name" then require("moonrise.volume.owners").follow(path) end
  if template then
    local image = require("moonrise.volume.populate").run(path, template, options.on_conflict)
    local images = volume.record.images
    if is_boot and images[#images] ~= image then volume.record:note("image", image) end
  end
  if options.owner then fs.chown(path, options.owner) end
  make_dirs(volume, dirs, options.owner)
  return volume
end

return M
