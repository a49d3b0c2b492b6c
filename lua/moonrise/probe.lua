--- Is it ready? Each probe tries until the answer is yes, and can say what the last
-- answer was. A probe may be waited for by itself, or be the `ready` of a service.
-- @module moonrise.probe
local loop = require "sys.loop"
local net = require "sys.net"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS
local INTERVAL = 0.02 -- seconds between tries
local PATIENCE = 5 -- seconds for one answer

local Probe = { __name = "probe" }
Probe.__index = Probe

local function probe(subject, try) return setmetatable({ subject = subject, try = try }, Probe) end

--- Wait until the answer is yes.
-- @tparam[opt] number|string timeout a duration; for ever if left out
-- @treturn Probe itself
-- @raise status 75, with what was waited for and the last answer
function Probe:wait(timeout)
  local deadline = timeout and loop.now() + require("moonrise.duration").seconds(timeout, "the timeout")
  if sys_host.mode ~= "boot" then return require("moonrise.rehearse").note("wait for " .. self.subject, self) end
  while true do
    local ok, answer = self.try()
    if ok then return self end
    self.answer = answer
    if deadline and loop.now() >= deadline then
      fault.raise(STATUS.not_ready, "not ready after %s: %s", timeout, self:describe())
    end
    task.sleep(INTERVAL)
  end
end

--- "waited for http://127.0.0.1/; the last answer was: Connection refused"
function Probe:describe()
  return ("waited for %s; %s"):format(self.subject,
    self.answer and "the last answer was: " .. self.answer or "there was no answer yet")
end

function Probe:__tostring() return "probe of " .. self.subject end

-- "Connection refused" out of "connect 127.0.0.1:80: Connection refused".
local function reason_of(text) return text and text:match("([^:]+)$"):gsub("^%s+", "") end

-- Wait for a connect that was started; true, or false and why. Closes nothing.
local function finish_connect(fd, why)
  if not fd then return false, reason_of(why) end
  local connected, reason = fd:connected()
  if connected == false then
    if not task.writable(fd, PATIENCE) then return false, ("no answer to the connect in %ds"):format(PATIENCE) end
    connected, reason = fd:connected()
  end
  if connected then return true end
  return false, reason and reason_of(reason) or "no answer"
end

local function try_connect(open)
  return function()
    local fd <close>, why = open()
    return finish_connect(fd, why)
  end
end

-- Numbers, localhost and /etc/hosts; anything else would have to ask the network.
local function address_of(host, what)
  local addresses = net.resolve(host)
  if not addresses or not addresses[1] then
    fault.raise(STATUS.script, "%s: '%s' is neither an address nor localhost nor a name in /etc/hosts", what, host)
  end
  return addresses[1]
end

local function port_of(port, what)
  local number = math.tointeger(tonumber(port))
  if not number or number < 1 or number > 65535 then
    fault.raise(STATUS.script, "%s: the port is %s; it takes 1 to 65535", what, tostring(port))
  end
  return number
end

local function check_path(what, path)
  if type(path) ~= "string" then fault.raise(STATUS.script, "%s takes a path, not %s", what, strict.describe(path)) end
end

--- A TCP port that accepts connections.
-- probe.tcp(80), probe.tcp("localhost", 80) or probe.tcp("127.0.0.1:80")
function M.tcp(host, port)
  if port == nil then
    if type(host) == "string" and host:find(":") then
      host, port = host:match("^%[?(.-)%]?:(%d+)$")
    else
      host, port = "127.0.0.1", host
    end
  end
  port = port_of(port, "probe.tcp")
  local address = address_of(host, "probe.tcp")
  return probe(("%s port %d"):format(host, port), try_connect(function() return net.connect_tcp(address, port) end))
end

--- A unix stream socket that accepts connections.
-- @string path
function M.unix(path)
  check_path("probe.unix", path)
  return probe("the socket " .. path, try_connect(function() return net.connect_unix(path) end))
end

local function send_all(fd, text)
  while text ~= "" do
    local count, reason, errno = fd:write(text)
    if count then
      text = text:sub(count + 1)
    elseif errno == 11 then -- EAGAIN
      if not task.writable(fd, PATIENCE) then return false, "it does not read the request" end
    else
      return false, reason_of(reason)
    end
  end
  return true
