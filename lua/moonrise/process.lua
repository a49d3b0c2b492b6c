--- Processes: the options that run, start and service share, and how they start.
-- The options become a plan for sys.proc.spawn; everything that can be wrong with
-- them is found before a process exists.
-- @module moonrise.process
local loop = require "sys.loop"
local net = require "sys.net"
local proc = require "sys.proc"
local log = require "sys.log"
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS

-- Options ----------------------------------------------------------------------

local function seconds(value, what) return require("moonrise.duration").seconds(value, what) end

local function refuse(format, ...) fault.raise(STATUS.script, format, ...) end

local function check_name(name, what)
  if name == "" or #name > 255 or name:find("%c") then
    refuse("%s is %s; it takes 1 to 255 characters, none of them a control character", what, strict.show(name))
  end
end

local function check_environment(env, what)
  for name, value in next, env do
    if type(name) ~= "string" or name == "" or name:find("[=\0]") then
      refuse('%s has [%s] = ...; it takes { NAME = "value" }', what, strict.show(name))
    elseif value ~= false and type(value) ~= "string" and math.type(value) ~= "integer" then
      refuse("%s in %s is %s; it takes a string, an integer, or false to leave it out%s", name, what,
        strict.show(value), require("moonrise.secret").is(value) and "; a secret goes into 'secrets'" or "")
    elseif tostring(value):find("\0", 1, true) then
      refuse("%s in %s has a NUL byte in it", name, what)
    end
  end
end

-- Where one of the three leads: a word, or a table by `spec`. Its text is not shown: what
-- is meant as the input may be a secret.
local function leads_to(spec, example, ...)
  local takes, known = ('"%s" or %s'):format(table.concat({ ... }, '", "'), example), {}
  for _, word in ipairs { ... } do known[word] = true end
  return { type = "string|table", takes = takes, check = function(value, what)
    if known[value] then return end
    if type(value) == "string" then refuse("%s takes %s, and no other text", what, takes) end
    local checked = strict.check(what, value, spec)
    local key = next(checked)
    if not key or next(checked, key) then refuse("%s takes one of 'text' and 'file'", what) end
    return checked
  end }
end

local INPUT = leads_to({ text = "string|secret", file = "string" }, '{ text = "..." }', "null", "inherit")
local FILE, A_FILE = { file = { type = "string", required = true } }, '{ file = "/path" }'
local OUTPUT = leads_to(FILE, A_FILE, "log", "null", "inherit")
local RUN_OUTPUT = leads_to(FILE, A_FILE, "log", "capture", "null", "inherit")

-- Options that hardly any process has: a check by moonrise.rights.
local function right(name)
  return function(value, what) return require("moonrise.rights")["check_" .. name](value, what) end
end

--- The options of every process, as moonrise.strict takes them.
M.OPTIONS = {
  argv = true,
  sh = "string",
  name = { type = "string", check = check_name },
  user = "string|integer",
  group = "string|integer",
  groups = strict.list("string|integer", "a list of names or numbers"),
  cwd = "string",
  env = { type = "table", takes = '{ NAME = "value" }', check = check_environment },
  clear_env = "boolean",
  secrets = { type = "table", takes = 'a list of names: { "PASSWORD" }', check = function(names)
    require("moonrise.env").secrets(names)
  end },
  umask = { type = "string", takes = 'octal digits in quotes, such as "022"', check = right "umask" },
  limits = { type = "table", takes = "{ nofile = 1024 }", check = right "limits" },
  nice = { type = "integer", check = strict.between(-20, 19) },
  oom_score = { type = "integer", check = strict.between(-1000, 1000) },
  caps = { type = "table", takes = '{ "net_bind_service" }', check = right "caps" },
  no_new_privs = "boolean",
  stdin = INPUT,
  stdout = OUTPUT,
  stderr = OUTPUT,
  log = "string",
  tty = "boolean",
}

--- OPTIONS with more of one's own.
function M.options_with(more)
  local all = {}
  for key, rule in pairs(M.OPTIONS) do all[key] = rule end
  for key, rule in pairs(more) do all[key] = rule end
  return all
end

--- The options of run.
M.RUN_OPTIONS = M.options_with {
  ok = strict.list("integer", "a list of exit statuses: { 0, 1 }"),
  stdout = RUN_OUTPUT,
  stderr = RUN_OUTPUT,
  timeout = { type = "string|number", check = seconds },
}

