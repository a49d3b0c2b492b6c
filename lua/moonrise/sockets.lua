--- What services listen on: sockets that are made before the start, stay open over
-- restarts, so that no connection is lost, and are handed over as sd_listen_fds(3)
-- expects them. With `activate` the service is started by the first connection; with
-- `accept` there is an instance for each.
-- @module moonrise.sockets
local listen = require "sys.listen"
local log = require "sys.log"
local loop = require "sys.loop"
local net = require "sys.net"
local proc = require "sys.proc"
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS
local BACKLOG = 4096 -- the kernel's own limit cuts it
local BURST, INTERVAL = 20, 2 -- more activations within these seconds are no use

-- Declaration ------------------------------------------------------------------------------

-- By the key that an entry has. A service accepts connections of a stream.
local KINDS = {
  tcp = { type = "stream", is_inet = true },
  udp = { type = "datagram", is_inet = true },
  unix = { type = "stream", is_path = true },
  unix_dgram = { type = "datagram", is_path = true },
  unix_seqpacket = { type = "seqpacket", is_path = true },
  fifo = { type = "fifo", is_path = true },
  inherited = { type = "inherited" },
}

local function spec_of_entry()
  return {
    tcp = "string|integer", udp = "string|integer", unix = "string", unix_dgram = "string", unix_seqpacket = "string",
    fifo = "string", inherited = "string", name = "string", backlog = { type = "integer", default = BACKLOG },
    reuseport = "boolean",
  }
end

local function refuse(format, ...) fault.raise(STATUS.script, format, ...) end

-- "8080", "127.0.0.1:8080", "[::1]:8080", "localhost:8080", 8080: an address, or nil
-- for all, and the port.
local function parse_inet(target, what)
  local text = tostring(target)
  local host, port = text:match("^%[(.+)%]:(%d+)$")
  if not host then host, port = text:match("^([^:]+):(%d+)$") end
  local number = math.tointeger(tonumber(port or text:match("^%d+$")))
  if not number or number < 1 or number > 65535 then
    refuse('%s is "%s"; it takes a port, "address:port" or "[address]:port"', what, text)
  end
  if not host or host == "*" then return nil, number end
  local addresses = net.resolve(host)
  if not addresses then
    refuse("%s: '%s' is neither an address nor localhost nor a name in /etc/hosts", what, host)
  end
  return addresses[1], number
end

local function check_path(entry, what)
  local path = entry.target
  if not path:find(entry.kind == "fifo" and "^/" or "^[/@].") then
    refuse('%s is "%s"; it takes an absolute path%s', what, path, entry.kind == "fifo" and "" or ', or "@name"')
  end
end

