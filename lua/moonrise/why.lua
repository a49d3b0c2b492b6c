--- Why a service is what it is: what it waits for, or how it ended, in one line, and
-- the last that it said.
-- @module moonrise.why
local log = require "sys.log"
local loop = require "sys.loop"
local time = require("moonrise.status").time

local M = {}

local LINES = 5 -- of its output

-- A fault may have several lines; this is one.
local function flatten(text) return (tostring(text):gsub("%s*\n%s*", "; ")) end

local function since(service) return time(loop.now() - service.since) end

local explain = {}

function explain.waiting(service)
  if service.listening then return ("listens; the first connection starts it, for %s now"):format(since(service)) end
  local names = {}
  for i, other in ipairs(service:waits_for()) do names[i] = ("%s, which is %s"):format(other.name, other.state) end
  return ("waits for %s, for %s now"):format(names[1] and table.concat(names, "; ") or "its turn", since(service))
end

function explain.starting(service)
  local ready = service.ready_task and service.options.ready
  local reason = ready and flatten(ready:describe(service)) or service.lateness
    or service.options.forking and "its first process has not ended yet"
  return ("has been starting for %s%s"):format(since(service), reason and ": " .. reason or "")
end

function explain.backoff(service)
  local timer = service.delay_timer
  return ("%s %s ago and will be started again%s (restart %d)"):format(service:how_it_ended(), since(service),
    timer and " in " .. time(math.max(0, timer.when - loop.now())) or "", service.restarts)
end

function explain.stopping(service)
  return ("has been stopping for %s%s"):format(since(service), service.fault and ": " .. flatten(service.fault) or "")
end

function explain.failed(service) return ("failed %s ago: %s"):format(since(service), flatten(service.fault)) end

function explain.stopped(service)
  if not service.last then return "has not been started" end
  return ("was stopped %s ago and %s"):format(since(service), service:how_it_ended())
end

local function explain_up(service)
  return ("is %s for %s%s"):format(service.state, since(service),
    service.status_text and ": " .. flatten(service.status_text) or "")
end

local HAS_ENDED = { failed = true, backoff = true }

--- The last lines of its output, indented: of its standard error, if it wrote there.
-- @treturn string may be empty
function M.output(service)
  local relays = service.relays or {}
  for _, stream in ipairs { "stderr", "stdout" } do
    local lines = {}
    for line in (relays[stream] and relays[stream]:tail() or ""):gmatch("[^\n]+") do
      lines[#lines + 1] = "  " .. log.level(line) .. "\n"
    end
    if lines[1] then return table.concat(lines, "", math.max(1, #lines - LINES + 1)) end
  end
  return ""
end

local function reason(service) return (explain[service.state] or explain_up)(service) end

--- One line that ends with a newline, and what it said last if it has ended badly.
-- @tparam Service service
-- @treturn string
function M.text(service)
  local line = ("%s %s\n"):format(service.name, reason(service))
  return HAS_ENDED[service.state] and line .. M.output(service) or line
end

--- The same of several services for programs.
-- @tparam {Service,...} services
-- @treturn string
function M.json(services)
  local array = { __jsontype = "array" }
  local list = setmetatable({}, array)
  for i, service in ipairs(services) do
    local output = setmetatable({}, array)
    for line in M.output(service):gmatch("  ([^\n]*)\n") do output[#output + 1] = line end
    list[i] = {
      name = service.name, state = service.state, seconds = loop.now() - service.since, why = reason(service),
      output = output,
    }
  end
  return require("dkjson").encode(list, { indent = true, keyorder = { "name", "state", "seconds", "why" } }) .. "\n"
end

return M
