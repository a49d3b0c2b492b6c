--- Tells whoever started the container what it is doing: STATUS= of sd_notify(3).
-- Loaded only where somebody listens.
-- @module moonrise.outward
local net = require "sys.net"
local boot = require "moonrise.boot"
local supervisor = require "moonrise.supervisor"
local task = require "moonrise.task"

local M = {}

local LENGTH = 500 -- nobody reads more, and systemd takes no message of more than 4096 bytes

-- What is worth to be said; a service that is ready or stopped is not.
local STATES = { "starting", "waiting", "reloading", "stopping", "backoff", "failed" }

local step -- what the script runs now

local function names_in(state)
  local names = {}
  for _, service in ipairs(supervisor.list) do
    if service.state == state then names[#names + 1] = service.name end
  end
  return names
end

--- "booting: running openssl; starting db; waiting web"
function M.text()
  local parts = { step and "running " .. step }
  for _, state in ipairs(STATES) do
    local names = names_in(state)
    if names[1] then parts[#parts + 1] = ("%s %s"):format(state, table.concat(names, ", ")) end
  end
  return (boot.state .. (parts[1] and ": " .. table.concat(parts, "; ") or "")):sub(1, LENGTH)
end

--- Call f(options), which runs a command of the script.
function M.during(f, options)
  local outer = step
  local _ <close> = setmetatable({}, { __close = function()
    step = outer
    supervisor.changed:broadcast()
  end })
  step = type(options) == "table" and (options.name or options.sh and "sh" or options[1]) or nil
  supervisor.changed:broadcast()
  return f(options)
end

-- Changes of one turn are one message.
local function keep_telling()
  local said
  while true do
    local text = M.text()
    if text ~= said then net.notify("STATUS=" .. text:gsub("%c", " ")) end
    said = text
    supervisor.changed:wait()
  end
end

function M.begin() task.spawn("outward", keep_telling) end

return M
