-- moonrise.notification with any message: what it gives can be worked with as it is.
local notification = require "moonrise.notification"

local TYPES = {}
for _, rule in pairs(notification.KEYS) do TYPES[rule[1]] = true end

local function is_sane(name, value)
  if name == "main_pid" then return value > 1 and value <= 0x7fffffff end
  if name == "status" then return utf8.len(value) and not value:find("%c") end
  if name == "fd_name" then return #value <= 255 and not value:find("[:%c]") end
  if math.type(value) then return value >= 0 and value < math.huge end
  return true
end

return function(message)
  for name, value in pairs(notification.parse(message)) do
    assert(TYPES[name] and is_sane(name, value), name)
  end
end, 50000, true
