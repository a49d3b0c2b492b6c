--- Chunks of Lua from a client: what they see, how they are read.
-- A session is the script's world with a few names in front of it. What a chunk
-- sets stays in the session, except for globals that the script has: these are the
-- script's own, and change.
-- @module moonrise.repl
local M = {}

-- Not a name that a chunk could write by accident.
local KEEP = "keep the locals"

-- What is at hand without a require.
local MODULES = {
  init = "moonrise",
  env = "moonrise.env",
  fs = "moonrise.fs",
  probe = "moonrise.probe",
}

local function settings()
  local result = {}
  for _, entry in ipairs(require("moonrise.env").declared()) do result[entry.name] = entry.value end
  return require("moonrise.strict").readonly(result, "setting")
end

local function services()
  return require("moonrise.strict").readonly(require("moonrise.supervisor").by_name, "service")
end

-- Made when they are first asked for.
local SPECIALS = { settings = settings, services = services }

--- Every name that a session has beyond the script's own.
function M.special_names()
  local names = {}
  for name in pairs(MODULES) do names[#names + 1] = name end
  for name in pairs(SPECIALS) do names[#names + 1] = name end
  return names
end

-- A chunk calls this at its end: its locals outlive it as globals of the session.
local function keep_locals(session)
  return function()
    for index = 1, 200 do
      local name, value = debug.getlocal(2, index)
      if not name then return end
      if not name:find("^%(") then rawset(session, name, value) end
    end
  end
end

--- The world of a client's chunks.
-- @tparam table globals the script's; its own are read with rawget
-- @func print
function M.session(globals, print)
  local session = { print = print }
  local function index(_, key)
    local value = rawget(globals, key)
    if value ~= nil then return value end
    if SPECIALS[key] then return SPECIALS[key]() end
    if MODULES[key] then return require(MODULES[key]) end
    return _G[key]
  end
  local function newindex(_, key, value)
    if rawget(globals, key) ~= nil then
      globals[key] = value
    else
      rawset(session, key, value)
    end
  end
  session[KEEP] = keep_locals(session)
  return setmetatable(session, { __index = index, __newindex = newindex })
end

--- Is it a name that a session hides?
function M.is_hidden(name) return name == KEEP end

-- No further line can end a 'string.
local function is_cut_short(err)
  return err:find("<eof>$") ~= nil and not err:find("unfinished string", 1, true)
end

--- Read a chunk: an expression, else statements.
-- @string text
-- @string name for messages
-- @tparam table session
-- @treturn function|nil
-- @treturn string what is wrong, if something is
-- @treturn bool only its end is missing
function M.compile(text, name, session)
  local chunk, err, chunk_err
  chunk, err = load("return " .. text, "=" .. name, "t", session)
  if chunk then return chunk end
  chunk, chunk_err = load(text, "=" .. name, "t", session)
  if not chunk then
    if is_cut_short(err) then return nil, err, true end -- the beginning of an expression: "1 +"
    return nil, chunk_err, is_cut_short(chunk_err)
  end
  -- A chunk that ends in a return can't keep its locals, and does not need to.
  return load(('%s\n;_ENV["%s"]()'):format(text, KEEP), "=" .. name, "t", session) or chunk
end

local function describe(err)
  local lines = {}
  for line in (err.traceback or ""):gmatch("[^\n]+") do
    if not line:find("^%s*moonrise/") then lines[#lines + 1] = line end
  end
  return #lines > 1 and tostring(err) .. "\n" .. table.concat(lines, "\n") or tostring(err)
end

--- What went wrong, with the lines of the traceback that are the user's.
-- @param err the error of a task
-- @treturn string
function M.explain(err)
  local ok, text = pcall(describe, err)
  return ok and text or "an error that does not print"
end

return M
