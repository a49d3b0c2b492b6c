--- What a volume remembers, in .moonrise/journal (see moonrise.journal).
-- @module moonrise.volume.record
local sys_file = require "sys.file"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local fs = require "moonrise.fs"
local journal = require "moonrise.journal"

local M = {}

local STATUS = fault.STATUS
local FOLDER, NAME = "/.moonrise", "/.moonrise/journal"
local EFBIG = 27
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

--- Read the record of a volume; nothing is changed.
-- @string path of the volume
function M.load(path)
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

--- Make it ready to be written to. The folder is open to our group, so that the next
-- random uid with gid 0 can go on.
function Record:begin()
  if not self.text or self.good == 0 then
    fs.mkdir(self.path .. FOLDER, { mode = "0775" })
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
