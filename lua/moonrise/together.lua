--- Functions and declared services side by side.
-- @module moonrise.together
local fault = require "moonrise.fault"
local supervisor = require "moonrise.supervisor"
local task = require "moonrise.task"

local M = {}

-- Split what all() and any() got into services and functions.
local function sort_out(word, ...)
  local services, functions = {}, {}
  for i, item in ipairs { ... } do
    if supervisor.is_service(item) then
      services[#services + 1] = item
    elseif type(item) == "function" then
      functions[#functions + 1] = item
    else
      fault.raise(fault.STATUS.script, "argument %d of %s is %s; it takes services and functions: %s(web, database)", i,
        word, require("moonrise.strict").describe(item), word)
    end
  end
  return services, functions
end

-- The start of a service, to gather() like a task.
local function start_of(service)
  local start = { cancel = function() end }
  supervisor.on_settled(service, function(ok, err)
    start.done, start.ok, start.results = true, ok, { ok and service or err, n = 1 }
    if start.on_end then start.on_end() end
  end)
  return start
end

local function side_by_side(word, ...)
  local services, functions = sort_out(word, ...)
  local tasks = {}
  supervisor.begin(services)
  for _, service in ipairs(services) do
    tasks[#tasks + 1] = start_of(service)
  end
  for i, f in ipairs(functions) do tasks[#tasks + 1] = task.spawn(("%s #%d"):format(word, i), f) end
  return tasks
end

local function cancel_all(tasks)
  for _, one in ipairs(tasks) do one:cancel() end
end

-- The first task for which `is_enough(ok)`, nil when all have ended without; the
-- others are cancelled.
local function gather(tasks, is_enough)
  local _ <close> = setmetatable({}, { __close = function() cancel_all(tasks) end })
  local ended, news = {}, task.condition()
  for _, one in ipairs(tasks) do
    local function note()
      ended[#ended + 1] = one
      news:broadcast()
    end
    if one.done then note() else one.on_end = note end
  end
  for i = 1, #tasks do
    while not ended[i] do news:wait() end
    if is_enough(ended[i].ok) then return ended[i] end
  end
end

--- Returns when all have succeeded, raises the first failure. Services start as soon as
-- what they are `after` is ready.
function M.all(...)
  local failed = gather(side_by_side("all", ...), function(ok) return not ok end)
  if failed then error(failed.results[1], 0) end
end

--- The first success is enough: what that function returned. Raises the last failure
-- when none succeeds.
function M.any(...)
  local tasks = side_by_side("any", ...)
  local won = gather(tasks, function(ok) return ok end)
  if won then return table.unpack(won.results, 1, won.results.n) end
  if #tasks > 0 then error(tasks[#tasks].results[1], 0) end
end

return M