-- Options that mean nothing for its kind.
local function check_fit(entry, kind, what)
  for _, key in ipairs { "mode", "owner", "group" } do
    if entry[key] ~= nil and not kind.is_path then refuse("'%s' of %s is for paths alone", key, what) end
  end
  if entry.reuseport and not kind.is_inet then refuse("'reuseport' of %s is for tcp and udp", what) end
  if entry.name and (entry.name == "" or #entry.name > 255 or entry.name:find("[:%c]")) then
    refuse("'name' of %s is %q; it has to have 1 to 255 characters and no ':'", what, entry.name)
  end
end

local function check_entry(value, what)
  if type(value) ~= "table" then
    value = tostring(value):find("^[/@]") and { unix = value } or { tcp = value }
  end
  local entry = require("moonrise.file").options(what, value, spec_of_entry())
  for key in pairs(KINDS) do
    if entry[key] ~= nil and entry.kind then refuse("%s has both '%s' and '%s'", what, entry.kind, key) end
    if entry[key] ~= nil then entry.kind, entry.target = key, entry[key] end
  end
  if not entry.kind then
    refuse("%s names no socket; it takes one of tcp, udp, unix, unix_dgram, unix_seqpacket, fifo, inherited", what)
  end
  local kind = KINDS[entry.kind]
  check_fit(entry, kind, what)
  if kind.is_inet then entry.address, entry.port = parse_inet(entry.target, what) end
  if kind.is_path then check_path(entry, what) end
  entry.type = kind.type
  return entry
end

-- { tcp = 80 } is one entry, { "80", { tcp = 443 } } a list.
local function is_entry(value) return type(value) ~= "table" or type(next(value)) == "string" end

--- Check the `listen` of a service.
-- @treturn {table,...} entries
function M.check(value, what)
  local entries = {}
  for i, one in ipairs(is_entry(value) and { value } or value) do
    entries[i] = check_entry(one, is_entry(value) and what or ("entry %d of %s"):format(i, what))
  end
  if not entries[1] then refuse("%s is empty", what) end
  return entries
end

local ACCEPT = {
  stdio = { type = "boolean", default = false },
  max_connections = { type = "integer", default = 64, check = strict.between(1) },
}

--- Check the `accept` of a service: true, or a table.
function M.check_accept(value, what)
  local accept = value == true and {} or value
  if not accept then return end
  return strict.check(what, accept, ACCEPT)
end

--- What goes together with `listen`; raises.
function M.check_together(options)
  for _, key in ipairs { "accept", "activate" } do
    if options[key] and not options.listen then refuse("'%s' of %s needs 'listen'", key, options.name) end
  end
  if not options.accept then return end
  if options.activate then refuse("'accept' of %s goes without 'activate'", options.name) end
  for _, key in ipairs { "ready", "watchdog", "notify", "forking" } do
    if options[key] then refuse("'accept' of %s goes without '%s'", options.name, key) end
  end
  for _, entry in ipairs(options.listen) do
    if entry.type == "datagram" or entry.type == "fifo" then
      refuse("'accept' of %s: there are no connections on %s", options.name, entry.kind)
    end
  end
end

-- Handed in by whoever started the container -------------------------------------------------

local inherited

--- All of them, as open() gives them; found once and kept.
function M.inherited()
  if inherited then return inherited end
  inherited = {}
  local env = proc.environ()
  if env.LISTEN_PID and env.LISTEN_PID ~= tostring(proc.pid()) then return inherited end
  local names = {}
  for name in ((env.LISTEN_FDNAMES or "") .. ":"):gmatch("([^:]*):") do names[#names + 1] = name end
  for i = 1, math.tointeger(tonumber(env.LISTEN_FDS)) or 0 do
    local fd = listen.adopt(2 + i)
    local name = names[i] ~= "" and names[i] or "unknown"
    if fd then inherited[#inherited + 1] = { fd = fd, name = name, is_inherited = true } end
  end
  return inherited
end

local function inherited_names()
  local names = {}
  for i, socket in ipairs(M.inherited()) do names[i] = socket.name end
  return names[1] and "these are: " .. table.concat(names, ", ") or "there are none"
end

-- Opening and closing ---------------------------------------------------------------------------

local function make(entry)
  if entry.kind == "tcp" or entry.kind == "udp" then
    return listen.inet(entry.address, entry.port, entry.type, entry.backlog, entry.reuseport)
  end
  local parent = entry.target:match("^(/.+)/[^/]+$")
  if parent and not require("sys.file").stat(parent, true) then require("moonrise.fs").mkdir(parent) end
  local mode, uid, gid = entry.mode or 438, entry.uid or -1, entry.gid or -1 -- 0666, as systemd
  if entry.kind == "fifo" then return listen.fifo(entry.target, mode, uid, gid) end
  return listen.unix(entry.target, entry.type, entry.backlog, mode, uid, gid)
end

-- What will be in the file system for as long as it is open; a fifo that is there
-- already belongs to somebody else.
local function path_to_remove(entry)
  if not tostring(entry.target):find("^/") then return nil end
  if entry.kind:find("^unix") or entry.kind == "fifo" and not require("sys.file").stat(entry.target) then
    return entry.target
  end
end

local function open_entry(entry, owner, opened)
  if entry.kind == "inherited" then
    local count = #opened
    for _, socket in ipairs(M.inherited()) do
      if socket.name == entry.target then
        opened[#opened + 1] = { fd = socket.fd, name = entry.name or socket.name, is_inherited = true }
      end
    end
    if #opened > count then return end
    refuse("%s cannot listen on the inherited '%s': there is none of that name; %s", owner, entry.target,
      inherited_names())
  end
  local path = path_to_remove(entry)
  local fd, reason = make(entry)
  if not fd then refuse("%s cannot listen on %s %s: %s", owner, entry.kind, entry.target, reason) end
  opened[#opened + 1] = { fd = fd, name = entry.name or owner:gsub("[:%c]", "_"), path = path }
end

local function close_all(sockets)
  for _, socket in ipairs(sockets) do
    if not socket.is_inherited then socket.fd:close() end
    if socket.path then require("sys.file").remove(socket.path) end
  end
end

--- Make the sockets of checked entries.
-- @tparam {table,...} entries
-- @string owner for messages, and the name of those that have none
-- @treturn {table,...} { fd =, name = }, ...
function M.open(entries, owner)
  local opened = {}
  local ok, err = pcall(function()
    for _, entry in ipairs(entries) do open_entry(entry, owner, opened) end
  end)
  if ok then return opened end
  close_all(opened)
  error(err, 0)
end

--- Before a service is started, in the script's own line.
function M.open_for(service)
  service.sockets = service.sockets or M.open(service.options.listen, service.name)
end

-- Instances -------------------------------------------------------------------------------------

-- Stands where a service has its process: takes the connections, and is over when
-- all instances are.
local Acceptor = {}
Acceptor.__index = Acceptor

-- What an instance does not have of its service.
local NOT_FOR_ONE = { "listen", "accept", "activate", "after", "requires", "restart", "reload", "logs" }

local function options_of_one(self, name)
  local options = {}
  for key, value in pairs(self.service.options) do options[key] = value end
  for _, key in ipairs(NOT_FOR_ONE) do options[key] = nil end
  options.name, options.essential = name, false
  options.log = options.log or name
  if self.accept.stdio then
    options.stdin, options.stdout = "inherit", "inherit"
    options.stderr = options.stderr or "inherit"
  end
  return options
end

-- Its supervisor is asked for when it is needed: it is the one that loads this module.
local function supervisor() return require "moonrise.supervisor" end

local function start_one(self, fd, address, port)
  self.number, self.count = self.number + 1, self.count + 1
  local name = ("%s@%d"):format(self.service.name, self.number)
  local instance = supervisor().add(options_of_one(self, name), self.service.where)
  instance.acceptor, instance.rank = self, self.service.rank
  instance.connection = { fd = fd, address = address, port = port }
  self.instances[instance] = true
  supervisor().fire(instance, "start")
  supervisor().fire(instance, "free")
end

local EAGAIN, ECONNABORTED = 11, 103

local function accept_all(self, socket)
  while true do
    while self.count >= self.accept.max_connections do self.room:wait() end
    local fd, address, port = listen.accept(socket.fd)
    if fd then
      start_one(self, fd, address, port)
    elseif port == EAGAIN then
      task.readable(socket.fd)
    elseif port ~= ECONNABORTED then -- no more descriptors, say
      log.line("warning", ("%s cannot take a connection: %s"):format(self.service.name, address))
      task.sleep(1)
    end
  end
end

local function finish_if_empty(self)
  if self.is_over and self.count == 0 then task.after(0, function() self.ended("exited", 0) end) end
end

local function close_acceptor(self)
  if self.is_over then return end
  self.is_over = true
  for _, one in ipairs(self.tasks) do one:cancel() end
  for instance in pairs(self.instances) do task.spawn("stop " .. instance.name, instance.stop, instance) end
  finish_if_empty(self)
end

--- As a child of sys.proc: when the service stops, it is told to end; other signals
-- are for its instances.
function Acceptor:kill(number)
  if self.service.state == "stopping" and not self.is_over then
    close_acceptor(self)
    return true
  end
  for instance in pairs(self.instances) do
    if instance.process then instance.process.child:kill(number) end
  end
  return true
end

function Acceptor:id() return self end

function Acceptor:follow() return nil, self.service.name .. " has no process" end

--- Nothing of its own: the instances are services.
function Acceptor.usage() return nil end

--- In place of a process: serve the sockets of a service with `accept`.
function M.serve(service, launch)
  local self = setmetatable({
    service = service, accept = service.options.accept, ended = launch.ended, instances = {}, count = 0, number = 0,
    room = task.condition(), tasks = {},
  }, Acceptor)
  for i, socket in ipairs(service.sockets) do
    self.tasks[i] = task.spawn("accept " .. service.name, accept_all, self, socket)
  end
  return { child = self, name = service.name, started = loop.now(), relays = {} }
end

local function forget_one(instance)
  local self = instance.acceptor
  supervisor().remove(instance)
  self.instances[instance], self.count = nil, self.count - 1
  self.room:broadcast(true)
  finish_if_empty(self)
end

--- A service has come to rest: its sockets are closed; an instance is no more.
function M.rest(service)
  service:forget "listening"
  if service.acceptor then return forget_one(service) end
  close_all(service.sockets)
  service.sockets = nil
end

-- Starting ----------------------------------------------------------------------------------------

local function prepare_one(service, launch)
  local connection = service.connection
  launch.given[#launch.given + 1] = connection.fd
  if connection.address ~= "" then
    launch.env.REMOTE_ADDR, launch.env.REMOTE_PORT = connection.address, tostring(connection.port)
  end
  if not service.acceptor.accept.stdio then
    launch.listen[#launch.listen + 1] = { fd = connection.fd, name = "connection" }
    return
  end
  for number = 0, 2 do
    local stream = number == 2 and service.options.stderr or "inherit"
    if stream == "inherit" then launch.fds[number] = connection.fd end
  end
end

--- Before the process of a service is started.
function M.prepare(service, launch)
  service.was_triggered = nil
  if service.acceptor then return prepare_one(service, launch) end
  for _, socket in ipairs(service.sockets) do launch.listen[#launch.listen + 1] = socket end
end

-- Started again and again, and still there is something to be taken.
local function too_often(service)
  local now, recent = loop.now(), {}
  for _, when in ipairs(service.triggers or {}) do
    if now - when < INTERVAL then recent[#recent + 1] = when end
  end
  recent[#recent + 1] = now
  service.triggers = recent
  return #recent > BURST
end

local function triggered(service)
  service:forget "listening"
  if service.state ~= "waiting" then return end
  service.status_text = nil
  if too_often(service) then
    service.fault = fault.new(STATUS.script, ("%s was started %d times within %ds by what it does not take"):format(
      service.name, BURST, INTERVAL), service.where)
    return supervisor().fire(service, "broken")
  end
  service.was_triggered = true
  supervisor().limit_start(service)
  service:look_around()
end

--- Wait for what starts the service.
function M.await(service)
  if service.listening then return end
  local tasks = {}
  service:forget "start_timer"
  service.status_text = "listening"
  service.listening = { cancel = function()
    for _, one in ipairs(tasks) do one:cancel() end
  end }
  for i, socket in ipairs(service.sockets) do
    tasks[i] = task.spawn("listen " .. service.name, function()
      task.readable(socket.fd)
      triggered(service)
    end)
  end
end

return M
