--- What a message of sd_notify(3) says. Pure; whatever a service sends, this gives a
-- table of what was understood and never raises.
-- @module moonrise.notification
local M = {}

-- "1" of READY=1; any other value says nothing.
local function flag(value) return value == "1" or nil end

local function state(name)
  return { "state", function(value) return value == "1" and name or nil end }
end

-- Whole and not negative; what does not fit says nothing.
local function number(value)
  return value:find("^%d+$") and math.tointeger(tonumber(value)) or nil
end

local function pid(value)
  local n = number(value)
  return n and n > 1 and n <= 0x7fffffff and n or nil
end

local function seconds(value)
  local usec = number(value)
  return usec and usec / 1e6
end

-- It will be on terminals and in JSON.
local function text(value)
  return utf8.len(value) and value:gsub("%c+", " ") or nil
end

local function watchdog(value)
  return (value == "1" and "alive") or (value == "trigger" and "hung") or nil
end

-- Names go into $LISTEN_FDNAMES, with colons between them.
local function fd_name(value)
  return #value > 0 and #value <= 255 and not value:find("[^\x20-\x7e]") and not value:find(":", 1, true)
    and value or nil
end

--- Key of the message -> name here, and how its value is read; others are ignored.
M.KEYS = {
  READY = state "ready",
  RELOADING = state "reloading",
  STOPPING = state "stopping",
  MONOTONIC_USEC = { "monotonic", seconds },
  STATUS = { "status", text },
  ERRNO = { "errno", number },
  MAINPID = { "main_pid", pid },
  WATCHDOG = { "watchdog", watchdog },
  WATCHDOG_USEC = { "watchdog_period", seconds },
  EXTEND_TIMEOUT_USEC = { "extension", seconds },
  FDSTORE = { "fd_store", flag },
  FDSTOREREMOVE = { "fd_remove", flag },
  FDNAME = { "fd_name", fd_name },
  FDPOLL = { "fd_poll", function(value) return value ~= "0" end },
}

--- Take a message apart. Of a key that comes twice, the first counts; of the states,
-- the last, as for systemd.
-- @string message
-- @treturn table fields, by the names in KEYS
function M.parse(message)
  local fields = {}
  for line in message:gmatch("[^\n]+") do
    local key, value = line:match("^([%w_]+)=(.*)$")
    local rule = M.KEYS[key]
    local name = rule and rule[1]
    if name == "state" then
      fields.state = rule[2](value) or fields.state
    elseif name and fields[name] == nil then
      fields[name] = rule[2](value)
    end
  end
  return fields
end

return M
