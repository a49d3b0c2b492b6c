--- What a volume remembers, in .moonrise/journal (see moonrise.journal).
-- @module moonrise.volume.record
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local fs = require "moonrise.fs"
local journal = require "moonrise.journal"

local M = {}

local STATUS = fault.STATUS
local FOLDER, NAME, LOCK = "/.moonrise", "/.moonrise/journal", "/.moonrise/lock"
local EAGAIN = 11
local EFBIG, ENOLCK, EOPNOTSUPP = 27, 37, 95
local SIZE_MAX = 16 << 20 -- far more than steps and images ever take

local Record = {}
Record.__index = Record

-- What an entry does to what is remembered: done[STEP] = "begin" or "done"; images,
-- ids in the order in which they came; upgraded[STEP] = id; kept[STEP] = id while there
-- is a snapshot that is to be put back.
local REMEMBER = {
  begin = function(self, name) self.done[name] = "begin" end,
  done = function(self, name) self.done[name] = "done" end,
  image = function(self, name) self.images[#self.images + 1] = name end,
  keep = function(self, name) self.kept[name] = true end,
  back = function(self, name) self.kept[name] = nil end,
  upgraded = function(self, name)
    local id, step = name:match("^(%S+) (.*)$")
    if step then self.upgraded[step], self.kept[step] = id, nil end
  end,
}

local function remember(self, what, name)
  if REMEMBER[what] then REMEMBER[what](self, name) end
end

local held = {} -- locks by path: for as long as this process lives

-- Who we are, for the message to the next one.
local function own_name()
  local name = (sys_file.read("/proc/sys/kernel/hostname") or "?"):match("^%C*")
  return ("%s, since %s"):format(name, os.date("!%Y-%m-%d %H:%M:%S UTC"))
end

-- The folder and the lock are open to our group, so that the next random uid with gid 0
-- can go on.
local function lock(path)
  if held[path] then return end
  fs.mkdir(path .. FOLDER, { mode = "0775" })
  local fd, why, errno = sys_file.open_append(path .. LOCK)
  if not fd then file.fail("lock the volume " .. path, path, why, errno) end
  local ok
  ok, why, errno = sys_file.lock(fd, false, own_name())
  if errno == EAGAIN then
    local holder = (sys_file.read(path .. LOCK, 1024) or ""):match("^%C+")
    fd:close()
    fault.raise(STATUS.volume, "the volume %s is in use by another container%s", path, holder and ": " .. holder or "")
  end
  -- Some network file systems have no locks; then nothing can be told.
  if not ok and errno ~= ENOLCK and errno ~= EOPNOTSUPP then file.fail("lock the volume " .. path, path, why, errno) end
  sys_file.chmod(path .. LOCK, tonumber("0664", 8))
  held[path] = fd
end

--- Read the record of a volume; nothing is changed but that it is ours from now on.
-- @string path of the volume
function M.load(path)
  if sys_host.mode == "boot" then lock(path) end
  local text, why, errno = sys_file.read(path .. NAME, SIZE_MAX)
  if not text and errno ~= file.ENOENT then
    if errno == EFBIG then why = NAME .. ": it is larger than any that moonrise writes" end
    file.fail("read " .. path .. NAME, path, why, errno)
  end
  local entries, good = journal.decode(text or "")
  if not entries then fault.raise(STATUS.volume, "the record %s can't be used: %s", path .. NAME, good) end
  local self = setmetatable({
    path = path, text = text, good = good, done = {}, images = {}, upgraded = {}, kept = {},
  }, Record)
  for _, entry in ipairs(entries) do remember(self, entry.what, entry.name) end
  return self
end

--- Make it ready to be written to.
function Record:begin()
  if not self.text or self.good == 0 then
    fs.write(self.path .. NAME, journal.HEADER, { mode = "0664" })
  elseif self.good < #self.text then
    fs.write(self.path .. NAME, self.text:sub(1, self.good))
  end
  self.text = nil
end

--- Add an entry; it is on disk when this returns.
-- @string what "begin", "done", "image", "keep", "back" or "upgraded"
-- @string name of the step, the image's id, or for "upgraded" both: "ID STEP"
function Record:note(what, name)
  fs.append(self.path .. NAME, journal.encode(what, name))
  remember(self, what, name)
end

return M