-- What the process has before its own `env`. Without env.read there are no secrets
-- to keep back, and moonrise.env need not be loaded.
local function inherited(options)
  local env = package.loaded["moonrise.env"]
  local result = options.clear_env and { PATH = proc.environ().PATH }
    or env and env.child_environment() or proc.environ()
  if not options.secrets then return result end
  for name, value in pairs(env.secrets(options.secrets)) do result[name] = value end
  return result
end

--- Put the `env` of options into an environment.
function M.add_environment(result, options)
  for name, value in pairs(options.env or {}) do
    result[name] = value and tostring(value) or nil
  end
end

--- The environment of a process.
-- @tparam table options checked
-- @tparam[opt] table user the account, if it changes
-- @treturn table name -> value
function M.environment(options, user)
  local result = inherited(options)
  for _, name in ipairs(proc.ours) do result[name] = nil end
  if user then
    result.HOME, result.USER, result.LOGNAME, result.SHELL = user.home, user.name, user.name, user.shell
  end
  M.add_environment(result, options)
  return result
end

--- The same as sys.proc takes it.
function M.environment_list(env)
  local list = {}
  for name, value in pairs(env) do list[#list + 1] = name .. "=" .. value end
  return list
end

local function changes_environment(options, user, launch)
  return user or options.env or options.clear_env or options.secrets or package.loaded["moonrise.env"]
    or next(launch.env or {}) or launch.listen and launch.listen[1]
end

-- The environment of a run; nil: as we were started, which is what sys.proc gives to
-- most of them.
local function environment_of(options, user, launch)
  if not changes_environment(options, user, launch) then return nil end
  local env = M.environment(options, user)
  for name, value in pairs(launch.env or {}) do env[name] = value end
  return env
end

-- Most processes are and may what we are and may.
local RIGHTS = { "user", "group", "groups", "umask", "limits", "caps" }

--- Who a process is and what it may: see moonrise.rights; empty when it is as we are.
function M.rights_of(options)
  for _, name in ipairs(RIGHTS) do
    if options[name] ~= nil then return require("moonrise.rights").of(options) end
  end
  return {}
end

local ENOENT = 2
local USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

--- The executable, looked for in the PATH of the process itself, or from its folder.
function M.find(options, search)
  local name = options[1]
  search = search or USUAL_PATH
  if options.cwd and name:find("^[^/]+/") then name = options.cwd .. "/" .. name end
  local path, reason, errno = proc.find(name, search)
  if path then return path end
  if options.name == name then reason = reason:sub(#name + #": " + 1) end
  if errno == ENOENT and not name:find("/", 1, true) then reason = reason .. " in " .. search end
  return fault.raise(errno == ENOENT and STATUS.not_found or STATUS.not_executable,
    "cannot start %s: %s", options.name, reason)
end

--- Check a process's options and complete them.
-- @string word whose: "run", "start"
-- @tparam table options
-- @tparam table spec OPTIONS, or options_with()
function M.check(word, options, spec)
  options = strict.check(word, options, spec)
  if options.sh then
    if options[1] then fault.raise(STATUS.script, "%s has both a list of arguments and 'sh'", word) end
    options[1], options[2], options[3] = "/bin/sh", "-c", options.sh
  end
  if not options[1] or options[1] == "" then
    fault.raise(STATUS.script, '%s needs the program and its arguments: %s{ "program", "argument" }', word, word)
  end
  options.name = options.name or options.sh and "sh" or options[1]:match("([^/]+)/*$") or options[1]
  return options
end

-- Where fd 1 or 2 of the process goes: our end of a pipe to be read, or nil.
local function open_output(options, key, fds, number)
  local how = options[key]
  if how == "inherit" then return nil end
  if how == "null" then
    fds[number] = net.null("w")
  elseif type(how) == "table" then
    local fd, reason = require("sys.file").open_append(how.file)
    fds[number] = fd or fault.raise(STATUS.script, "cannot start %s: %s", options.name, reason)
  else
    local reader, writer = net.pipe()
    if not reader then fault.raise(STATUS.script, "cannot start %s: %s", options.name, writer) end
    fds[number] = writer
    return reader
  end
end

local nothing -- /dev/null, which most processes have as their stdin: opened once

-- Fd 0 of the process; the end to write its text to, if that is where it comes from.
local function open_input(options, fds, given)
  local how = options.stdin or (options.tty and "inherit" or "null")
  if how == "inherit" then return nil end
  if how == "null" then
    nothing = nothing or net.null("r")
    given[0] = nothing
    return nil
  end
  if how.file then
    local fd, reason = require("sys.file").open_read(how.file)
    fds[0] = fd or fault.raise(STATUS.script, "cannot start %s: %s", options.name, reason)
    return nil
  end
  local reader, writer = net.pipe()
  if not reader then fault.raise(STATUS.script, "cannot start %s: %s", options.name, writer) end
  fds[0] = reader
  return writer
end

-- Spawning ---------------------------------------------------------------------

local ends = {} -- child id -> function(how, number, left), called in the scheduler

task.on_event.child = function(id, how, number, left)
  local ended = ends[id]
  if not left then ends[id] = nil end
  if ended then ended(how, number, left) end
end

local function write_all(fd, text)
  local from = 1
  while from <= #text do
    local count, _, errno = fd:write(text:sub(from, from + 65535))
    if count then
      from = from + count
    elseif errno == 32 then -- EPIPE: it does not want to read it all
      break
    else
      task.writable(fd)
    end
  end
  fd:close()
end

local function close_all(fds)
  for _, fd in pairs(fds) do fd:close() end
end

--- Sockets and stored descriptors, from 3 on, with their names.
function M.pass_listen(launch, env, given)
  local names = {}
  for i, entry in ipairs(launch.listen) do
    local number = 2 + i
    if given[number] then
      fault.raise(STATUS.script, "descriptor %d is needed for $LISTEN_FDS; use another number", number)
    end
    given[number], names[i] = entry.fd, entry.name
  end
  env.LISTEN_FDS, env.LISTEN_FDNAMES = tostring(#names), table.concat(names, ":")
  launch.own_pid = launch.own_pid or {}
  table.insert(launch.own_pid, "LISTEN_PID")
end

--- Start a process by checked options.
-- @tparam table options from check()
-- @tparam table launch what its starter adds:
--   ended: function called in the scheduler with "exited"|"killed"|"dumped", the number,
--   and whether it has left processes behind (then it is called again, with "gone");
--   env: more variables; fds: { [number] = descriptor }, which stay open here;
--   listen: { { fd =, name = }, ... } for $LISTEN_FDS, as sd_listen_fds(3) finds them;
--   own_pid: { "NAME", ... }, variables that are to have its pid;
--   tail: keeps what it writes last; output: where that goes, if not to the container's;
--   sweep: what it leaves behind is to be known, and ended by the caller
-- @treturn table process: child, pid, relays (by stream), stdout, stderr (pipes to capture)
-- @raise a fault that says at which stage it failed, and why
function M.spawn(options, launch)
  local rights = M.rights_of(options)
  local env = environment_of(options, rights.user, launch)
  local path = M.find(options, env and env.PATH or not env and os.getenv("PATH"))
  local fds <close> = setmetatable({}, { __close = close_all })
  local process = { name = options.name, started = loop.now(), relays = {} }
  local given = {}
  local input = open_input(options, fds, given)
  local pipes = {
    stdout = open_output(options, "stdout", fds, 1),
    stderr = open_output(options, "stderr", fds, 2),
  }
  local argv = table.move(options, 1, #options, 1, {})
  for number, fd in pairs(fds) do given[number] = fd end
  for number, fd in pairs(launch.fds or {}) do given[number] = fd end
  if launch.listen and launch.listen[1] then M.pass_listen(launch, env, given) end
  log.serve()
  local child, reason, _, stage = proc.spawn {
    name = options.name, path = path, argv = argv, env = env and M.environment_list(env), cwd = options.cwd,
    umask = rights.umask, nice = options.nice, oom_score = options.oom_score, limits = rights.limits,
    uid = rights.uid, gid = rights.gid, groups = rights.groups, caps = rights.caps,
    no_new_privs = options.no_new_privs, tty = options.tty,
    sweep = launch.sweep, fds = given, own_pid = launch.own_pid,
    log = options.log or options.name, tail = launch.tail, output = launch.output,
  }
  if not child then
    for _, pipe in pairs(pipes) do pipe:close() end
    local status = (stage == "exec" or stage == "interpreter") and STATUS.not_executable or STATUS.script
    fault.raise(status, "cannot start %s: %s", options.name, reason)
  end
  process.child, process.pid = child, child:pid()
  if input then
    task.spawn(options.name, write_all, input, require("moonrise.secret").reveal(options.stdin.text))
  end
  ends[child:id()] = launch.ended
  for _, stream in ipairs { "stdout", "stderr" } do -- what waits in both is read in this order
    local pipe = pipes[stream]
    if pipe and options[stream] == "capture" then
      process[stream] = pipe
    elseif pipe then
      process.relays[stream] = log.relay(pipe, options.log or options.name, stream, launch.tail or log.tail(),
        launch.output)
    end
  end
  return process
end

return M
