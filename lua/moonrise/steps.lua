--- What the boot does, step by step: kept for `moonrise plot`.
-- @module moonrise.steps
local loop = require "sys.loop"

local M = {}

local MOST = 200 -- enough for a picture

--- In the order of their beginning: kind, name, began, ended, failed.
M.list = {}

local Step = {}

-- `err` is what has raised its way out of the step.
function Step:__close(err) self.ended, self.failed = loop.now(), err ~= nil end

--- Take note of a step of the boot, for as long as the result is in scope:
-- `local _ <close> = steps.begin("run", "createdb")`. Nothing once the boot is done.
-- @string kind "run", "once" or "volume"
-- @string name
-- @return to-be-closed value, or nil
function M.begin(kind, name)
  if require("moonrise.boot").state ~= "booting" or #M.list == MOST then return nil end
  local step = setmetatable({ kind = kind, name = name, began = loop.now() }, Step)
  M.list[#M.list + 1] = step
  return step
end

return M
