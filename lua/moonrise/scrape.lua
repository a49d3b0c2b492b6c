--- Serves the metrics over HTTP. Whoever can reach the port may ask, so that a client
-- has little time, little room and few places.
-- @module moonrise.scrape
local listen = require "sys.listen"
local log = require "sys.log"
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local CLIENTS, SECONDS, REQUEST_MAX = 16, 5, 4096
local PAUSE = 0.1 -- when nothing can be accepted: no descriptors, say
local AGAIN = { [11] = true, [4] = true } -- EAGAIN, EINTR

local function read_request(fd)
  local text = ""
  while not text:find("\r?\n\r?\n") do
    local data, _, errno = fd:read(REQUEST_MAX)
    if data then
      text = text .. data
      if data == "" or #text > REQUEST_MAX then return nil end
    elseif AGAIN[errno] then
      task.readable(fd)
    else
      return nil
    end
  end
  return text
end

local function write_all(fd, text)
  while text ~= "" do
    local count, _, errno = fd:write(text)
    if count then
      text = text:sub(count + 1)
    elseif AGAIN[errno] then
      task.writable(fd)
    else
      return
    end
  end
end

local function answer(status, kind, body)
  return ("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"):format(status, kind,
    #body) .. body
end

local function respond(request)
  local method, path = request:match("^(%u+) ([^ ?\r\n]+)%S* HTTP/1%.[01]\r?\n")
  if not method then return answer("400 Bad Request", "text/plain", "no HTTP request\n") end
  if path ~= "/metrics" then return answer("404 Not Found", "text/plain", "it is at /metrics\n") end
  if method ~= "GET" then return answer("405 Method Not Allowed", "text/plain", "only GET\n") end
  return answer("200 OK", "text/plain; version=0.0.4; charset=utf-8", require("moonrise.metrics").text())
end

local function serve(fd)
  local request = read_request(fd)
  write_all(fd, request and respond(request) or answer("400 Bad Request", "text/plain", "no HTTP request\n"))
end

local function accept_all(socket, state)
  while true do
    while state.clients >= CLIENTS do state.left:wait() end
    local fd, _, errno = listen.accept(socket)
    if fd then
      state.clients = state.clients + 1
      task.spawn("metrics client", function()
        local _ <close> = fd
        local ok, err = task.timeout(SECONDS, serve, fd)
        if ok == false then log.line("warning", ("metrics: %s"):format(err)) end
      end).on_end = function()
        state.clients = state.clients - 1
        state.left:broadcast()
      end
    elseif AGAIN[errno] then
      task.readable(socket)
    else
      task.sleep(PAUSE)
    end
  end
end

local OPTIONS = { listen = { type = "string|integer", required = true } }

--- Serve the metrics until the container ends. See moonrise-boot(5).
-- @tparam table options listen = "127.0.0.1:9100"
function M.start(options)
  options = strict.check("init.metrics", options, OPTIONS)
  local entry = require("moonrise.sockets").check({ tcp = options.listen }, "'listen' of init.metrics")[1]
  if require("sys.host").mode ~= "boot" then
    return require("moonrise.rehearse").note(("serve metrics on %s"):format(options.listen))
  end
  local socket, reason = listen.inet(entry.address, entry.port, "stream", CLIENTS, false)
  if not socket then fault.raise(fault.STATUS.script, "init.metrics: %s: %s", options.listen, reason) end
  task.spawn("metrics", accept_all, socket, { clients = 0, left = task.condition() }).on_end = function(_, ok, err)
    if not ok then log.line("error", ("metrics: %s"):format(err)) end
  end
end

return M
