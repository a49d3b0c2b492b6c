--- What `moonrise status` says: the container and its services, as text or JSON.
-- @module moonrise.status
local loop = require "sys.loop"
local boot = require "moonrise.boot"
local supervisor = require "moonrise.supervisor"

local M = {}

local PATIENCE = 4 -- seconds for the answer of a service; HEALTHCHECK's own is 5 s or more

-- Not a word to worry about: it runs, or nobody wants it to.
local AT_REST = { ready = true, reloading = true, stopped = true }

local function names_of(services)
  local names = {}
  for i, service in ipairs(services) do names[i] = service.name end
  return names
end

local function describe(service, now)
  local last = service.last
  local memory, cpu, processes = require("moonrise.usage").of(service)
  return {
    name = service.name,
    state = service.state,
    seconds = now - service.since,
    pid = service.pid,
    restarts = service.restarts,
    memory = memory,
    cpu_seconds = cpu,
    processes = processes,
    essential = service.options.essential,
    after = names_of(service.after),
    waits_for = names_of(service:waits_for()),
    status_text = service.status_text,
    last_exit = last and { how = last.how, number = last.number, status = last.status },
    last_exit_text = last and service:how_it_ended(),
    fault = service.fault and tostring(service.fault),
  }
end

--- Everything there is to say.
-- @treturn table state, seconds (in that state), services = { ... } in the order of
--   their declaration
function M.collect()
  local now, services = loop.now(), {}
  for i, service in ipairs(supervisor.list) do services[i] = describe(service, now) end
  return {
    state = boot.state,
    seconds = now - boot.since,
    failure = boot.failure and tostring(boot.failure),
    services = services,
    jobs = package.loaded["moonrise.job"] and require("moonrise.job").describe(),
  }
end

local UNITS = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } }

