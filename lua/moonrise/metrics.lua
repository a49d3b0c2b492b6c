--- What there is to measure, for Prometheus: `moonrise metrics`, and init.metrics,
-- which serves it over HTTP.
-- @module moonrise.metrics
local loop = require "sys.loop"
local boot = require "moonrise.boot"
local machine = require "moonrise.service"
local supervisor = require "moonrise.supervisor"
local usage = require "moonrise.usage"

local M = {}

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function label(name, value) return ('%s="%s"'):format(name, tostring(value):gsub('[\\"\n]', ESCAPES)) end

local function number(value)
  if math.type(value) == "integer" then return tostring(value) end
  return (("%.6f"):format(value):gsub("%.?0+$", ""))
end

-- The container -------------------------------------------------------------------------

local function container(add)
  add("moonrise_info", "gauge", "Version of the init.", label("version", require("sys.host").version), 1)
  add("moonrise_ready", "gauge", "1 when the boot is done.", nil, boot.state == "ready" and 1 or 0)
  add("moonrise_uptime_seconds", "gauge", "Time since the boot began.", nil, loop.now() - boot.began)
  if boot.ready_at then
    add("moonrise_boot_seconds", "gauge", "How long the boot took.", nil, boot.ready_at - boot.began)
  end
end

-- Services: each row has a name, a type, a help text, and what gives the value, nil for
-- none. `used` is what moonrise.usage says.
local SERVICE = {
  { "up", "gauge", "1 when the service is ready.", function(service)
    return supervisor.is_up(service) and 1 or 0
  end },
  { "restarts_total", "counter", "How often it was started again.", function(service) return service.restarts end },
  { "starts_total", "counter", "How often it was started.", function(service) return service.starts end },
  { "state_seconds", "gauge", "For how long it has been in its state.", function(service)
    return loop.now() - service.since
  end },
  { "start_seconds", "gauge", "How long its first start took until it was ready.", function(service)
    local history = service.history
    return history.ready and history.starting and history.ready - history.starting
  end },
  { "last_exit_status", "gauge", "Exit status of its last process, 128 + N for signal N.", function(service)
    return service.last and service.last.status
  end },
  { "memory_bytes", "gauge", "Memory of all its processes.", function(_, used) return used[1] end },
  { "cpu_seconds_total", "counter", "CPU time of its processes.", function(_, used) return used[2] end },
  { "processes", "gauge", "How many processes it has.", function(_, used) return used[3] end },
}

local function services(add)
  local used = {}
  for _, service in ipairs(supervisor.list) do used[service] = { usage.of(service) } end
  for _, row in ipairs(SERVICE) do
    for _, service in ipairs(supervisor.list) do
      local value = row[4](service, used[service])
      if value then add("moonrise_service_" .. row[1], row[2], row[3], label("service", service.name), value) end
    end
  end
  for _, service in ipairs(supervisor.list) do
    for _, state in ipairs(machine.STATES) do
      add("moonrise_service_state", "gauge", "1 for the state that it is in.",
        label("service", service.name) .. "," .. label("state", state), service.state == state and 1 or 0)
    end
  end
end

--- All of it, in Prometheus' text format.
-- @treturn string
function M.text()
  local lines, said = {}, {}
  local function add(name, kind, help, labels, value)
    if not said[name] then
      lines[#lines + 1] = ("# HELP %s %s\n# TYPE %s %s\n"):format(name, help, name, kind)
      said[name] = true
    end
    lines[#lines + 1] = ("%s%s %s\n"):format(name, labels and "{" .. labels .. "}" or "", number(value))
  end
  container(add)
  services(add)
  return table.concat(lines)
end

return M
