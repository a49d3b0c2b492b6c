--- Another init takes the place of this one: a first boot, and then systemd, say.
-- What the script has started is stopped first, since nobody would look after it.
-- @module moonrise.handover
local proc = require "sys.proc"
local host = require "sys.host"
local boot = require "moonrise.boot"
local decline = require "moonrise.decline"
local fault = require "moonrise.fault"
local process = require "moonrise.process"
local sockets = require "moonrise.sockets"
local task = require "moonrise.task"

local M = {}

local OPTIONS = {
  argv = true,
  name = process.OPTIONS.name,
  sh = "string",
  env = process.OPTIONS.env,
  listen = { type = "string|integer|table", check = sockets.check },
}

local function stop_everything()
  local killer = task.after(boot.stop_timeout, decline.kill_all)
  local _ <close> = setmetatable({}, { __close = function() killer:cancel() end })
  if package.loaded["moonrise.job"] then require("moonrise.job").stop(boot.cancel_grace()) end
  decline.stop_all()
end

-- What the container was started with, at the same numbers, then what the script adds.
local function sockets_for(options)
  local passed = table.move(sockets.inherited(), 1, #sockets.inherited(), 1, {})
  local made = options.listen and sockets.open(options.listen, options.name) or {}
  return table.move(made, 1, #made, #passed + 1, passed)
end

local function plan(options, path)
  local launch, fds, env = { listen = sockets_for(options) }, {}, proc.environ()
  env.LISTEN_FDS, env.LISTEN_PID, env.LISTEN_FDNAMES = nil, nil, nil
  if launch.listen[1] then process.pass_listen(launch, env, fds) end
  process.add_environment(env, options)
  return {
    path = path, argv = table.move(options, 1, #options, 1, {}), env = process.environment_list(env), fds = fds,
    own_pid = launch.own_pid,
  }
end

--- See moonrise-boot(5).
-- @tparam table options argv; env, listen
-- @raise when the program can't be executed
function M.run(options)
  options = process.check("init.handover", options, OPTIONS)
  if host.mode ~= "boot" then require("moonrise.rehearse").handover(options) end
  if boot.state == "stopping" then
    fault.raise(fault.STATUS.script, "nothing can be handed over: everything is being stopped")
  end
  local path = process.find(options, os.getenv("PATH"))
  stop_everything()
  local _, reason = proc.exec(plan(options, path))
  boot.open_control() -- MOONRISE_HOLD=1 may want to look in
  fault.raise(fault.STATUS.not_executable, "cannot hand over to %s", reason)
end

return M
