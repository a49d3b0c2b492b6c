--- Errors as a boot script meets them: with the line that its author can fix.
-- An error object prints as "boot.lua:12: message". `where` is the first frame
-- outside moonrise's own modules; `status` is what the container exits with when
-- nobody catches it.
-- @module moonrise.fault
local M = {}

local getinfo = debug.getinfo

--- Exit statuses, after sysexits(3) where it has a word for it.
M.STATUS = {
  usage = 64,
  no_script = 66,
  script = 70,
  volume = 74,
  not_ready = 75,
  settings = 78,
  not_executable = 126,
  not_found = 127,
}

local Fault = { __name = "fault" }
Fault.__index = Fault

function Fault:__tostring()
  if self.where then return self.where .. ": " .. self.message end
  return self.message
end

function Fault.__concat(a, b) return tostring(a) .. tostring(b) end

--- The script's line that led here: "boot.lua:12", or nil when there is none.
function M.where()
  for level = 2, 200 do
    local frame = getinfo(level, "Sl")
    if not frame then return nil end
    if frame.currentline > 0 and not frame.source:find("^@moonrise/") then
      return frame.short_src .. ":" .. frame.currentline
    end
  end
end

--- The innermost frames, a line each. Not debug.traceback, which takes seconds to
-- find the other end of an overflown stack.
-- @int level 1: the caller
function M.traceback(level)
  local lines = {}
  for i = level + 1, level + 20 do
    local frame = getinfo(i, "Sln")
    if not frame then break end
    if frame.currentline > 0 then
      lines[#lines + 1] = ("  %s:%d: in %s"):format(frame.short_src, frame.currentline, frame.name or "main chunk")
    end
  end
  return table.concat(lines, "\n")
end

--- Make an error object without raising it.
-- @int status exit status of the container if nobody catches it
-- @string message
-- @string[opt] where "file:line"; the script's current line if left out
function M.new(status, message, where)
  return setmetatable({ status = status, message = message, where = where or M.where() }, Fault)
end

--- Raise an error at the script's line.
-- @int status
-- @string fmt as string.format, when arguments follow
function M.raise(status, fmt, ...)
  local message = select("#", ...) > 0 and fmt:format(...) or fmt
  error(M.new(status, message), 0)
end

function M.is_fault(value) return getmetatable(value) == Fault end

-- What there is in place of what Lua has and PID 1 has not.
local INSTEAD = {
  execute = "os.execute would block PID 1; init.run runs a program",
  popen = 'io.popen would block PID 1; init.run with stdout = "capture" runs a program',
  exit = "os.exit would end PID 1; init.exit ends the container in order",
  remove = "in place of os.remove there is fs.remove",
  rename = "in place of os.rename there is fs.move",
  lines = "in place of io.lines there is fs.read",
  read = "in place of io.read there is fs.read",
}

local function advice(message)
  local instead = INSTEAD[message:match("^attempt to call a nil value %(field '(%l+)'%)$")]
  return instead and "; " .. instead or ""
end

--- Whatever was raised as an error object. The text of an error of Lua says where it is
-- from; when that is in a module of ours, the script's line is said in front.
-- @param value
function M.of(value)
  if M.is_fault(value) then return value end
  if type(value) ~= "string" then
    local meta = getmetatable(value)
    local show = type(meta) == "table" and rawget(meta, "__tostring") and tostring or require("moonrise.strict").show
    return M.new(M.STATUS.script, "error value: " .. show(value))
  end
  local where, message = value:match("^([^\n]-:%d+): (.*)$")
  if not where then
    where, message = nil, value
  elseif where:find("^moonrise/") then
    where, message = M.where(), ("%s (%s)"):format(message, where)
  end
  local err = M.new(M.STATUS.script, message .. advice(message))
  err.where = where
  return err
end

--- The exit status that an error value asks for.
function M.status_of(err) return M.is_fault(err) and err.status or M.STATUS.script end

return M
