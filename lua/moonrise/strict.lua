--- Tables in which a misspelt name is an error and not silence.
-- Loaded at every boot: what is needed only to explain a mistake is required
-- when there is one.
-- @module moonrise.strict
local fault = require "moonrise.fault"

local M = {}

local function refuse(format, ...)
  fault.raise(fault.STATUS.script, format, ...)
end

local function with_article(kind) return (kind:find("^[aeiou]") and "an " or "a ") .. kind end

-- How a value is called in a message: "a string", "a secret", "an integer".
local function describe(value)
  local kind = math.type(value) or type(value)
  local meta = debug.getmetatable(value)
  if kind == "table" or kind == "userdata" then kind = meta and meta.__name or kind end
  return kind == "nil" and kind or with_article(kind)
end

M.describe = describe

--- A value in a message: a text in quotes, a number or a boolean as it is, of anything
-- else (a secret among them) what it is.
function M.show(value)
  local kind = type(value)
  if kind == "string" then return require("moonrise.pretty").quote(value) end
  return (kind == "number" or kind == "boolean") and tostring(value) or describe(value)
end

-- "string|integer" -> "a string or an integer"
local function in_words(types)
  local words = {}
  for name in types:gmatch("[^|]+") do
    words[#words + 1] = name == "boolean" and "true or false" or with_article(name)
  end
  return table.concat(words, " or ")
end

-- "string|integer" -> { string = true, integer = true }: the same few are asked for
-- again and again.
local sets = setmetatable({}, { __index = function(sets, types)
  local set = {}
  for name in types:gmatch("[^|]+") do set[name] = true end
  sets[types] = set
  return set
end })

-- "string|integer|secret": is the value of one of these types?
local function has_type(value, types)
  local kind = type(value)
  if kind == types then return true end
  local set, number = sets[types], math.type(value)
  if set[kind] or set.any or number and set[number] then return true end
  local class = kind == "table" and (getmetatable(value) or {}).__name
  return class and set[class] or false
end

-- argv: strings without NUL, or integers, which become strings.
local function argument(what, index, value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if type(value) ~= "string" then
    refuse("argument %d of %s is %s; it takes a string or an integer", index, what, describe(value))
  elseif value:find("\0", 1, true) then
    refuse("argument %d of %s has a NUL byte in it", index, what)
  end
  return value
end

local function copy_argv(what, options, result, count)
  for index = 1, count do
    local value = options[index]
    if value == nil then
      refuse("argument %d of %s is nil: the list of arguments has a hole", index, what)
    end
    result[index] = argument(what, index, value)
  end
end

local function unknown(what, key, spec)
  if type(key) ~= "string" then
    refuse("%s has [%s] = ...: %s", what, tostring(key),
      spec.argv and "neither an option nor an argument" or "its options have names")
  end
  local names = {}
  for name, rule in next, spec do
    if rule ~= true then names[name] = true end -- argv = true is no option
  end
  refuse("unknown option '%s' of %s%s", key, what, require("moonrise.nearest").hint(key, names))
end

local function value_of(what, key, value, rule)
  local types = type(rule) == "string" and rule or rule.type
  if types and not has_type(value, types) then
    refuse("'%s' of %s is %s; it takes %s", key, what, describe(value), rule.takes or in_words(types))
  end
  if type(rule) == "table" and rule.check then
    local changed = rule.check(value, ("'%s' of %s"):format(key, what))
    if changed ~= nil then return changed end
  end
  return value
end

--- Check a path that a script gave.
-- @param path
-- @string word "fs.read"
-- @treturn string path
function M.path(path, word)
  if type(path) ~= "string" or path == "" or path:find("\0", 1, true) then
    refuse("%s takes a path, not %s", word, M.show(path))
  end
  return path
end

--- A rule for a list, in which each is of one of the types.
-- @string types
-- @string takes what is right, for messages
function M.list(types, takes)
  return { type = "table", takes = takes, check = function(list, what)
    local count = 0
    for key, value in next, list do
      if math.type(key) ~= "integer" then
        refuse("%s has [%s] = ...; it takes %s", what, M.show(key), takes)
      elseif not has_type(value, types) then
        refuse("%s has %s in it; it takes %s", what, M.show(value), takes)
      end
      count = count + 1
    end
    if count ~= #list then refuse("%s has a hole; it takes %s", what, takes) end
  end }
end

--- A check for numbers from `least` on, up to `most` if there is one.
function M.between(least, most)
  return function(value, what)
    if value >= least and (not most or value <= most) then return end
    refuse("%s is %s; it takes %s", what, value, most and ("%d to %d"):format(least, most) or least .. " or more")
  end
end

--- A check for patterns of Lua.
function M.pattern(pattern, what)
  local ok, why = pcall(string.find, "", pattern)
  if not ok then refuse("%s is %s: %s", what, M.show(pattern), why) end
end

-- Of each spec the rules that say something about an option which is not given.
local completing = setmetatable({}, { __mode = "k", __index = function(all, spec)
  local rules = {}
  for key, rule in next, spec do
    if type(rule) == "table" and (rule.required or rule.default ~= nil) then rules[key] = rule end
  end
  all[spec] = rules
  return rules
end })

--- Check a table of options; raises at the script's line.
-- @string what whose options they are: "start", "fs.volume"
-- @tparam table options is not changed
-- @tparam table spec what is allowed:
--   NAME = "types" or NAME = { type = "string|number", default =, required =, takes =, check = },
--   argv = true when the array part is a list of arguments, which come back as strings.
--   `check(value, "'NAME' of WHAT")` raises, or returns another value to use, or nil to leave it.
--   `takes` is what the message says instead of the types.
-- @treturn table a copy, with defaults and converted values
function M.check(what, options, spec)
  if type(options) ~= "table" or getmetatable(options) then
    refuse("%s takes a table of options, not %s", what, describe(options))
  end
  local result, count = {}, 0
  for key, value in next, options do
    local rule = key ~= "argv" and spec[key]
    if rule then
      result[key] = value_of(what, key, value, rule)
    elseif spec.argv and math.type(key) == "integer" and key > 0 then
      count = math.max(count, key)
    else
      unknown(what, key, spec)
    end
  end
  if count > 0 then copy_argv(what, options, result, count) end
  for key, rule in next, completing[spec] do
    if result[key] == nil then
      if rule.required then refuse("%s needs '%s'", what, key) end
      result[key] = rule.default
    end
  end
  return result
end

--- Make a misspelt word of a module an error that names the nearest one.
-- @tparam table module
-- @string name
-- @treturn table module
function M.words(module, name)
  return setmetatable(module, { __index = function(_, key)
    refuse("%s has no word '%s'%s", name, tostring(key), require("moonrise.nearest").hint(tostring(key), module))
  end })
end

--- A view of a table that can't be written, and in which reading an unknown
-- name is an error. `pairs` works.
-- @tparam table values
-- @string what how one entry is called: "setting"
-- @tparam[opt=values] table known its keys may be read; some may be nil in `values`
function M.readonly(values, what, known)
  known = known or values
  return setmetatable({}, {
    __index = function(_, key)
      local value = values[key]
      if value == nil and known[key] == nil then
        refuse("unknown %s '%s'%s", what, tostring(key), require("moonrise.nearest").hint(tostring(key), known))
      end
      return value
    end,
    __newindex = function(_, key)
      refuse("%s '%s' can't be changed", what, tostring(key))
    end,
    __pairs = function()
      return next, values, nil
    end,
  })
end

return M