end

-- The answer up to its end or `limit` bytes.
local function receive(fd, limit)
  local parts, size, deadline = {}, 0, loop.now() + PATIENCE
  while size < limit do
    local data, reason, errno = fd:read(4096)
    if data == "" then break end
    if data then
      parts[#parts + 1], size = data, size + #data
    elseif errno ~= 11 then
      return nil, reason_of(reason)
    elseif not task.readable(fd, deadline - loop.now()) then
      return nil, ("no whole answer in %ds"):format(PATIENCE)
    end
  end
  return table.concat(parts)
end

local HTTP_OPTIONS = { status = "integer|table", body = "string", host = "string" }

local function status_fits(status, wanted)
  if wanted == nil then return status >= 200 and status < 400 end
  for _, one in ipairs(type(wanted) == "table" and wanted or { wanted }) do
    if one == status then return true end
  end
  return false
end

--- A URL that answers. Redirects are not followed: they are an answer.
-- @string url http://host[:port][/path]
-- @tparam[opt] table options status: one or several, default 200 to 399;
--   body: a Lua pattern that the answer's first 64 KiB contain; host: the Host header
function M.http(url, options)
  options = strict.check("probe.http", options or {}, HTTP_OPTIONS)
  local authority, path = tostring(url):match("^http://([^/]+)(.*)$")
  if not authority then
    fault.raise(STATUS.script, "probe.http takes http://host[:port]/path, not '%s'%s", tostring(url),
      tostring(url):find("^https:") and "; for TLS use probe.command with a client of the image" or "")
  end
  local host, port = authority:match("^%[?(.-)%]?:(%d+)$")
  host, port = host or authority:match("^%[?(.-)%]?$"), port_of(port or 80, "probe.http")
  local address = address_of(host, "probe.http")
  local request = ("GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: moonrise\r\nConnection: close\r\n\r\n"):format(
    path == "" and "/" or path, options.host or authority)
  return probe(url, function()
    local fd <close>, why = net.connect_tcp(address, port)
    local ok, reason = finish_connect(fd, why)
    if ok then ok, reason = send_all(fd, request) end
    if not ok then return false, reason end
    local answer, trouble = receive(fd, 65536)
    if not answer then return false, trouble end
    local status = math.tointeger(answer:match("^HTTP/%d%.%d (%d%d%d)"))
    if not status then return false, "no HTTP: " .. ("%q"):format(answer:sub(1, 40)) end
    if not status_fits(status, options.status) then return false, answer:match("^[^\r\n]+") end
    if options.body and not answer:find(options.body) then
      return false, ("status %d, but the body does not match '%s'"):format(status, options.body)
    end
    return true
  end)
end

--- A command that exits with 0 (or what its `ok` says). Takes the options of init.run;
-- its output is not logged.
function M.command(options)
  local run = require("moonrise.run").run
  local name = type(options) == "table" and options[1] or "?"
  local copy = setmetatable({}, nil)
  for key, value in pairs(type(options) == "table" and options or {}) do copy[key] = value end
  copy.stdout, copy.stderr = copy.stdout or "capture", copy.stderr or "capture"
  copy.timeout = copy.timeout or 10
  return probe("the command " .. tostring(copy.name or name), function()
    local ok, err = pcall(run, copy)
    if task.is_cancelled(err) then error(err, 0) end
    return ok, not ok and (err.message or tostring(err)) or nil
  end)
end

--- A file that exists.
-- @string path
function M.file(path)
  check_path("probe.file", path)
  local file = require "sys.file"
  return probe("the file " .. path, function()
    local found, reason = file.stat(path)
    return found and true or false, reason_of(reason)
  end)
end

--- What a service's `ready` may be: a probe, or a function that is called until it
-- returns true, and may wait.
function M.check(value, what)
  if getmetatable(value) == Probe then return value end
  if type(value) ~= "function" then
    fault.raise(STATUS.script, "%s is %s; it takes a probe, such as probe.tcp(80)", what, strict.describe(value))
  end
  return probe("its ready function", function()
    local answer = value()
    return answer, tostring(answer)
  end)
end

return M