--- Seconds as people say them, in at most two units: "2min 3s".
function M.time(seconds)
  local rest = math.floor(seconds)
  local parts = {}
  for i, unit in ipairs(UNITS) do
    local count = rest // unit[1]
    if count > 0 or (#parts == 0 and i == #UNITS) then
      parts[#parts + 1] = count .. unit[2]
      rest = rest - count * unit[1]
    elseif #parts > 0 then
      break
    end
    if #parts == 2 then break end
  end
  return table.concat(parts, " ")
end

-- What such a service has said of itself is old.
local IS_OVER = { stopped = true, failed = true, backoff = true }

local function note(service)
  if #service.waits_for > 0 then return "waits for " .. table.concat(service.waits_for, ", ") end
  if service.state == "failed" and service.fault then return service.fault end
  if IS_OVER[service.state] and service.last_exit_text then return service.last_exit_text end
  return service.status_text or service.last_exit_text or ""
end

local function row(service)
  local usage = require "moonrise.usage"
  return {
    service.branch .. service.name, service.state, M.time(service.seconds),
    service.pid and tostring(service.pid) or "-", tostring(service.restarts),
    service.memory and usage.bytes(service.memory) or "-",
    service.cpu_seconds and usage.seconds(service.cpu_seconds) or "-", note(service),
  }
end

--- Lines of columns as wide as their widest entry; the last one as it is.
function M.align(rows)
  local widths, lines = {}, {}
  for _, cells in ipairs(rows) do
    for i, cell in ipairs(cells) do widths[i] = math.max(widths[i] or 0, utf8.len(cell) or #cell) end
  end
  for n, cells in ipairs(rows) do
    local line = {}
    for i, cell in ipairs(cells) do line[i] = cell .. (" "):rep(widths[i] - (utf8.len(cell) or #cell)) end
    lines[n] = table.concat(line, "  "):gsub("%s+$", "")
  end
  return table.concat(lines, "\n")
end

-- A fault may have several lines; a table has one for each.
local function flatten(text) return (text:gsub("%s*\n%s*", "; ")) end

-- A table of services or jobs: `cells_of` makes the cells of each, a note comes last.
local function table_of(head, items, cells_of)
  local rows = { head }
  for i, item in ipairs(items) do
    local cells = cells_of(item)
    cells[#cells] = flatten(cells[#cells])
    rows[i + 1] = cells
  end
  return M.align(rows) .. "\n"
end

local function job_row(job)
  return {
    job.name, job.when, job.running > 0 and "runs" or M.time(job.seconds), tostring(job.runs),
    tostring(job.failures), job.last_error or "",
  }
end

--- The tables for people.
function M.text(data)
  local text = ("container: %s for %s%s\n"):format(data.state, M.time(data.seconds),
    data.failure and " (" .. flatten(data.failure) .. ")" or "")
  if data.services[1] then
    text = text .. table_of({ "SERVICE", "STATE", "FOR", "PID", "RESTARTS", "MEMORY", "CPU", "" },
      require("moonrise.tree").order(data.services), row)
  end
  if data.jobs and data.jobs[1] then
    text = text .. table_of({ "JOB", "WHEN", "NEXT IN", "RUNS", "FAILED", "" }, data.jobs, job_row)
  end
  return text
end

local ORDER = {
  "name", "state", "seconds", "failure", "services", "pid", "restarts", "memory", "cpu_seconds", "processes",
  "essential", "after", "waits_for", "status_text",
  "last_exit", "how", "number", "status", "last_exit_text", "fault", "jobs", "when", "runs", "failures", "running",
  "last_error",
}

--- The same for programs.
function M.json(data)
  local array = { __jsontype = "array" }
  setmetatable(data.services, array)
  if data.jobs then setmetatable(data.jobs, array) end
  for _, service in ipairs(data.services) do
    setmetatable(service.waits_for, array)
    setmetatable(service.after, array)
  end
  return require("dkjson").encode(data, { indent = true, keyorder = ORDER }) .. "\n"
end

--- Is the container ready, with every service that matters up? If not, why, in one line.
-- @bool[opt] live ask less: has the boot not failed?
-- @treturn bool
-- @treturn string
function M.is_healthy(live)
  if live then
    return boot.state ~= "failed", boot.failure and "the boot has failed: " .. flatten(tostring(boot.failure))
  end
  local troubled = {}
  for _, service in ipairs(supervisor.list) do
    if service.options.essential and not AT_REST[service.state] and not service.listening then
      troubled[#troubled + 1] = ("%s is %s"):format(service.name, service.state)
    end
  end
  if boot.state == "ready" and #troubled == 0 then return true end
  if boot.state ~= "ready" then
    table.insert(troubled, 1, ("%s for %s"):format(boot.state, M.time(loop.now() - boot.since)))
  end
  return false, "not ready: " .. table.concat(troubled, ", ")
end

--- The answer for programs.
function M.health_json(ok, reason)
  return require("dkjson").encode({ healthy = ok, state = boot.state, reason = not ok and reason or nil },
    { indent = true, keyorder = { "healthy", "state", "reason" } }) .. "\n"
end

--- The services that are to be asked how they are: ready, with the option `health`.
function M.asked()
  local list = {}
  for _, service in ipairs(supervisor.list) do
    if service.options.health and service.state == "ready" then list[#list + 1] = service end
  end
  return list
end

--- Ask them, side by side; waits for the answers, but not for ever.
-- @tparam {service,...} services of M.asked
-- @treturn bool
-- @treturn string what is wrong with those that don't give the right answer
function M.ask(services)
  local task = require "moonrise.task"
  local runs, troubled = {}, {}
  for i, service in ipairs(services) do
    local probe = service.options.health
    runs[i] = task.spawn(service.name, task.timeout, PATIENCE, probe.wait, probe, nil, service)
  end
  for i, service in ipairs(services) do
    local _, ok = runs[i]:wait()
    if not ok then
      troubled[#troubled + 1] = ("%s is up, but %s"):format(service.name, service.options.health:describe(service))
    end
  end
  return #troubled == 0, "not healthy: " .. table.concat(troubled, ", ")
end

return M
