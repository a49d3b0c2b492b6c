--- Probes that connect: tcp, unix, http.
-- @module moonrise.probe.net
local loop = require "sys.loop"
local net = require "sys.net"
local fault = require "moonrise.fault"
local probe = require "moonrise.probe"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS
local PATIENCE = 5 -- seconds for one answer
local ANSWER_LIMIT = 65536 -- bytes of it

local reason_of = probe.reason_of

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

-- Numbers, localhost and /etc/hosts; anything else would have to ask the network.
local function address_of(host, what)
  local addresses = net.resolve(host)
  if not addresses or not addresses[1] then
    fault.raise(STATUS.script, "%s: '%s' is neither an address nor localhost nor a name in /etc/hosts; for what only "
      .. "the network knows, probe.command runs a program of the image", what, host)
  end
  return addresses[1]
end

local function port_of(port, what)
  local number = math.tointeger(tonumber(port))
  if not number or number < 1 or number > 65535 then
    fault.raise(STATUS.script, "the port of %s is %s; it takes 1 to 65535", what, strict.show(port))
  end
  return number
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

-- The answer up to its end, `limit` bytes, or what `is_whole` of its text so far says.
local function receive(fd, limit, is_whole)
  local text, deadline = "", loop.now() + PATIENCE
  while #text < limit do
    local data, reason, errno = fd:read(4096)
    if data == "" then break end
    if data then
      text = text .. data
      if is_whole and is_whole(text) then break end
    elseif errno ~= 11 then
      return nil, reason_of(reason)
    elseif not task.readable(fd, deadline - loop.now()) then
      return nil, ("no whole answer in %ds"):format(PATIENCE)
    end
  end
  return text
end

local function visible(bytes) return '"' .. bytes:gsub("[^ -~]", ".") .. '"' end

-- Say something, and hear what is expected.
local function converse(fd, options)
  local ok, reason = send_all(fd, options.send or "")
  if not ok or not options.expect then return ok, reason end
  local function is_it(text) return text:find(options.expect) end
  local answer, trouble = receive(fd, ANSWER_LIMIT, is_it)
  if not answer then return false, trouble end
  if is_it(answer) then return true end
  return false, answer == "" and "it hung up" or "it said " .. visible(answer:sub(1, 40))
end

local CONVERSATION = {
  send = "string",
  expect = { type = "string", check = strict.pattern },
}

local function look_by(connect, options)
  return function()
    local fd <close>, why = connect()
    local ok, reason = finish_connect(fd, why)
    if ok then ok, reason = converse(fd, options) end
    return ok, reason
  end
end

--- A TCP port that accepts connections.
-- probe.tcp(80), probe.tcp("localhost", 80) or probe.tcp("127.0.0.1:80"), each with
-- @tparam[opt] table options send: a text that is sent then; expect: a Lua pattern that the
--   first 64 KiB of the answer contain
function M.tcp(host, port, options)
  if type(port) == "table" then port, options = nil, port end
  options = strict.check("probe.tcp", options or {}, CONVERSATION)
  if port == nil then
    if type(host) == "string" and host:find(":") then
      host, port = host:match("^%[?(.-)%]?:(%d+)$")
    else
      host, port = "127.0.0.1", host
    end
  end
  port = port_of(port, "probe.tcp")
  local address = address_of(host, "probe.tcp")
  return probe.new(("%s port %d"):format(host, port), look_by(function() return net.connect_tcp(address, port) end,
    options))
end

--- A unix stream socket that accepts connections.
-- @string path
-- @tparam[opt] table options send, expect: as for tcp
function M.unix(path, options)
  strict.path(path, "probe.unix")
  options = strict.check("probe.unix", options or {}, CONVERSATION)
  local wait = require "moonrise.probe.path"
  return probe.new("the socket " .. path, look_by(function() return net.connect_unix(path) end, options),
    { pause = wait.pause_at(path), finish = wait.finish })
end

local STATUSES = strict.list("integer", "a status or a list of them: { 200, 401 }")

local HTTP_OPTIONS = {
  status = { type = "integer|table", takes = STATUSES.takes, check = function(value, what)
    if type(value) == "table" then STATUSES.check(value, what) end
  end },
  body = { type = "string", check = strict.pattern },
  host = "string",
}

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
    fault.raise(STATUS.script, "probe.http takes \"http://host[:port]/path\", not %s%s", strict.show(url),
      tostring(url):find("^https:") and "; for TLS use probe.command with a client of the image" or "")
  end
  local host, port = authority:match("^%[?(.-)%]?:(%d+)$")
  host, port = host or authority:match("^%[?(.-)%]?$"), port_of(port or 80, "probe.http")
  local address = address_of(host, "probe.http")
  local request = ("GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: moonrise\r\nConnection: close\r\n\r\n"):format(
    path == "" and "/" or path, options.host or authority)
  return probe.new(url, function()
    local fd <close>, why = net.connect_tcp(address, port)
    local ok, reason = finish_connect(fd, why)
    if ok then ok, reason = send_all(fd, request) end
    if not ok then return false, reason end
    local answer, trouble = receive(fd, ANSWER_LIMIT)
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

return M
