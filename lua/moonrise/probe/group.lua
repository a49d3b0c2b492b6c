--- Probes of probes: all, any.
-- @module moonrise.probe.group
local fault = require "moonrise.fault"
local probe = require "moonrise.probe"
local task = require "moonrise.task"

local M = {}

-- Each part is waited for in a task of its own.
local function begin(run)
  run.came, run.tasks = task.condition(), {}
  for i, part in ipairs(run.probe.parts) do
    run.tasks[i] = task.spawn(part.subject, part.wait, part, nil, run.service)
    run.tasks[i].on_end = function() run.came:broadcast() end
  end
end

local function count_ready(run)
  local count = 0
  for _, one in ipairs(run.tasks) do
    if one.done and not one.ok then error(one.results[1], 0) end
    if one.done then count = count + 1 end
  end
  return count
end

-- The answers of those that are not ready yet.
local function describe(self, service)
  local answers = {}
  for i, part in ipairs(self.parts) do answers[i] = part:describe(service) end
  return table.concat(answers, "; ")
end

local function group(word, enough)
  return function(list)
    if type(list) ~= "table" or #list == 0 then
      fault.raise(fault.STATUS.script, "probe.%s takes a list of probes: probe.%s{ probe.tcp(80), ... }", word, word)
    end
    local parts, subjects = {}, {}
    for i, part in ipairs(list) do
      parts[i] = probe.check(part, ("number %d of probe.%s"):format(i, word))
      subjects[i] = parts[i].subject
    end
    local self = probe.new(("%s of %s"):format(word, table.concat(subjects, ", ")), function(run)
      if not run.tasks then begin(run) end
      return count_ready(run) >= (enough or #parts)
    end, { parts = parts })
    self.describe = describe
    for _, part in ipairs(parts) do self.is_notified = self.is_notified or part.is_notified end
    function self.prepare(_, service, launch)
      for _, part in ipairs(parts) do part:prepare(service, launch) end
    end
    function self.pause(run, seconds) run.came:wait(seconds) end
    function self.finish(run)
      for _, one in ipairs(run.tasks or {}) do one:cancel() end
    end
    return self
  end
end

--- All of several probes.
M.all = group("all")
--- Any one of several probes.
M.any = group("any", 1)

return M
