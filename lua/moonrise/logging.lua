--- Lines of a service that do not come through its pipes: log files that it insists on
-- writing.
-- @module moonrise.logging
local log = require "sys.log"
local fault = require "moonrise.fault"

local M = {}

local STATUS = fault.STATUS

--- Check the option `logs`: absolute patterns.
function M.check_logs(value, what)
  for index, pattern in pairs(value) do
    if math.type(index) ~= "integer" or type(pattern) ~= "string" then
      fault.raise(STATUS.script, "%s takes a list of paths", what)
    elseif pattern:sub(1, 1) ~= "/" or pattern:sub(-1) == "/" or pattern:find("\0", 1, true) then
      fault.raise(STATUS.script, '%s has "%s"; it takes absolute paths of files, in which *, ? and [a-z] may be',
        what, pattern)
    end
  end
end

--- From its first start on the files are followed, over its restarts.
function M.follow(service)
  service.follows = {}
  for i, pattern in ipairs(service.options.logs) do
    local follow, reason = log.follow(pattern, service.options.log or service.name, service.tail)
    service.follows[i] = follow or fault.raise(STATUS.script, "cannot follow the logs of %s: %s", service.name, reason)
  end
end

--- The service is no more.
function M.forget(service)
  for _, follow in ipairs(service.follows) do follow:close() end
end

return M
