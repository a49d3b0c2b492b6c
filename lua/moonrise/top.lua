--- What `moonrise top` shows: who uses how much right now.
-- @module moonrise.top
local loop = require "sys.loop"
local boot = require "moonrise.boot"
local status = require "moonrise.status"
local supervisor = require "moonrise.supervisor"
local usage = require "moonrise.usage"

local M = {}

local CLEAR_LINE = "\27[K"
local REVERSE, NORMAL = "\27[7m", "\27[m"

-- Percent of one CPU since the sample before; in the first one, since it was started.
local function percent(service, cpu, now, before)
  local last = before and before[service.process]
  local seconds = now - (last and before.when or service.started)
  if seconds <= 0 then return 0 end
  return math.max(0, 100 * (cpu - (last or 0)) / seconds)
end

local function collect(before)
  local now = loop.now()
  local sample, entries, total = { when = now }, {}, { memory = 0, cpu = 0, processes = 0 }
  for i, service in ipairs(supervisor.list) do
    local entry = { service = service, place = i, percent = 0, processes = 0 }
    local memory, cpu, count = usage.of(service)
    if memory then
      sample[service.process] = cpu
      entry.memory, entry.cpu, entry.processes = memory, cpu, count
      entry.percent = percent(service, cpu, now, before)
      total.memory, total.processes = total.memory + memory, total.processes + count
      total.cpu = total.cpu + entry.percent
    end
    entries[i] = entry
  end
  return sample, entries, total
end

local function row(entry, now)
  local service = entry.service
  return {
    service.name, service.state, service.pid and tostring(service.pid) or "-", tostring(entry.processes),
    ("%.1f"):format(entry.percent), entry.memory and usage.bytes(entry.memory) or "-",
    entry.cpu and usage.seconds(entry.cpu) or "-", status.time(now - service.since), tostring(service.restarts),
  }
end

local HEAD = { "SERVICE", "STATE", "PID", "PROCS", "CPU%", "MEMORY", "TIME", "FOR", "RESTARTS" }

local function cut(line, columns)
  local length = utf8.len(line)
  if not length then return line:sub(1, columns) end
  return length > columns and line:sub(1, utf8.offset(line, columns + 1) - 1) or line
end

-- For a terminal: no line too long, no line too many, nothing left of what was there.
local function fit(lines, columns, rows)
  local shown = {}
  for i = 1, math.min(#lines, rows - 1) do
    local line = cut(lines[i], columns)
    shown[i] = (i == 3 and REVERSE .. line .. NORMAL or line) .. CLEAR_LINE .. "\n"
  end
  return table.concat(shown)
end

local ORDER = {
  "state", "seconds", "processes", "cpu_percent", "memory", "services", "name", "pid", "cpu_seconds", "restarts",
}

--- The same for programs, in the order of their declaration. There is no sample before
-- it, so the share of the CPU is that since the start of each service.
function M.json()
  local sample, entries, total = collect()
  local services = setmetatable({}, { __jsontype = "array" })
  for i, entry in ipairs(entries) do
    local service = entry.service
    services[i] = {
      name = service.name, state = service.state, seconds = sample.when - service.since, pid = service.pid,
      processes = entry.processes, cpu_percent = entry.percent, memory = entry.memory, cpu_seconds = entry.cpu,
      restarts = service.restarts,
    }
  end
  return require("dkjson").encode({
    state = boot.state, seconds = sample.when - boot.since, processes = total.processes, cpu_percent = total.cpu,
    memory = total.memory, services = services,
  }, { indent = true, keyorder = ORDER }) .. "\n"
end

--- One picture, those who use most of the CPU first.
-- @tparam[opt] table before the sample that the last picture has returned
-- @int[opt] columns of the terminal; nil: it is none
-- @int[opt] rows
-- @treturn string
-- @treturn table sample
function M.text(before, columns, rows)
  local sample, entries, total = collect(before)
  table.sort(entries, function(a, b)
    if a.percent ~= b.percent then return a.percent > b.percent end
    return a.place < b.place
  end)
  local cells = { HEAD }
  for _, entry in ipairs(entries) do cells[#cells + 1] = row(entry, sample.when) end
  local lines = {
    ("container: %s for %s; %d services, %d processes, CPU %.1f%%, memory %s"):format(boot.state,
      status.time(sample.when - boot.since), #entries, total.processes, total.cpu, usage.bytes(total.memory)), "",
  }
  for line in status.align(cells):gmatch("[^\n]+") do lines[#lines + 1] = line end
  return columns and fit(lines, columns, rows) or table.concat(lines, "\n") .. "\n", sample
end

return M
