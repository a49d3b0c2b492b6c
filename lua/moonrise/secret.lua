--- A value that does not show itself.
-- Printed, logged, formatted or looked into, a secret is "<secret>"; it does not
-- concatenate and is no argument, because the text made of it would be an
-- ordinary one. Who needs the value says so, with `secret:reveal()`. Templates
-- (fs.render) reveal by themselves: they are where secrets are meant to go.
-- @module moonrise.secret
local fault = require "moonrise.fault"

local M = {}

-- The values are kept apart from the objects: nothing that walks a table
-- finds one.
local values = setmetatable({}, { __mode = "k" })

local methods = {}

--- The text itself; from here on the script is responsible for it.
function methods:reveal() return values[self] end

local function refuse()
  fault.raise(fault.STATUS.script, "a secret does not become part of a text by itself; :reveal() gives its value")
end

local Secret = {
  __name = "secret",
  __index = methods,
  __newindex = refuse,
  __concat = refuse,
  __len = refuse,
  __tostring = function() return "<secret>" end,
  __eq = function(a, b) return values[a] == values[b] end,
}

--- Wrap a value.
function M.new(value)
  local secret = setmetatable({}, Secret)
  values[secret] = value
  return secret
end

function M.is(value) return getmetatable(value) == Secret end

--- The value of a secret; anything else as it is.
function M.reveal(value)
  if M.is(value) then return values[value] end
  return value
end

return M
