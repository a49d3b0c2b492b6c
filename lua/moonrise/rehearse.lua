--- A boot rehearsed: `moonrise check` and `moonrise settings`.
-- The script runs as ever, but everything that would act says what it would have
-- done instead: `if sys_host.mode ~= "boot" then return rehearse.note(...) end`.
-- Settings that are missing or wrong are reported, and the rehearsal goes on with
-- values that could have been given, so that one run finds as much as it can.
-- @module moonrise.rehearse
local fault = require "moonrise.fault"
local sys_host = require "sys.host"

local M = {}

local depth = 0
local settings_faults = {}
local left = fault.new(fault.STATUS.script, "the script has left by init.exit or init.handover")

--- Say what would be done, with the script's line.
-- @string text "write /etc/motd"
-- @param[opt] result what the caller is to return in place of the real result
-- @return result
function M.note(text, result)
  if sys_host.mode == "check" then
    io.stdout:write(("%-26s %s%s\n"):format(fault.where() or "", ("  "):rep(depth), text))
  end
  return result
end

--- Note something that has parts of its own; `f` notes them.
-- @string text 'once "site certificate", on an empty volume'
-- @func f
-- @return what f returns
function M.within(text, f, ...)
  M.note(text)
  depth = depth + 1
  local _ <close> = setmetatable({}, { __close = function() depth = depth - 1 end })
  return f(...)
end

-- A command as it could be typed.
local function command_line(argv)
  local words = {}
  for index, word in ipairs(argv) do
    words[index] = word:find("^[%w_@%%+=:,./-]+$") and word or "'" .. word:gsub("'", "'\\''") .. "'"
  end
  return table.concat(words, " ")
end

-- What a process could not be started for now. It may come with a step before this one,
-- so it is no fault.
local function obstacles(options)
  local proc, found = require "sys.proc", {}
  local path, reason = proc.find(options[1], proc.environ().PATH)
  if not path then found[1] = reason end
  local ok, err = pcall(require("moonrise.process").rights_of, options)
  if not ok then found[#found + 1] = err.message:gsub("^cannot start .-: ", "") end
  if options.cwd and not require("sys.file").stat(options.cwd, true) then
    found[#found + 1] = "there is no folder " .. options.cwd
  end
  return found[1] and ("  (now: %s)"):format(table.concat(found, "; ")) or ""
end

--- In place of running a command.
-- @tparam table options checked by moonrise.process
-- @treturn table a result as of a command that succeeded and wrote nothing
function M.run(options)
  M.note("run " .. command_line(options) .. obstacles(options))
  return { status = 0, stdout = "", stderr = "", duration = 0 }
end

--- In place of starting a service: it is ready at once.
function M.start(service)
  local ready = service.options.ready
  M.note(("start %s: %s%s%s"):format(service.name, command_line(service.options),
    ready and ", " .. tostring(ready) or "", obstacles(service.options)))
  service.state = "ready"
end

--- In place of init.exit: the script ends here, and that is no failure.
function M.exit(status)
  M.note(("stop everything and exit with status %d"):format(status))
  error(left, 0)
end

--- In place of init.handover: the same.
function M.handover(options)
  M.note(("stop everything and hand over to %s%s"):format(command_line(options), obstacles(options)))
  error(left, 0)
end

--- Settings that are wrong: reported at the end, all of them.
function M.settings_fault(err)
  settings_faults[#settings_faults + 1] = err
end

local function say(err)
  io.stderr:write("moonrise: ", tostring(err), "\n")
end

local function finish_settings(err)
  require("moonrise.settings").print(require("moonrise.env").declared(), sys_host.format)
  if not err then return 0 end
  say(err)
  say("the list may lack settings that are read after this line")
  return fault.status_of(err)
end

local function finish_check(err)
  for _, settings_fault in ipairs(settings_faults) do say(settings_fault) end
  if err then say(err) end
  if settings_faults[1] then return fault.STATUS.settings end
  return err and fault.status_of(err) or 0
end

--- The end of a rehearsal.
-- @param[opt] err what ended the script, if it was an error
-- @treturn int the exit status
function M.finish(err)
  if err == left then err = nil end
  if sys_host.mode == "settings" then return finish_settings(err) end
  return finish_check(err)
end

-- What a script writes with Lua's own io goes nowhere.
local function keep_files()
  local open = io.open
  function io.open(path, mode) -- luacheck: ignore 122
    if not tostring(mode or "r"):find("[wa+]") then return open(path, mode) end
    M.note("open " .. tostring(path) .. " for writing")
    return open("/dev/null", mode)
  end
end

--- Rehearse.
-- @func run_script
-- @treturn int the exit status
function M.main(run_script)
  local task = require "moonrise.task"
  local is_over, failure = false, nil
  keep_files()
  task.spawn("boot", run_script).on_end = function(_, ok, err)
    is_over, failure = true, not ok and err or nil
  end
  task.run(function() return is_over end)
  return M.finish(failure)
end

return M
