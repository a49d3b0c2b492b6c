--- D-Bus, by way of moonrise-bus: PID 1 itself speaks none. That program is started
-- when somebody wants to know something, started again when it dies, and ends when
-- nobody wants to know anything any more. core/bus/talk.h has what is said to it.
-- @module moonrise.bus
local host = require "sys.host"
local log = require "sys.log"
local loop = require "sys.loop"
local net = require "sys.net"
local proc = require "sys.proc"
local fault = require "moonrise.fault"
local process = require "moonrise.process"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS
local NAME = "moonrise-bus"
local FIRST_DELAY, LAST_DELAY = 0.1, 5 -- seconds until it is started again
local LONG = 10 -- seconds after which its end was no failed start
local MESSAGE_MAX = 4096
local EAGAIN = 11

-- Addresses ------------------------------------------------------------------------------

local function path_address(path)
  return "unix:path=" .. path:gsub("[^%w_/.*-]", function(char) return ("%%%02x"):format(char:byte()) end)
end

local function session_address(word)
  local env = proc.environ()
  if env.DBUS_SESSION_BUS_ADDRESS then return env.DBUS_SESSION_BUS_ADDRESS end
  if env.XDG_RUNTIME_DIR then return path_address(env.XDG_RUNTIME_DIR .. "/bus") end
  return fault.raise(STATUS.script, "%s: neither $DBUS_SESSION_BUS_ADDRESS nor $XDG_RUNTIME_DIR says where the "
    .. "session bus is; give its address", word)
end

--- Where a bus is.
-- @string bus "system", "session", a path or an address
-- @string word of the script, for messages
-- @treturn string its address
-- @treturn string the same for messages: a path, where it has one
function M.address(bus, word)
  local address = bus
  if bus == "system" then
    address = proc.environ().DBUS_SYSTEM_BUS_ADDRESS or path_address("/run/dbus/system_bus_socket")
  elseif bus == "session" then
    address = session_address(word)
  elseif bus:find("^/") then
    address = path_address(bus)
  elseif not bus:find("^%l[%l%d-]*:%g*=") then
    fault.raise(STATUS.script, "'bus' of %s is \"%s\"; it takes \"system\", \"session\", a path or an address "
      .. "such as \"unix:path=/run/bus\"", word, bus)
  end
  return address, address:match("^unix:path=([^,;%%]+)$") or address
end

-- The program ----------------------------------------------------------------------------

--- Where moonrise-bus is: beside moonrise itself, in libexec/moonrise beside that folder
-- or in /usr, or in $PATH.
-- @string word that needs it
-- @treturn string path
-- @raise when an image has none
function M.program(word)
  local folder = (host.program() or ""):match("^(.*)/[^/]*$") or ""
  local path = proc.find(NAME, ("%s:%s/../libexec/moonrise:/usr/libexec/moonrise:%s"):format(folder, folder,
    proc.environ().PATH or ""))
  return path or fault.raise(STATUS.script, "%s needs the program %s, which is neither beside moonrise in %s nor in "
    .. "/usr/libexec/moonrise nor in $PATH", word, NAME, folder)
end

local watches, count, last_id = {}, 0, 0 -- those that want to know something, by id
local running -- { fd =, queue =, started =, has_greeted =, reader = }
local retry, delay = nil, FIRST_DELAY

local function tell(watch, state, value)
  watch.state, watch.value = state, value
  watch.changed:broadcast(true)
end

local function tell_all(state, value)
  for _, watch in pairs(watches) do tell(watch, state, value) end
end

-- What does not fit now goes out after the next answer, and there is one to each request.
local function flush(self)
  while self.queue[1] and self.fd:write(self.queue[1]) do table.remove(self.queue, 1) end
end

local function say(self, ...)
  table.insert(self.queue, table.concat({ ... }, "\0"))
  flush(self)
end

local answers = {
  hello = function() running.has_greeted = true end,
}

local function answer_by(state)
  answers[state] = function(id, value)
    local watch = watches[tonumber(id)]
    if watch then tell(watch, state, value or "") end
  end
end
for _, state in ipairs { "bus", "nobody", "owner" } do answer_by(state) end

function answers.forgotten() end

local function hear(message)
  local words = {}
  for word in message:gmatch("[^\0]*") do words[#words + 1] = word end
  local answer = answers[words[1]]
  if not answer then return log.line("debug", ("%s says what nobody understands: %q"):format(NAME, words[1])) end
  answer(table.unpack(words, 2))
end

local function keep_hearing(self)
  while true do
    local message, _, errno = self.fd:read(MESSAGE_MAX)
    if message and message ~= "" then
      hear(message)
      flush(self)
    elseif errno == EAGAIN then
      task.readable(self.fd)
    else
      return self.process.child:kill("KILL") -- it has closed its end, and is no use any more
    end
  end
end

local function let_go(self)
  running = nil
  self.reader:cancel()
  self.fd:close()
end

local start

-- One that could not even say hello, because there is no libsystemd perhaps, never will.
local function ended(self, how, number)
  if self ~= running then return end
  let_go(self)
  local what = how == "exited" and "exit status " .. number or "signal " .. select(2, proc.signal(number))
  if how == "exited" and not self.has_greeted then
    return tell_all("broken", ("%s does not work: it ended with %s"):format(NAME, what))
  end
  log.line("warning", ("%s ended with %s and is started again"):format(NAME, what))
  tell_all("gone", ("%s has ended with %s"):format(NAME, what))
  delay = loop.now() - self.started > LONG and FIRST_DELAY or math.min(2 * delay, LAST_DELAY)
  retry = task.after(delay, start)
end

local function spawn(self)
  local ours, theirs = net.pair()
  if not ours then fault.raise(STATUS.script, "cannot start %s: %s", NAME, theirs) end
  local _ <close> = theirs
  self.fd = ours
  local options = process.check(NAME, { M.program(NAME), name = NAME }, process.OPTIONS)
  self.process = process.spawn(options, {
    fds = { [0] = theirs },
    ended = function(how, number) ended(self, how, number) end,
  })
end

function start()
  local self = { queue = {}, started = loop.now() }
  retry = nil
  local ok, err = pcall(spawn, self)
  if not ok then return tell_all("broken", fault.is_fault(err) and err.message or tostring(err)) end
  running = self
  self.reader = task.spawn(NAME, keep_hearing, self)
  for id, watch in pairs(watches) do say(self, "watch", tostring(id), watch.address, watch.name) end
end

-- Watches ----------------------------------------------------------------------------------

local Watch = {}
Watch.__index = Watch

--- Watch who owns a name.
-- @string address of the bus
-- @string name
-- @treturn table watch with `state` and `value`, and `changed`, which is broadcast when
--   these are new: "owner" and its pid, "0" if unknown; "nobody"; "bus", and why it can't be
--   reached; "gone" and "broken", and what has become of moonrise-bus
function M.watch(address, name)
  last_id = last_id + 1
  local watch = setmetatable({ id = last_id, address = address, name = name, changed = task.condition() }, Watch)
  watches[watch.id], count = watch, count + 1
  if running then
    say(running, "watch", tostring(watch.id), address, name)
  elseif not retry then
    start()
  end
  return watch
end

--- Nobody wants to know it any more.
function Watch:close()
  if watches[self.id] ~= self then return end
  watches[self.id], count = nil, count - 1
  if running and count > 0 then return say(running, "forget", tostring(self.id)) end
  if running then let_go(running) end -- without its socket it ends
  if retry and count == 0 then
    retry:cancel()
    retry = nil
  end
end

return M
