--- Locks between programs and between containers that share a volume: flock(2) of a
-- file. A lock is held until it is released, or this process ends in whatever way;
-- the file stays.
-- @module moonrise.lock
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local EAGAIN = 11
local FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5 -- flock can't be waited for without standing still

local held = {} -- so that a lock whose value nobody keeps is not collected

local Lock = { __name = "lock" }
Lock.__index = Lock

--- Give it back. `local lock <close> = fs.lock(...)` does so at the end of a block.
function Lock:release()
  if held[self] then self.fd:close() end
  held[self] = nil
end

Lock.__close = Lock.release

local function wait_for(fd, path, options)
  local pause, waited = FIRST_PAUSE, 0
  while true do
    local ok, why, errno = sys_file.lock(fd, options.shared)
    if ok then return end
    if errno ~= EAGAIN then file.fail("lock " .. path, path, path .. ": " .. why, errno) end
    if options.timeout and waited >= options.timeout then
      fault.raise(fault.STATUS.not_ready, "cannot lock %s: somebody else holds it", path)
    end
    task.sleep(pause)
    waited, pause = waited + pause, math.min(pause * 2, LONGEST_PAUSE)
  end
end

--- Wait until no one else has the lock, and take it.
-- @string path made when it is missing
-- @tparam[opt] table options timeout: a duration, for ever by default; shared = true:
--   with others that say so, too
-- @return lock
function M.take(path, options)
  options = strict.check("fs.lock", options or {}, {
    shared = { type = "boolean", default = false },
    timeout = { type = "number|string", check = require("moonrise.duration").seconds },
  })
  if sys_host.mode ~= "boot" then require("moonrise.rehearse").note("lock " .. path) end
  local lock = setmetatable({ path = path }, Lock)
  if sys_host.mode ~= "boot" then return lock end
  local fd, why, errno = sys_file.open_append(path)
  if not fd then file.fail("lock " .. path, path, why, errno) end
  local ok, err = pcall(wait_for, fd, path, options)
  if not ok then
    fd:close()
    error(err, 0)
  end
  lock.fd, held[lock] = fd, true
  return lock
end

return M
