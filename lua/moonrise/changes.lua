--- Files that change while the container runs: certificates that are renewed, what
-- Kubernetes mounts, configuration in a volume. The folder is watched by inotify;
-- and since that sees nothing of a network file system, nor of what lies at the end of
-- a link, the file is looked at every few seconds, too.
-- @module moonrise.changes
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local sys_log = require "sys.log"
local sys_loop = require "sys.loop"
local fault = require "moonrise.fault"
local task = require "moonrise.task"

local M = {}

local LOOK = 5 -- seconds between two looks
local QUIET = 0.1 -- whoever writes in several steps is given time
local LONGEST = 2 -- but no more than this

local Watch = { __name = "watch" }
Watch.__index = Watch

local function describe(path)
  local stat = sys_file.stat(path, true)
  if not stat then return "" end
  local parts = { stat.type, stat.inode, stat.mode, stat.size, stat.uid, stat.gid, stat.mtime }
  return table.concat(parts, " "), stat.type
end

-- A text that differs when the file does, or what is in a folder.
local function look(path)
  local text, kind = describe(path)
  if kind ~= "folder" then return text end
  local names = sys_file.list(path) or {}
  table.sort(names)
  for i, name in ipairs(names) do names[i] = name .. " " .. describe(path .. "/" .. name) end
  return text .. "\n" .. table.concat(names, "\n")
end

local function parent_of(path)
  local folder = path:match("^(.*)/[^/]*$")
  return not folder and "." or folder == "" and "/" or folder
end

-- The folder to watch is there, or will be.
local function open_folder(self)
  if self.folder and not self.folder:is_gone() then return end
  if self.folder then self.folder:close() end
  local stat = sys_file.stat(self.path, true)
  local is_folder = stat and stat.type == "folder"
  self.folder = require("moonrise.watch").folder(is_folder and self.path or parent_of(self.path))
end

local function pause(self, seconds)
  open_folder(self)
  if self.folder then self.folder:wait(seconds) else task.sleep(seconds) end
end

-- Wait until nothing happens any more, at least to this file.
local function settle(self)
  local deadline = sys_loop.now() + LONGEST
  local before
  repeat
    before = look(self.path)
    task.sleep(QUIET)
  until look(self.path) == before or sys_loop.now() > deadline
  return before
end

--- Wait for the next change.
-- @param[opt] timeout a duration
-- @treturn boolean false when the time is over, or nobody watches any more
function Watch:wait(timeout)
  if timeout then timeout = require("moonrise.duration").seconds(timeout, "the timeout of watch:wait") end
  local deadline = timeout and sys_loop.now() + timeout
  while not self.is_stopped do
    if look(self.path) ~= self.seen then
      self.seen = settle(self)
      return true
    end
    local left = deadline and deadline - sys_loop.now()
    if left and left <= 0 then return false end
    pause(self, left and math.min(left, LOOK) or LOOK)
  end
  return false
end

--- Watch no more.
function Watch:stop()
  self.is_stopped = true
  if self.task then self.task:cancel() end
  if self.folder then self.folder:close() end
  self.folder = nil
end

Watch.__close = Watch.stop

local function tell(self, f)
  while self:wait() do
    local ok, err = pcall(f, self.path)
    if not ok and task.is_cancelled(err) then error(err, 0) end
    if not ok then sys_log.line("error", ("watch of %s: %s"):format(self.path, err)) end
  end
end

--- Watch a file or a folder; one that is not there yet changes when it comes.
-- @string path
-- @func[opt] f called with the path after each change; it may wait
-- @return watch, with the methods wait(timeout) and stop()
function M.watch(path, f)
  if f ~= nil and type(f) ~= "function" then
    fault.raise(fault.STATUS.script, "fs.watch takes a function, not %s", require("moonrise.strict").describe(f))
  end
  local self = setmetatable({ path = path, seen = look(path) }, Watch)
  if sys_host.mode ~= "boot" then
    return require("moonrise.rehearse").note("watch " .. path, setmetatable({ is_stopped = true }, Watch))
  end
  open_folder(self)
  if f then self.task = task.spawn("watch of " .. path, tell, self, f) end
  return self
end

return M
