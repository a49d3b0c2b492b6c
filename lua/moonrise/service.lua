--- The life of a service, as one table: state x event -> next state and what to do.
-- Pure: nothing here starts or waits for anything. moonrise.supervisor feeds in the
-- events and carries out the actions; a test does so with a recorder.
--
-- A service waits for what it comes after, starts, is ready once its probe says so,
-- and may reload. It stops when it is told to, fails when it can't start or ends
-- against its will, and with a restart policy goes through backoff to start again.
-- @module moonrise.service
local M = {}

--- All states.
M.STATES = { "waiting", "starting", "ready", "reloading", "stopping", "stopped", "failed", "backoff" }

--- All events, and what they mean.
M.EVENTS = {
  start = "somebody wants it to run",
  free = "everything it comes after is ready",
  listening = "the same, but it is not to start before somebody connects",
  blocked = "something it requires has failed",
  broken = "it could not be started",
  ready = "its readiness probe has succeeded",
  late = "start_timeout is over",
  ended = "its process ended, and that is the end of it",
  again = "its process ended, and it is to be started again",
  idle = "its process ended well, and the next connection starts it again",
  done = "its process ended well, and that was all it had to do",
  condemned = "its process ended after it had been given up",
  hung = "it has not kept its watchdog alive",
  due = "the delay before the next try is over",
  reload = "somebody wants it to read its configuration again",
  reloading = "it says that it reads its configuration again",
  reloaded = "it has",
  leaving = "it says that it is about to end",
  stop = "somebody wants it to stop",
  overdue = "the grace time for stopping is over",
}

-- Each cell: the next state, then actions in order. An empty cell: the event means
-- nothing there.
local STOP = { "stopping", "terminate" }
local GIVE_UP = { "stopping", "condemn", "terminate" }
local ABORT = { "stopping", "abort" }
local LET_GO = { "stopping", "leave" }

M.TABLE = {
  stopped = {
    start = { "waiting", "enter" },
  },
  waiting = {
    free = { "starting", "spawn" },
    listening = { "waiting", "listen" },
    broken = { "failed", "report" },
    blocked = { "failed", "report" },
    late = { "failed", "report" },
    stop = { "stopped" },
  },
  starting = {
    ready = { "ready" },
    broken = { "failed", "report" },
    ended = { "failed", "report" },
    again = { "backoff", "delay" },
    idle = { "waiting", "listen" },
    done = { "stopped" },
    late = GIVE_UP,
    blocked = GIVE_UP,
    leaving = LET_GO,
    hung = ABORT,
    stop = STOP,
  },
  ready = {
    ended = { "failed", "report" },
    again = { "backoff", "delay" },
    idle = { "waiting", "listen" },
    done = { "stopped" },
    reload = { "reloading", "reload" },
    reloading = { "reloading" },
    blocked = GIVE_UP,
    leaving = LET_GO,
    hung = ABORT,
    stop = STOP,
  },
  reloading = {
    reloaded = { "ready" },
    ready = { "ready" },
    ended = { "failed", "report" },
    again = { "backoff", "delay" },
    idle = { "waiting", "listen" },
    done = { "stopped" },
    blocked = GIVE_UP,
    leaving = LET_GO,
    hung = ABORT,
    stop = STOP,
  },
  backoff = {
    due = { "starting", "spawn" },
    start = { "starting", "spawn" },
    late = { "failed", "report" },
    blocked = { "failed", "report" },
    stop = { "stopped" },
  },
  stopping = {
    ended = { "stopped" },
    again = { "backoff", "delay" },
    idle = { "waiting", "listen" },
    condemned = { "failed", "report" },
    overdue = { "stopping", "kill" },
  },
  failed = {
    start = { "waiting", "enter" },
  },
}

--- The cell for an event in a state.
-- @string state
-- @string event
-- @treturn string|nil next state; nil: the event means nothing in this state
-- @treturn table the cell: actions stand from 2 on
function M.next(state, event)
  local cell = M.TABLE[state][event]
  if cell then return cell[1], cell end
end

--- Does a restart policy start it again?
-- @string policy "no", "on-failure", "always"
-- @bool failed it ended with a signal or a status other than 0
function M.is_restarted(policy, failed)
  return policy == "always" or policy == "on-failure" and failed
end

--- Seconds before the next try.
-- @tparam table|nil backoff { first, factor, max, jitter }: seconds, but for the
--   factor and the jitter, a fraction of the delay that chance takes away; nil: none
-- @int tries how many came before it without success
function M.delay(backoff, tries)
  if not backoff then return 0 end
  local delay = math.min(backoff.first * backoff.factor ^ tries, backoff.max)
  return delay * (1 - (backoff.jitter or 0) * math.random())
end

return M
