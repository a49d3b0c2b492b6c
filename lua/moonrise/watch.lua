--- Folders in which something happens. One inotify descriptor serves all who wait and
-- is never closed: to close one takes the kernel up to 20 ms.
-- @module moonrise.watch
local file = require "sys.file"
local task = require "moonrise.task"

local M = {}

local IGNORED = 0x8000 -- IN_IGNORED: the folder is gone, or nobody watches it any more

local inotify
local entries = {} -- number of the kernel's watch -> { count =, version =, changed =, gone = }

local Watch = {}
Watch.__index = Watch

local function tell(entry)
  entry.version = entry.version + 1
  entry.changed:broadcast()
end

local function hear(number, mask)
  local entry = entries[number]
  if mask & IGNORED ~= 0 then entries[number] = nil end
  if entry then
    entry.gone = mask & IGNORED ~= 0
    tell(entry)
  elseif number < 0 then -- the kernel had more to say than it kept
    for _, one in pairs(entries) do tell(one) end
  end
end

-- struct inotify_event; the name in it does not matter.
local function hear_all(data)
  local from = 1
  while from < #data do
    local number, mask, _, length, name = ("i4I4I4I4"):unpack(data, from)
    hear(number, mask)
    from = name + length
  end
end

local function keep_hearing()
  while true do
    local data = inotify:read(65536)
    if data then
      hear_all(data)
    else
      task.readable(inotify)
    end
  end
end

local function start()
  local reason
  inotify, reason = file.watcher()
  if inotify then task.spawn("inotify", keep_hearing) end
  return inotify, reason
end

--- Watch a folder.
-- @string path
-- @return watch, with `gone` when the folder is; or nil and why not
function M.folder(path)
  local ok, reason = inotify, nil
  if not ok then ok, reason = start() end
  if not ok then return nil, reason end
  local number, why = file.watch(inotify, path)
  if not number then return nil, why end
  local entry = entries[number] or { count = 0, version = 0, changed = task.condition() }
  entries[number] = entry
  entry.count = entry.count + 1
  return setmetatable({ number = number, entry = entry, seen = entry.version }, Watch)
end

function Watch:is_gone() return self.entry.gone end

--- Wait until something has happened in it since the last wait (or the beginning).
-- @number[opt] seconds
-- @treturn boolean false when the time is over
function Watch:wait(seconds)
  local entry = self.entry
  if entry.version == self.seen then entry.changed:wait(seconds) end
  local has_changed = entry.version ~= self.seen
  self.seen = entry.version
  return has_changed
end

function Watch:close()
  local entry = self.entry
  entry.count = entry.count - 1
  if entry.count == 0 and entries[self.number] == entry then
    file.unwatch(inotify, self.number)
    entries[self.number] = nil
  end
end

return M
