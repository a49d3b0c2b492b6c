--- The init's end of the control socket: requests of `moonrise status`, `eval`,
-- `repl` and the like, and their answers.
-- Each client has at most one request at a time. What may take long (all that runs
-- a client's code) is a task of its own, so clients neither wait for each other nor
-- hold up the boot; a client that goes takes its task with it.
-- @module moonrise.control
local control = require "sys.control"
local log = require "sys.log"
local task = require "moonrise.task"

local M = {}

local FAILED, USAGE, INTERRUPTED = 1, 64, 130
local DRAINED = "\1" -- the kind of frame with which sys.control says so
local PIECE = 64 * 1024

-- Stands for the task of a request that is answered at once.
local DIRECT = { abort = function() end }

local clients = {} -- connection -> Client

local Client = {}
Client.__index = Client

local function may_wait() return task.current() and coroutine.isyieldable() end

-- Output goes out only while its request runs: what a chunk has left behind (a
-- timer, say) has nobody to talk to. The writer waits for a slow reader.
function Client:write(kind, text)
  local run = self.run
  for from = 1, #text, PIECE do
    if not run or self.run ~= run then return end
    local waiting = control.send(self.connection, kind, text:sub(from, from + PIECE - 1))
    if waiting and waiting > control.HIGH_WATER and may_wait() then self.drained:wait() end
  end
end

function Client:finish(status)
  self.run = nil
  if status then
    control.send(self.connection, "X", string.char(status))
  else
    control.send(self.connection, "M")
  end
end

-- Requests ---------------------------------------------------------------------

local function session_of(client)
  client.session = client.session or require("moonrise.repl").session(require("moonrise.boot").globals,
    function(...)
      local parts = table.pack(...)
      for i = 1, parts.n do parts[i] = tostring(parts[i]) end
      client:write("O", table.concat(parts, "\t") .. "\n")
    end)
  return client.session
end

-- Run `f(client, ...)` as the client's request. It returns the exit status, or nil
-- when it wants more of the chunk first.
local function run_task(client, name, f, ...)
  local run = task.spawn(name, f, client, ...)
  client.run = run
  run.on_end = function(_, ok, result)
    if client.run ~= run then return end
    if ok then return client:finish(result) end
    client:write("E", require("moonrise.repl").explain(result) .. "\n")
    client:finish(FAILED)
  end
end

-- For other programs: a string as it is, nothing for nil.
local function show_plain(client, values)
  for i = 1, values.n do
    local value = values[i]
    if type(value) == "string" then
      client:write("O", value .. "\n")
    elseif value ~= nil then
      client:write("O", require("moonrise.pretty").value(value) .. "\n")
    end
  end
end

local function show_pretty(client, values)
  if values.n > 0 then client:write("O", require("moonrise.pretty").values(values) .. "\n") end
end

local function eval(client, text)
  local chunk, err = require("moonrise.repl").compile(text, "eval", session_of(client))
  if not chunk then
    client:write("E", err .. "\n")
    return FAILED
  end
  show_plain(client, table.pack(chunk()))
  return 0
end

local function repl(client, text)
  local chunk, err, is_incomplete = require("moonrise.repl").compile(text, "repl", session_of(client))
  if chunk then
    show_pretty(client, table.pack(chunk()))
    return 0
  end
  if is_incomplete then return nil end
  client:write("E", err .. "\n")
  return FAILED
end

-- The requests by word. Each gets the client and what follows the word.
local words = {}

function words.eval(client, text) run_task(client, "eval", eval, text) end
function words.repl(client, text) run_task(client, "repl", repl, text) end

local function tell_health(client, is_json, ok, reason)
  if is_json then
    client:write("O", require("moonrise.status").health_json(ok, reason))
  elseif not ok then
    client:write("E", reason .. "\n")
  end
  return ok and 0 or FAILED
end

-- The one that is asked every few seconds, for ever: without a task, if no service is asked.
function words.health(client, options)
  local status = require "moonrise.status"
  local is_live, is_json = options:find("--live", 1, true), options:find("--json", 1, true)
  local ok, reason = status.is_healthy(is_live)
  local asked = ok and not is_live and status.asked() or {}
  if #asked == 0 then return client:finish(tell_health(client, is_json, ok, reason)) end
  run_task(client, "health", function() return tell_health(client, is_json, status.ask(asked)) end)
end

-- All others.
local function run_word(client, name, text)
  local module = require "moonrise.words"
  local word = module.words[name]
  if not word then return false end
  run_task(client, name, function() return word(client, module.arguments(text)) end)
  return true
end

-- Frames -------------------------------------------------------------------------

-- By kind of frame.
local frames = {}

function frames.R(client, payload)
  local name, argument = payload:match("^([^\0]*)\0?(.*)$")
  client.run = DIRECT
  if words[name] then return words[name](client, argument) end
  if run_word(client, name, argument) then return end
  client:write("E", ("moonrise: this init does not know the request %s\n"):format(
    require("moonrise.pretty").quote(name:sub(1, 60))))
  client:finish(USAGE)
end

frames["?"] = function(client, left)
  local run
  run = task.spawn("complete", function()
    local stem, candidates = require("moonrise.complete").candidates(session_of(client),
      require("moonrise.boot").globals, left)
    return stem .. "\0" .. table.concat(candidates, "\0") .. (#candidates > 0 and "\0" or "")
  end)
  client.run = run
  run.on_end = function(_, ok, answer)
    if client.run ~= run then return end
    client.run = nil
    control.send(client.connection, "C", ok and answer or "")
  end
end

-- Not a polite cancel: a chunk that catches errors must not survive it.
local function abandon(client)
  local run = client.run
  client.run = nil
  if run then run:abort() end
  client.drained:broadcast()
end

-- Too late for a request that has just ended: then there is nothing to do.
function frames.I(client)
  if not client.run then return end
  client:write("E", "interrupted\n")
  abandon(client)
  client:finish(INTERRUPTED)
end

local function forget(client)
  clients[client.connection] = nil
  abandon(client)
end

local function known(connection)
  local client = clients[connection]
  if not client then
    client = setmetatable({ connection = connection, drained = task.condition() }, Client)
    clients[connection] = client
  end
  return client
end

local function dispatch(connection, kind, payload)
  local client = known(connection)
  if kind == "closed" then
    forget(client)
  elseif kind == DRAINED then
    client.drained:broadcast()
  elseif client.run and kind ~= "I" then
    error("it sent a request before the last one had ended", 0)
  else
    frames[kind](client, payload)
  end
end

--- What arrived from a client; called in the scheduler, which nothing that comes
-- from a client may bring down (a lack of memory, say).
-- @int connection
-- @string kind of frame, or "closed"
-- @string payload
function M.handle(connection, kind, payload)
  local ok, err = pcall(dispatch, connection, kind, payload)
  if ok then return end
  log.line("warning", ("a control client is turned away: %s"):format(err))
  control.close(connection)
  if clients[connection] then forget(clients[connection]) end
end

return M
