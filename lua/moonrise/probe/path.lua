--- Probes of what appears in the file system: file, pidfile. The kernel says when
-- something happens in the folder (inotify), so that nobody has to look for it all the
-- time, and who waits goes on at once.
-- @module moonrise.probe.path
local file = require "sys.file"
local probe = require "moonrise.probe"
local strict = require "moonrise.strict"
local watch = require "moonrise.watch"

local M = {}

-- What another host does in a folder that it shares with us, no kernel says.
local LOOK_ANYWAY = 1

-- The folder in which something has to happen next.
local function nearest_folder(path)
  repeat
    path = path:match("^(/.*)/[^/]*$") or path:find("^/") and "/" or path:match("^(.*)/[^/]*$") or "."
    local found = file.stat(path, true)
  until found and found.type == "folder" or path == "/" or path == "."
  return path
end

local function stop_watching(run)
  if run.watch then run.watch:close() end
  run.watch, run.folder = nil, nil
end

local function wait_for_change(run, path, seconds)
  local folder = nearest_folder(path)
  if run.folder ~= folder or run.watch and run.watch:is_gone() then
    stop_watching(run)
    run.folder, run.watch = folder, watch.folder(folder)
    if run.watch then return end -- look again first: it may have come in between
  end
  if not run.watch then return probe.pause(run) end
  run.watch:wait(math.min(seconds or LOOK_ANYWAY, LOOK_ANYWAY))
end

--- The `pause` of a probe that needs a path: until it appears; then, while it does not
-- answer yet, in steps that grow.
function M.pause_at(path)
  return function(run, seconds)
    if file.stat(path, true) then return probe.pause(run) end
    wait_for_change(run, path, seconds)
  end
end

--- And its `finish`.
M.finish = stop_watching

local function new(what, path, look)
  return probe.new(what .. " " .. path, look, { pause = M.pause_at(path), finish = M.finish })
end

--- A file that exists.
-- @string path
function M.file(path)
  strict.path(path, "probe.file")
  return new("the file", path, function()
    local found, reason = file.stat(path)
    return found and true or false, probe.reason_of(reason)
  end)
end

-- An old file may name a process that has got the number since.
local function is_of_another(service, pid)
  local owner = require("moonrise.supervisor").owner_of(pid)
  return owner and owner ~= service and owner.name
end

--- A file with the pid of a process that lives.
-- @string path
function M.pidfile(path)
  strict.path(path, "probe.pidfile")
  return new("the pid file", path, function(run)
    local text, reason = file.read(path, 64)
    if not text then return false, probe.reason_of(reason) end
    local pid = math.tointeger(tonumber(text:match("^%s*(%d+)%s*$")))
    if not pid then return false, ("no pid, but %q"):format(text:sub(1, 20)) end
    if not file.stat(("/proc/%d"):format(pid)) then return false, ("process %d does not live"):format(pid) end
    local other = run.service and is_of_another(run.service, pid)
    return not other, other and ("process %d belongs to %s"):format(pid, other)
  end)
end

return M
