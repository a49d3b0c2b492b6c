--- The probe of a name on a message bus. The bus says when the name gets an owner, so
-- nobody asks again and again.
-- @module moonrise.probe.dbus
local bus = require "moonrise.bus"
local fault = require "moonrise.fault"
local probe = require "moonrise.probe"
local strict = require "moonrise.strict"

local M = {}

local STATUS = fault.STATUS
local OWNERS = { any = true, service = true }

local OPTIONS = {
  bus = { type = "string", default = "system" },
  owner = { type = "string", default = "any", check = function(value, what)
    if OWNERS[value] then return end
    fault.raise(STATUS.script, '%s is "%s"; it takes "any" or "service"', what, value)
  end },
}

-- Two words or more with dots between them.
local function check_name(name)
  local is_good = type(name) == "string" and #name <= 255 and name:find(".", 1, true)
  for word in (is_good and name .. "." or ""):gmatch("([^.]*)%.") do
    is_good = is_good and word:find("^[%a_-][%w_-]*$")
  end
  if not is_good then
    fault.raise(STATUS.script, "probe.dbus takes a name such as \"org.freedesktop.Avahi\", not %s", strict.show(name))
  end
end

-- Whoever else may own it is no sign that the service is ready.
local function is_of(service, pid)
  if pid == 0 then return false, "the bus does not say whose process owns it" end
  local owner = require("moonrise.supervisor").owner_of(pid)
  if owner == service then return true end
  return false, ("it is owned by process %d%s"):format(pid, owner and " of " .. owner.name or "")
end

local says = {}

function says.owner(watch, run)
  local service = run.service
  if run.probe.owner == "any" then return true end
  if not service then
    fault.raise(STATUS.script, "only a service can wait for %s of its own, as its 'ready'", run.probe.subject)
  end
  return is_of(service, tonumber(watch.value) or 0)
end

function says.nobody(watch) return false, "nobody owns " .. watch.name end

function says.bus(watch, run)
  return false, ("the bus %s can't be reached: %s"):format(run.probe.place, watch.value)
end

function says.gone(watch) return false, watch.value end

function says.broken(watch, run) fault.raise(STATUS.script, "%s: %s", run.probe.subject, watch.value) end

local function look(run)
  run.watch = run.watch or bus.watch(run.probe.address, run.probe.name)
  local say = says[run.watch.state]
  if say then return say(run.watch, run) end
  return false, nil
end

--- A name on a message bus that has an owner.
-- @string name "org.freedesktop.Avahi"
-- @tparam[opt] table options bus: "system" (the default), "session", a path or an
--   address; owner: "any", or "service" when it must be a process of the service itself
function M.dbus(name, options)
  options = strict.check("probe.dbus", options or {}, OPTIONS)
  check_name(name)
  local address, place = bus.address(options.bus, "probe.dbus")
  bus.program("probe.dbus")
  return probe.new(("the name %s on the bus %s"):format(name, place), look, {
    name = name, address = address, place = place, owner = options.owner,
    pause = function(run, seconds) run.watch.changed:wait(seconds) end,
    finish = function(run)
      if run.watch then run.watch:close() end
    end,
  })
end

return M
