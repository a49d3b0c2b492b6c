--- What services use: memory and CPU time of all their processes, and how people say
-- such amounts.
-- @module moonrise.usage
local M = {}

--- What a service uses now.
-- @tparam Service service
-- @treturn int|nil bytes of memory; nil: it has no process
-- @treturn number seconds of CPU time
-- @treturn int how many processes
function M.of(service)
  local process = service.process
  if process then return process.child:usage() end
end

local UNITS = { "K", "M", "G", "T" }

--- Bytes, in three digits: "512", "1.5K", "23M".
function M.bytes(bytes)
  if bytes < 1000 then return ("%d"):format(bytes) end
  local unit = 0
  while bytes >= 999.5 and unit < #UNITS do bytes, unit = bytes / 1024, unit + 1 end
  return (bytes < 9.95 and "%.1f%s" or "%.0f%s"):format(bytes, UNITS[unit])
end

--- Seconds of CPU time: "0.04s", "2min 3s".
function M.seconds(seconds)
  if seconds < 60 then return ("%.2fs"):format(seconds) end
  return require("moonrise.status").time(seconds)
end

return M
