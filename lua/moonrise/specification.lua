--- What a boot script may say about a setting, checked.
-- A mistake in here is the script's (exit status 70), found before any setting
-- is read.
-- @module moonrise.specification
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local types = require "moonrise.types"

local M = {}

local COMMON = {
  type = { type = "string", default = "string" },
  doc = "string",
  example = "string",
}
local TOP = {
  default = "string|number|boolean|table",
  optional = { type = "boolean", default = false },
  check = "function",
}

local function options_of(kind, is_item)
  local options = {}
  for _, part in ipairs { COMMON, is_item and {} or TOP, kind.options } do
    for name, rule in pairs(part) do options[name] = rule end
  end
  return options
end

local function wrong(format, ...)
  fault.raise(fault.STATUS.script, format, ...)
end

local VALUES = strict.list("string", 'a list of texts: { "on", "off" }')

local function check_values(what, values)
  if not values or #values == 0 then wrong("%s needs 'values', %s", what, VALUES.takes) end
  VALUES.check(values, "'values' of " .. what)
end

local function check_limits(what, kind, setting)
  for _, name in ipairs { "min", "max" } do
    if kind.limit and setting[name] then kind.limit(setting[name], ("'%s' of %s"):format(name, what)) end
  end
  local limit = kind.limit or function(value) return value end
  if setting.min and setting.max and limit(setting.min) > limit(setting.max) then
    wrong("'min' of %s is more than its 'max'", what)
  end
end

local check_setting

local function check_list(what, setting)
  local item = setting.of or "string"
  setting.of = check_setting("'of' of " .. what, type(item) == "string" and { type = item } or item, true)
  if setting.of.type == "list" or setting.of.type == "secret" then
    wrong("%s can't be a list of type '%s'", what, setting.of.type)
  end
  setting.separator = setting.separator or ","
  if setting.separator == "" then wrong("'separator' of %s is empty", what) end
end

function check_setting(what, options, is_item)
  if type(options) ~= "table" then wrong("%s is %s; it takes a table", what, strict.describe(options)) end
  local kind = types.TYPES[options.type == nil and "string" or options.type]
  if not kind then
    local hint = require("moonrise.nearest").hint(tostring(options.type), types.TYPES)
    wrong("%s has the unknown type '%s'%s", what, tostring(options.type), hint)
  end
  local setting = strict.check(what, options, options_of(kind, is_item))
  setting.min, setting.max = setting.min or kind.min, setting.max or kind.max
  check_limits(what, kind, setting)
  if setting.type == "enum" then check_values(what, setting.values) end
  if setting.type == "list" then check_list(what, setting) end
  if setting.pattern then strict.pattern(setting.pattern, "'pattern' of " .. what) end
  if setting.empty == nil then setting.empty = setting.type == "string" end
  return setting
end

-- A default is written as the value (80, true, { "a", "b" }) or as a text ("30s");
-- either way it goes the way of a text, so that it is checked like one.
local function default_text(setting, default)
  if type(default) ~= "table" then return tostring(default) end
  local texts = {}
  for index, item in ipairs(default) do texts[index] = tostring(item) end
  return table.concat(texts, setting.separator)
end

local function check_default(what, setting)
  local default = setting.default
  if default == nil then return end
  if setting.type == "secret" then wrong("%s has a default: what everybody can read is no secret", what) end
  if setting.optional then wrong("%s has a default and is optional: it can't be both", what) end
  if type(default) == "table" and setting.type ~= "list" then
    wrong("the default of %s is a table; it takes %s", what, types.takes(setting))
  end
  setting.default = default_text(setting, default)
  if types.parse(setting, setting.default) == nil then
    wrong("the default of %s is %q; it takes %s", what, setting.default, types.takes(setting))
  end
end

-- NAME_* stands for all settings that begin so: there may be none of them.
local function check_group(what, setting)
  if setting.default ~= nil or setting.optional then
    wrong("%s stands for any number of settings: it takes neither 'default' nor 'optional'", what)
  end
  setting.optional = true
end

--- Check the table that env.read takes.
-- @tparam table specification NAME -> options
-- @treturn {table,...} { name =, setting =, where = }, sorted by name; with `group`, what is in front of the *
function M.check(specification)
  if type(specification) ~= "table" then
    wrong("env.read takes a table of settings, not %s", strict.describe(specification))
  end
  local names, where = {}, fault.where()
  for name, options in pairs(specification) do
    if type(name) ~= "string" or not name:find("^[%a_][%w_]*%*?$") then
      wrong("%s is no name of a setting", type(name) == "string" and ("%q"):format(name) or tostring(name))
    end
    if specification[name .. "_FILE"] then
      wrong("setting %s_FILE has a name that is taken: it says where %s is read from", name, name)
    end
    local setting = check_setting("setting " .. name, options)
    local group = name:match("^(.*)%*$")
    local check = group and check_group or check_default
    check("setting " .. name, setting)
    names[#names + 1] = { name = name, setting = setting, where = where, group = group }
  end
  table.sort(names, function(a, b) return a.name < b.name end)
  return names
end

return M
