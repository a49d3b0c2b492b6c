--- What a service may be told: its options, checked and completed.
-- @module moonrise.declaration
local proc = require "sys.proc"
local fault = require "moonrise.fault"
local process = require "moonrise.process"
local strict = require "moonrise.strict"

local M = {}

local STATUS = fault.STATUS

local function seconds(value, what) return require("moonrise.duration").seconds(value, what) end

local DURATION = { type = "string|number", check = seconds }

local function duration(default) return { type = DURATION.type, check = seconds, default = default } end

--- The name of a signal; raises when there is none.
function M.signal(value, what)
  local kind = math.type(value) or type(value)
  local _, name
  if kind == "string" or kind == "integer" then _, name = proc.signal(value) end
  return name or fault.raise(STATUS.script, '%s is %s, which is no signal; it takes a name such as "TERM"', what,
    strict.show(value))
end

local SIGNAL = { type = "string|integer", check = M.signal }

-- A command for run(), checked now and not when it is needed.
local COMMAND = { type = "table", takes = '{ "program", "argument" }', check = function(value, what)
  process.check(what, value, process.RUN_OPTIONS)
end }

-- A table by `spec`; a function stays what it is.
local function table_or_function(spec, example)
  return { type = "table|function", takes = example .. " or a function", check = function(value, what)
    if type(value) == "table" then return strict.check(what, value, spec) end
  end }
end

local STOP = { signal = SIGNAL, grace = duration(10), command = COMMAND }
local RELOAD = { signal = SIGNAL, command = COMMAND, notify = "boolean" }

-- Restarts ---------------------------------------------------------------------------

local POLICIES = { no = true, ["on-failure"] = true, always = true }

local function policy(value, what)
  if not POLICIES[value] then
    fault.raise(STATUS.script, '%s is "%s"; it takes "no", "on-failure" or "always"', what, tostring(value))
  end
end

local BACKOFF = {
  first = duration(0.1),
  max = duration(30),
  factor = { type = "number", default = 2, check = strict.between(1) },
  jitter = { type = "number", default = 0, check = strict.between(0, 1) },
}

local RESTART = {
  when = { type = "string", default = "on-failure", check = policy },
  backoff = { type = "table", check = function(value, what) return strict.check(what, value, BACKOFF) end },
  burst = { type = "integer", check = strict.between(1) },
  interval = duration(10),
}

local function restart(value, what)
  if type(value) == "string" then
    policy(value, what)
    value = { when = value }
  end
  return strict.check(what, value, RESTART)
end

-- Messages of the service ----------------------------------------------------------------

local ACCESS = { main = true, all = true }

local function access(value, what)
  if value and not ACCESS[value] then
    fault.raise(STATUS.script, '%s is "%s"; it takes "main", "all" or false', what, tostring(value))
  end
end

-- What the core can hand over (SPAWN_MAX_FDS), less those that a service has anyway.
local MOST_DESCRIPTORS = 250

local function check_descriptors(options)
  local wanted = #(options.listen or {}) + (options.fd_store or 0)
  if wanted <= MOST_DESCRIPTORS then return end
  fault.raise(STATUS.script, "'listen' and 'fd_store' of %s ask for %d descriptors; there may be %d", options.name,
    wanted, MOST_DESCRIPTORS)
end

-- The socket is there for those who need it.
local function is_notifying(options)
  local reload = options.reload
  return options.watchdog or options.fd_store or options.ready and options.ready.is_notified
    or type(reload) == "table" and reload.notify
end

-- All -----------------------------------------------------------------------------------

local SERVICES = strict.list("string|service", "a list of services or their names")

local A_PROBE = "a probe, such as probe.tcp(80), or a function"
local PROBE = { type = "probe|table|function", takes = A_PROBE, check = function(value, what)
  return require("moonrise.probe").check(value, what)
end }

--- The options of a service, on top of those of every process.
M.OPTIONS = process.options_with {
  ready = PROBE,
  health = PROBE,
  start_timeout = duration(90),
  after = SERVICES,
  requires = SERVICES,
  restart = { type = "string|table", takes = '"no", "on-failure", "always" or a table', check = restart },
  stop = table_or_function(STOP, '{ signal = "TERM", grace = "10s" }'),
  reload = table_or_function(RELOAD, '{ signal = "HUP" }'),
  notify = { type = "string|boolean", check = access },
  watchdog = DURATION,
  fd_store = { type = "integer", check = strict.between(0) },
  listen = { type = "string|integer|table", check = function(value, what)
    return require("moonrise.sockets").check(value, what)
  end },
  activate = "boolean",
  accept = { type = "boolean|table", check = function(value, what)
    return require("moonrise.sockets").check_accept(value, what)
  end },
  essential = { type = "boolean", default = true },
  log = { type = "string|table", check = function(value, what)
    if type(value) == "table" then return require("moonrise.logging").check(value, what) end
  end },
  logs = { type = "table", takes = 'a list of paths: { "/var/log/app.log" }', check = function(value, what)
    return require("moonrise.logging").check_logs(value, what)
  end },
  forking = "boolean",
  pidfile = "string",
}

local function check_reload(options)
  local reload = options.reload
  if type(reload) ~= "table" then return end
  if (reload.signal == nil) == (reload.command == nil) then
    fault.raise(STATUS.script, "'reload' of %s takes one of 'signal' and 'command'", options.name)
  elseif reload.notify and reload.command then
    fault.raise(STATUS.script, "'notify' in 'reload' of %s goes with 'signal' alone", options.name)
  end
end

--- Check the options of a service.
-- @string word the word of the script, for messages
function M.check(word, options)
  options = process.check(word, options, M.OPTIONS)
  if options.pidfile then options.forking = true end
  check_reload(options)
  if type(options.log) == "table" then options.log, options.log_to = options.log.name, options.log end
  check_descriptors(options)
  if options.listen or options.accept or options.activate then
    require("moonrise.sockets").check_together(options)
  end
  if is_notifying(options) then
    if options.notify == false then
      fault.raise(STATUS.script, "%s is to send messages, and its 'notify' is false", options.name)
    end
    options.notify = options.notify or "all"
  end
  return options
end

return M
