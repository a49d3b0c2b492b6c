--- Where the lines of a service go, if not to the container's stdout, and which of them
-- do not come through its pipes: log files that it insists on writing.
-- @module moonrise.logging
local log = require "sys.log"
local loop = require "sys.loop"
local net = require "sys.net"
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local supervisor = require "moonrise.supervisor"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS
local JOURNAL = "/run/systemd/journal/socket"
local EMPTY_TIME = 5 -- seconds in which a command has to take what it has not read yet
local END_TIME = 2 -- and those until it is sent a signal, if it does not end at the end of its input

-- Options ----------------------------------------------------------------------

local PATHS = strict.list("string", 'a list of paths: { "/var/log/app.log" }')

--- Check the option `logs`: absolute patterns.
function M.check_logs(value, what)
  PATHS.check(value, what)
  for _, pattern in ipairs(value) do
    if pattern:sub(1, 1) ~= "/" or pattern:sub(-1) == "/" or pattern:find("\0", 1, true) then
      fault.raise(STATUS.script, "%s has %s; it takes absolute paths of files, in which *, ? and [a-z] may be",
        what, strict.show(pattern))
    end
  end
end

local function size(value, what) return require("moonrise.duration").bytes(value, what) end

local FORMATS = { plain = true, prefix = true, json = true }

local function format(value, what)
  if not FORMATS[value] then
    fault.raise(STATUS.script, '%s is "%s"; it takes "plain", "prefix" or "json"', what, value)
  end
end

local function path(value, what)
  if value:sub(1, 1) ~= "/" then fault.raise(STATUS.script, '%s is "%s"; it takes an absolute path', what, value) end
end

local COMMON = { name = "string", format = { type = "string", default = "plain", check = format } }

local function with_common(spec)
  for key, rule in pairs(COMMON) do spec[key] = rule end
  return spec
end

-- The places that lines may go to, each by the option that asks for it.
local PLACES = {
  file = with_common {
    file = { type = "string", check = path },
    max_size = { type = "string|integer", default = 10 << 20, check = size },
    keep = { type = "integer", default = 5, check = strict.between(0, 1000) },
  },
  command = with_common { command = { type = "table", takes = '{ "program", "argument" }' } },
  journal = { name = "string", journal = { type = "boolean|string", check = function(value, what)
    if value ~= true then path(value or "", what) end
  end } },
}

--- Check the option `log`, which is a table.
function M.check(value, what)
  local place
  for name in pairs(PLACES) do
    if value[name] ~= nil then
      if place then fault.raise(STATUS.script, "%s takes one of 'file', 'command' and 'journal'", what) end
      place = name
    end
  end
  if not place then fault.raise(STATUS.script, "%s needs 'file', 'command' or 'journal'", what) end
  return strict.check(what, value, PLACES[place])
end

-- Commands -----------------------------------------------------------------------

-- As long as its service runs, it is only being restarted. Else all that it reads has
-- come: it gets the end of its input, and may end by itself, before there is a signal.
local function end_input(command)
  if command.speaker.process then return end
  local deadline = loop.now() + EMPTY_TIME
  while not command.output:flush() and loop.now() < deadline do task.sleep(0.02) end
  command.output:close()
  command.input:close()
  command.output = nil
  task.sleep(END_TIME)
end

--- The command that reads the lines of a service is a service, too, which it requires:
-- so it is started before it and stopped after it.
function M.declare(service)
  local to, what = service.options.log_to, ("'command' in 'log' of %s"):format(service.name)
  if not to.command then return end
  local options = { name = service.name .. ".log", essential = false, stop = end_input,
    restart = { when = "always", backoff = {} } }
  for key, value in pairs(to.command) do
    if options[key] ~= nil then fault.raise(STATUS.script, "%s can't have '%s'", what, key) end
    options[key] = value
  end
  local command = supervisor.declare(options, what)
  command.speaker, service.log_command = service, command
  service.options.requires = { command, table.unpack(service.options.requires or {}) }
end

--- Before a command is started. The pipe outlives it: what it has not read when it dies
-- is for the next one.
function M.prepare(command, launch)
  if not command.output then
    local reader, writer = net.pipe()
    if not reader then fault.raise(STATUS.script, "cannot start %s: %s", command.name, writer) end
    command.input, command.output = reader, log.to_pipe(writer, command.speaker.options.log_to.format)
  end
  launch.fds[0] = command.input
end

-- Places --------------------------------------------------------------------------

local files = {} -- path -> output: services may share one

local function open_file(service, to)
  if not files[to.file] then
    local output, reason = log.to_file(to.file, to.max_size, to.keep, to.format)
    files[to.file] = output or fault.raise(STATUS.script, "cannot start %s: %s", service.name, reason)
  end
  return files[to.file]
end

local journals = {} -- path -> output

-- Nil when no journal is there, as in a container that was started without its socket.
local function open_journal(service, to)
  local where = to.journal == true and JOURNAL or to.journal
  local output, reason = journals[where], nil
  if not output then output, reason = log.to_journal(where) end
  if not output then
    log.line("info", ("the lines of %s stay here, since there is no journal: %s"):format(service.name, reason))
  end
  journals[where] = output
  return output
end

--- Where its lines go; nil: to the container's stdout.
function M.output(service)
  local to = service.options.log_to
  if to.file then return open_file(service, to) end
  if to.journal then return open_journal(service, to) end
  local owner = service.acceptor and service.acceptor.service or service
  return owner.log_command.output
end

-- Followed files ---------------------------------------------------------------------

--- From its first start on the files are followed, over its restarts.
function M.follow(service, output)
  service.follows = {}
  for i, pattern in ipairs(service.options.logs) do
    local follow, reason = log.follow(pattern, service.options.log or service.name, service.tail, output)
    service.follows[i] = follow or fault.raise(STATUS.script, "cannot follow the logs of %s: %s", service.name, reason)
  end
end

--- The service is no more.
function M.forget(service)
  for _, follow in ipairs(service.follows) do follow:close() end
end

return M
