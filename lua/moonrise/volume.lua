--- Volumes: what outlives the container.
--
--     local data = fs.volume("/data", {
--       template = "/data-template",               -- populate what is missing
--       dirs = { "logs", run = { mode = "0750" } },
--       owner = "www-data",                        -- of the volume itself and of `dirs`
--     })
--     data:once("site certificate", function() ... end)
--
-- A volume that can't be used is refused before anything on it is changed. Nothing
-- under it is reached through a link that leads out of it. What was done is recorded
-- in .moonrise/journal (see moonrise.journal), after it is on disk.
-- @module moonrise.volume
local sys_cred = require "sys.cred"
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local fs = require "moonrise.fs"
local journal = require "moonrise.journal"
local steps = require "moonrise.steps"
local strict = require "moonrise.strict"

local M = {}

local STATUS = fault.STATUS
local JOURNAL = ".moonrise/journal"

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

-- Populating ------------------------------------------------------------------------

local function size(bytes)
  if bytes < 1 << 20 then return ("%d KiB"):format((bytes + 1023) >> 10) end
  return ("%.1f MiB"):format(bytes / (1 << 20))
end

local function populate(path, template)
  local what = ("populate %s from %s"):format(path, template)
  if sys_host.mode ~= "boot" then return require("moonrise.rehearse").note(what) end
  local entries, bytes = file.work("look through " .. template, path, "missing", template, path):match("(%d+) (%d+)")
  if entries == "0" then return end
  local free, free_files = sys_file.space(path)
  if free and tonumber(bytes) > free then
    refuse(path, "is too small: %s takes %s more, and %s are free", template, size(tonumber(bytes)), size(free))
  elseif free_files and tonumber(entries) > free_files then
    refuse(path, "is too small: %s takes %d more files, and %d can be made", template, entries, free_files)
  end
  file.work(what, path, "populate", template, path)
end

-- The record ------------------------------------------------------------------------

local function load_record(path)
  local text, why, errno = sys_file.read(path)
  if not text and errno ~= file.ENOENT then file.fail("read " .. path, path, why, errno) end
  local entries, good = journal.decode(text or "")
  if not entries then fault.raise(STATUS.volume, "the record %s can't be used: %s", path, good) end
  local done = {}
  for _, entry in ipairs(entries) do done[entry.name] = entry.what end
  return { text = text, good = good, done = done }
end

-- The folder is open to our group, so that the next random uid with gid 0 can go on.
local function begin_record(volume, record)
  if not record.text or record.good == 0 then
    fs.mkdir(volume:path(".moonrise"), { mode = "0775" })
    fs.write(volume:path(JOURNAL), journal.HEADER, { mode = "0664" })
  elseif record.good < #record.text then
    fs.write(volume:path(JOURNAL), record.text:sub(1, record.good))
  end
end

local function note(volume, what, name)
  fs.append(volume:path(JOURNAL), journal.encode(what, name))
  volume.done[name] = what
end

-- The volume ------------------------------------------------------------------------

local Volume = {}

--- The path of something in the volume; of the volume itself without an argument.
function Volume:path(below)
  if below == nil then return self.path_ end
  return self.path_ .. "/" .. file.path(below, "volume:path")
end

local function check_once(name, options, f)
  if type(name) ~= "string" or name == "" then
    fault.raise(STATUS.script, "volume:once takes a name first, not %s", name == "" and '""' or strict.describe(name))
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
  if self.done[name] == "done" then return false end
  if self.running[name] then fault.raise(STATUS.script, "volume:once: '%s' is being done already", name) end
  if sys_host.mode ~= "boot" then
    require("moonrise.rehearse").within(("once %q:"):format(name), f, { interrupted = self.done[name] == "begin" })
    return true
  end
  local _ <close> = steps.begin("once", name)
  self.running[name] = true
  local _ <close> = setmetatable({}, { __close = function() self.running[name] = nil end })
  local interrupted = self.done[name] == "begin"
  if interrupted and options.undo then options.undo() end
  if not interrupted then note(self, "begin", name) end
  f { interrupted = interrupted }
  file.work("write back " .. self.path_, self.path_, "sync", self.path_)
  note(self, "done", name)
  return true
end

Volume.__name = "volume"
Volume.__tostring = function(self) return "volume " .. self.path_ end
Volume.__index = function(_, key)
  return Volume[key] or fault.raise(STATUS.script, "a volume has no '%s'%s", tostring(key),
    require("moonrise.nearest").hint(tostring(key), { path = true, once = true }))
end

-- dirs = { "logs", run = { mode = "0750" } } as a sorted list of name and options.
local function check_dirs(dirs)
  local list = {}
  for key, value in pairs(dirs) do
    local name, options = key, value
    if math.type(key) == "integer" then name, options = value, {} end
    if type(name) ~= "string" or name:find("^/") or ("/" .. name .. "/"):find("/../", 1, true) then
      fault.raise(STATUS.script, "'dirs' of fs.volume has %s; it takes paths in the volume",
        type(name) == "string" and ('"%s"'):format(name) or strict.describe(name))
    end
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

local OPTIONS = { template = "string", dirs = "table", owner = "string|integer" }

--- Prepare a volume.
-- @string path where it is mounted
-- @tparam[opt] table options
--   template = a folder of the image: what is missing in the volume is copied from it, with modes,
--   owners, times and links, each entry in one piece; what is there is never changed;
--   dirs = folders to make: a list, or NAME = { mode =, owner =, group = };
--   owner = who the volume itself and `dirs` belong to (not what the template brings)
-- @treturn table the volume
function M.open(path, options)
  options = strict.check("fs.volume", options or {}, OPTIONS)
  path = file.path(path, "fs.volume"):gsub("(.)/+$", "%1")
  if path:sub(1, 1) ~= "/" then
    fault.raise(STATUS.script, "the path of fs.volume is %s; it takes an absolute one", path)
  end
  local dirs = check_dirs(options.dirs or {})
  file.owner(options.owner, nil, "fs.volume")
  local _ <close> = steps.begin("volume", path)
  local is_boot = sys_host.mode == "boot"
  if is_boot then check(path) else require("moonrise.rehearse").note("use the volume " .. path) end
  local record = load_record(path .. "/" .. JOURNAL)
  local volume = setmetatable({ path_ = path, running = {}, done = record.done }, Volume)
  if options.template then populate(path, options.template) end
  if options.owner then fs.chown(path, options.owner) end
  make_dirs(volume, dirs, options.owner)
  if is_boot then begin_record(volume, record) end
  return volume
end

return M
