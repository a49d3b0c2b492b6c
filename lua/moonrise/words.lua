--- What the words of the command line do to a running init.
-- Each is a function(client, arguments) that returns the exit status. It runs as a
-- task, so it may wait; when its client goes, it is ended, and what it has begun goes on.
-- @module moonrise.words
local log = require "sys.log"
local loop = require "sys.loop"
local boot = require "moonrise.boot"
local fault = require "moonrise.fault"
local supervisor = require "moonrise.supervisor"
local task = require "moonrise.task"

local M = {}

local FAILED, NOT_READY = 1, 3
local MOST_ARGUMENTS = 1000

-- Options whose value may be the next argument.
local HAS_VALUE = { timeout = true, status = true, columns = true, rows = true, n = true, lines = true }

--- The arguments of a request: a list, with the options (without dashes) by name.
-- @string text with NUL between them
-- @treturn table
function M.arguments(text)
  local arguments, pending = {}, nil
  for item in (text .. "\0"):gmatch("(%Z*)%z") do
    local name, value = item:match("^%-%-?([^=]+)=?(.*)$")
    if pending then
      arguments[pending], pending = item, nil
    elseif not name then
      arguments[#arguments + 1] = item ~= "" and item or nil
      if #arguments > MOST_ARGUMENTS then fault.raise(fault.STATUS.usage, "too many arguments") end
    elseif HAS_VALUE[name] and not item:find("=", 1, true) then
      pending = name
    else
      arguments[name] = HAS_VALUE[name] and value or true
    end
  end
  return arguments
end

-- Services -------------------------------------------------------------------------

local function find_job(name)
  local job = package.loaded["moonrise.job"]
  for _, known in ipairs(job and job.list or {}) do
    if known.name == name then return known end
  end
end

local function find(name)
  local known = supervisor.by_name
  return known[name] or fault.raise(fault.STATUS.usage, "there is no service '%s'%s", tostring(name),
    find_job(name) and "; it is a job, which 'start' runs at once" or
    require("moonrise.nearest").hint(tostring(name), known))
end

local function find_all(names)
  local services = {}
  for i, name in ipairs(names) do services[i] = find(name) end
  return services
end

-- Side by side; whatever goes wrong is said, for each.
local function each(client, items, f)
  local runs, status = {}, 0
  for i, item in ipairs(items) do runs[i] = task.spawn(item.name, f, item) end
  for i, run in ipairs(runs) do
    local ok, err = run:wait()
    if not ok then
      local output = items[i].state == "failed" and require("moonrise.why").output(items[i]) or ""
      client:write("E", ("%s\n%s"):format(err, output))
      status = FAILED
    end
  end
  return status
end

--- The words by name.
M.words = {}

for _, word in ipairs { "stop", "restart", "reload" } do
  M.words[word] = function(client, names)
    return each(client, find_all(names), function(service) service[word](service) end)
  end
end

function M.words.start(client, names)
  local items = {}
  for i, name in ipairs(names) do items[i] = not supervisor.by_name[name] and find_job(name) or find(name) end
  return each(client, items, function(item) (item.start or item.run)(item) end)
end

function M.words.signal(client, arguments)
  local name = table.remove(arguments, 1)
  return each(client, find_all(arguments), function(service) service:signal(name) end)
end

local function wait_for(service, state, timeout)
  if service:wait(state, 0) then return true end -- it knows all states, too
  local deadline = timeout and loop.now() + require("moonrise.duration").seconds(timeout, "--timeout")
  while service.state ~= state do
    if state == "ready" and service.state == "failed" then return false end
    local _, why = service.changed:wait(deadline and deadline - loop.now())
    if why == "timeout" and service.state ~= state then return false end
  end
  return true
end

function M.words.wait(client, arguments)
  local service, state = find(arguments[1]), arguments[2] or "ready"
  if wait_for(service, state, arguments.timeout) then return 0 end
  client:write("E", require("moonrise.why").text(service))
  return FAILED
end

function M.words.why(client, arguments)
  local why, services = require "moonrise.why", find_all(arguments)
  if arguments.json then
    client:write("O", why.json(services))
    return 0
  end
  for _, service in ipairs(services) do client:write("O", why.text(service)) end
  return 0
end

function M.words.logs(client, arguments)
  local given = arguments.n or arguments.lines
  local lines = math.tointeger(tonumber(given))
  if given and (not lines or lines < 0) then
    fault.raise(fault.STATUS.usage, "the number of lines is '%s'; it takes 0 or more", given)
  end
  require("moonrise.logs").show(arguments[1] and find_all(arguments) or supervisor.list,
    { lines = lines, is_json = arguments.json, is_following = arguments.f or arguments.follow }, client)
  return 0
end

-- The container ----------------------------------------------------------------------

function M.words.status(client, arguments)
  local module = require "moonrise.status"
  local data = module.collect()
  client:write("O", arguments.json and module.json(data) or module.text(data))
  return data.state == "ready" and 0 or NOT_READY
end

function M.words.env(client, arguments)
  local environment = require "moonrise.environment"
  client:write("O", environment.text(require("moonrise.process").environment({}),
    arguments.json and "json" or arguments["0"] and "null" or "shell"))
  return 0
end

function M.words.enter(client, names)
  client:write("O", require("moonrise.enter").plan(find(names[1])))
  return 0
end

-- The client asks again and again; what it was told last is kept with it.
function M.words.top(client, arguments)
  local columns, rows = math.tointeger(tonumber(arguments.columns)), math.tointeger(tonumber(arguments.rows))
  local text
  if arguments.json then
    client:write("O", require("moonrise.top").json())
    return 0
  end
  text, client.sample = require("moonrise.top").text(client.sample, columns, rows or 1000)
  client:write("O", text)
  return 0
end

function M.words.metrics(client)
  client:write("O", require("moonrise.metrics").text())
  return 0
end

function M.words.plot(client)
  client:write("O", require("moonrise.plot").boot())
  return 0
end

-- It does not wait: the client may be a process of the container itself.
function M.words.shutdown(_, arguments)
  local status = math.tointeger(tonumber(arguments.status or 0))
  if not status or status < 0 or status > 255 then
    fault.raise(fault.STATUS.usage, "--status is '%s'; it takes 0 to 255", arguments.status)
  end
  log.line("info", "shutdown: stopping")
  boot.stop(status)
  return 0
end

return M
