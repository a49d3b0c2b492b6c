--- Tasks: coroutines over the loop.
-- Everything that waits parks its task; the scheduler runs what is ready, then
-- asks the loop for events, and these wake tasks. A task that spins is preempted
-- by the host and queued again like any other, so the loop is always served.
-- A script's own coroutines may wait too: what a wait yields is passed outwards
-- by the resume and wrap given here.
-- @module moonrise.task
local loop = require "sys.loop"
local host = require "sys.host"

local M = {}

local WAIT = {} -- yielded outwards by a wait
local PREEMPTED = {} -- yielded outwards when a coroutine inside a task was preempted
local CANCELLED = setmetatable({}, { __tostring = function() return "cancelled" end })

local yield, isyieldable = coroutine.yield, coroutine.isyieldable
local pack, unpack = table.pack, table.unpack

local current -- the running task
local queue, head, tail = {}, 1, 0 -- tasks that can go on
local watched = {} -- token of sys.loop.watch -> task

-- Timers ---------------------------------------------------------------------

local heap, dead = {}, 0 -- binary heap by time; cancelled ones stay till they surface

local function swap(i, j) heap[i], heap[j] = heap[j], heap[i] end

local function sift_up(i)
  while i > 1 and heap[i].when < heap[i // 2].when do
    swap(i, i // 2)
    i = i // 2
  end
end

local function sift_down(i)
  while true do
    local least = i
    for child = 2 * i, 2 * i + 1 do
      if heap[child] and heap[child].when < heap[least].when then least = child end
    end
    if least == i then return end
    swap(i, least)
    i = least
  end
end

local function heap_pop()
  local top = heap[1]
  heap[1] = heap[#heap]
  heap[#heap] = nil
  sift_down(1)
  return top
end

-- Restarts and probes cancel most of their timers long before they are due;
-- without this the heap would hold them all.
local function heap_compact()
  if dead < 64 or dead * 2 < #heap then return end
  local alive = {}
  for _, timer in ipairs(heap) do
    if timer.f then alive[#alive + 1] = timer end
  end
  heap, dead = alive, 0
  for i = #heap // 2, 1, -1 do sift_down(i) end
end

local Timer = {}
Timer.__index = Timer

--- The timer does not fire any more. Fine to call again, or when it has fired.
function Timer:cancel()
  if not self.f then return end
  self.f = nil
  dead = dead + 1
  heap_compact()
end

--- Call `f` in the scheduler, where it must not wait, at a time of loop.now().
-- @number when seconds
-- @func f
-- @return timer with :cancel()
function M.at(when, f)
  local timer = setmetatable({ when = when, f = f }, Timer)
  heap[#heap + 1] = timer
  sift_up(#heap)
  return timer
end

--- As `at`, `seconds` from now.
function M.after(seconds, f) return M.at(loop.now() + seconds, f) end

-- Seconds until the next timer, nil when there is none.
local function run_timers()
  while heap[1] do
    local timer = heap[1]
    if timer.f and timer.when > loop.now() then return timer.when - loop.now() end
    heap_pop()
    local f = timer.f
    timer.f = nil
    if f then
      f()
    else
      dead = dead - 1
    end
  end
end

-- Tasks ----------------------------------------------------------------------

local Task = {}
Task.__index = Task

local function make_ready(task, ...)
  task.parked = false
  task.values = pack(...)
  tail = tail + 1
  queue[tail] = task
end

-- Let a task go on from the wait that has this ticket; park() returns the values.
-- A ticket is good once: a wake that comes too late does nothing. One that comes
-- early, because the task was preempted on its way into the wait, is kept.
local function wake(task, ticket, ...)
  if task.ticket ~= ticket then return end
  task.ticket = ticket + 1
  if task.parked then
    make_ready(task, ...)
  else
    task.woken = pack(...)
  end
end

local function leave_wait(task, why)
  task.ticket, task.woken, task.cancelling = task.ticket + 1, nil, false
  error(why, 0)
end

-- Suspend the running task until wake() or `deadline` (loop.now()); then it
-- returns nil, "timeout".
local function park(deadline)
  local task = current
  if not task then error("nothing can wait here: this code runs outside every task", 3) end
  if not isyieldable() then
    error("nothing can wait here: inside the callback of a sort, a gsub or a finalizer", 3)
  end
  if task.cancelling then leave_wait(task, CANCELLED) end
  local ticket = task.ticket
  local _ <close> = deadline and M.at(deadline, function() wake(task, ticket, nil, "timeout") end)
  return (function(...)
    if task.cancelling then leave_wait(task, CANCELLED) end
    return ...
  end)(yield(WAIT))
end
Timer.__close = Timer.cancel

-- The handler of a task's errors: an error object with a traceback, whatever was
-- raised.
local function describe_error(err)
  local fault = require "moonrise.fault"
  if err == CANCELLED then return err end
  err = fault.of(err)
  err.traceback = err.traceback or fault.traceback(2)
  return err
end

local function finish(task, ok, ...)
  task.done, task.ok, task.results = true, ok, pack(...)
  task.ended:broadcast()
  if task.on_end then task.on_end(task, ok, ...) end
end

local function step(task)
  local values = task.values
  task.values = nil
  current = task
  local result = pack(host.resume(task.co, unpack(values, 1, values.n)))
  current = nil
  local status = result[1]
  if status == "done" then
    finish(task, unpack(result, 2, result.n))
  elseif status == "error" then -- not even the task's own xpcall could catch it
    finish(task, false, describe_error(result[2]))
  elseif status == "preempted" or result[2] == PREEMPTED then
    task.preempted = true
    make_ready(task)
  elseif result[2] ~= WAIT then -- a bare coroutine.yield(): let the others run
    make_ready(task)
  elseif task.woken then
    local woken = task.woken
    task.woken = nil
    make_ready(task, unpack(woken, 1, woken.n))
  else
    task.parked = true
  end
end

--- Run `f` side by side with the caller.
-- @string name for messages
-- @func f
-- @param ... its arguments
-- @return task
function M.spawn(name, f, ...)
  local task = setmetatable({ name = name, ticket = 0, ended = M.condition() }, Task)
  task.co = coroutine.create(function(...) return xpcall(f, describe_error, ...) end)
  make_ready(task, ...)
  return task
end

--- The running task, nil in the scheduler.
function M.current() return current end

--- Wait for its end: true and what it returned, or false and its error.
-- @number[opt] timeout seconds; then nil, "timeout"
function Task:wait(timeout)
  local deadline = timeout and loop.now() + timeout
  while not self.done do
    local _, why = self.ended:wait(deadline and deadline - loop.now())
    if why == "timeout" and not self.done then return nil, why end
  end
  return self.ok, unpack(self.results, 1, self.results.n)
end

--- End it: its next wait (or the present one) raises, its to-be-closed variables
-- run. One that is busy, not waiting, is closed where it stands.
function Task:cancel()
  if self.done or self == current then return end
  self.cancelling = true
  if self.parked then
    wake(self, self.ticket)
  elseif self.preempted then
    self.closing = true
  end
end

--- End it without asking: it is closed where it stands, so no pcall can catch it;
-- its to-be-closed variables run, but can't wait.
function Task:abort()
  if self.done or self == current then return end
  self.closing = true
  if self.parked then wake(self, self.ticket) end
end

local function close(task)
  local ok, err = host.close(task.co)
  finish(task, false, ok and CANCELLED or describe_error(err))
end

function M.is_cancelled(err) return err == CANCELLED end

-- Conditions -----------------------------------------------------------------

local Condition = {}
Condition.__index = Condition

--- Something that tasks wait for: c:wait(timeout), c:broadcast(...).
function M.condition() return setmetatable({ waiting = {} }, Condition) end

--- Wait for the next broadcast: its values, or nil, "timeout".
function Condition:wait(timeout)
  local task = current
  local _ <close> = setmetatable({}, { __close = function() self.waiting[task] = nil end })
  if task then self.waiting[task] = task.ticket end
  return park(timeout and loop.now() + timeout)
end

function Condition:broadcast(...)
  local waiting = self.waiting
  if not next(waiting) then return end
  self.waiting = {}
  for task, ticket in pairs(waiting) do wake(task, ticket, ...) end
end

-- Waits ----------------------------------------------------------------------

--- Suspend the running task.
-- @number seconds
function M.sleep(seconds) park(loop.now() + seconds) end

--- Let the others run.
function M.yield()
  wake(current, current.ticket)
  yield(WAIT)
end

local function wait_for(mode)
  return function(fd, timeout)
    local task, token = current, loop.watch(fd, mode)
    watched[token] = { task = task, ticket = task.ticket }
    local _ <close> = setmetatable({}, {
      __close = function()
        watched[token] = nil
        loop.unwatch(token)
      end,
    })
    local ready, why = park(timeout and loop.now() + timeout)
    return ready or false, why
  end
end

--- Wait until a descriptor can be read (or written): what is ready ("r", "w",
-- "rw"), or false, "timeout".
M.readable = wait_for("r")
M.writable = wait_for("w")
--- Wait until the other end is closed.
M.hung_up = wait_for("hup")

--- Call f with a time limit: as pcall, or nil, "timeout" with f cancelled.
function M.timeout(seconds, f, ...)
  local task <close> = M.spawn("timeout", f, ...)
  return task:wait(seconds)
end
Task.__close = Task.cancel

-- A script's own coroutines ---------------------------------------------------

local function pass_on(co, status, ...)
  if status == "preempted" then
    yield(PREEMPTED)
    return pass_on(co, host.raw_resume(co))
  elseif status == "yield" and (... == WAIT or ... == PREEMPTED) then
    return pass_on(co, host.raw_resume(co, yield((...))))
  elseif status == "error" then
    return false, ...
  end
  return true, ...
end

--- coroutine.resume for scripts: a wait inside `co` suspends the whole task.
function M.resume(co, ...) return pass_on(co, host.raw_resume(co, ...)) end

local function raise_unless(co, ok, ...)
  if ok then return ... end
  host.close(co)
  error(..., 0)
end

--- coroutine.wrap for scripts.
function M.wrap(f)
  local co = coroutine.create(f)
  return function(...) return raise_unless(co, M.resume(co, ...)) end
end

-- The scheduler ----------------------------------------------------------------

--- Event kind of sys.loop.next -> function; it must not wait.
M.on_event = {
  ready = function(token, what)
    local waiter = watched[token]
    if waiter then wake(waiter.task, waiter.ticket, what) end
  end,
}

local function run_queue()
  local last = tail -- those queued meanwhile have their turn after the events
  while head <= last do
    local task = queue[head]
    queue[head] = nil
    head = head + 1
    if task.closing then
      close(task)
    elseif not task.done then
      task.parked, task.preempted = false, false
      step(task)
    end
  end
end

local function dispatch(kind, ...)
  if not kind then return false end
  local handler = M.on_event[kind]
  if handler then handler(...) end
  return true
end

--- Run tasks and events until `is_over()`; the process waits in here and nowhere
-- else.
function M.run(is_over)
  while true do
    run_queue()
    local until_timer = run_timers()
    if is_over() then return end
    loop.wait(head <= tail and 0 or until_timer)
    while dispatch(loop.next()) do end
  end
end

return M
