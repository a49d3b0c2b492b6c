--- Settings from the environment, typed.
-- `env.read` says what the container can be told, reads it, and reports all
-- faults at once before anything has been touched. The value of NAME is the first
-- of these that is there:
--
-- 1. the variable NAME,
-- 2. the file that the variable NAME_FILE names (both of them: a fault),
-- 3. the file NAME in $CREDENTIALS_DIRECTORY,
-- 4. the file /run/secrets/NAME,
-- 5. `default`; without one, a setting that is not `optional` is missing: a fault.
--
-- Line ends at the end of a file do not count. An empty text counts as nothing,
-- unless the type is string or the setting says `empty = true`.
-- @module moonrise.env
local fault = require "moonrise.fault"
local secret = require "moonrise.secret"
local specification = require "moonrise.specification"
local strict = require "moonrise.strict"
local types = require "moonrise.types"
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local sys_proc = require "sys.proc"

local M = {}

local ENOENT, ENOTDIR = 2, 20
local SECRETS = "/run/secrets"
local FILE_LIMIT = 1 << 20

local declared = {} -- every setting read, in order: { name =, setting =, value =, where = }
local secrets = {}  -- NAME -> the secret object, or false when it has no value

-- ---- the sources

-- The reason in "path: reason"; the path is not always for everybody's eyes.
local function reason_of(why)
  return why:match("([^:]+)$"):gsub("^ ", "")
end

local function without_line_ends(text)
  local last = #text
  while last > 0 and text:find("^[\r\n]", last) do last = last - 1 end
  return text:sub(1, last)
end

local function read_file(path, shown)
  local text, why, errno = sys_file.read(path, FILE_LIMIT)
  if text then return without_line_ends(text), shown end
  return nil, ("is missing: cannot read %s: %s"):format(shown, reason_of(why)), errno
end

local function from_folder(folder, name)
  local path = folder .. "/" .. name
  local text, note, errno = read_file(path, path)
  if not text and (errno == ENOENT or errno == ENOTDIR) then return nil end
  return text, note
end

-- Each returns the text, and the file that it is from; or nil, and what is wrong
-- if something is.
local SOURCES = {
  function(entry, environ)
    local text, path = environ[entry.name], environ[entry.name .. "_FILE"] or ""
    if path == "" then return text end
    if text == nil or text == "" then return nil end
    return nil, ("is given twice, as %s and as %s_FILE: keep one of them"):format(entry.name, entry.name)
  end,
  function(entry, environ)
    local variable = entry.name .. "_FILE"
    local path = environ[variable] or ""
    if path == "" then return nil end
    if path:sub(1, 1) ~= "/" then return nil, ("is missing: %s takes an absolute path"):format(variable) end
    -- A secret's path is not shown: it may be the secret, put there by mistake.
    return read_file(path, entry.setting.type == "secret" and "the file that " .. variable .. " names" or path)
  end,
  function(entry, environ)
    local folder = environ.CREDENTIALS_DIRECTORY or ""
    if folder == "" then return nil end
    return from_folder(folder, entry.name)
  end,
  function(entry)
    return from_folder(SECRETS, entry.name)
  end,
}

local function find(entry, environ)
  for _, source in ipairs(SOURCES) do
    local text, note = source(entry, environ)
    if text and (text ~= "" or entry.setting.empty) or not text and note then return text, note end
  end
end

-- ---- reading

-- A text of any length and content on one line.
local function show(text)
  if #text > 60 then text = text:sub(1, 57) .. "..." end
  return '"' .. text:gsub('[%c"\\]', function(c)
    return c == "\n" and "\\n" or c:find("%c") and ("\\x%02x"):format(c:byte()) or "\\" .. c
  end) .. '"'
end

-- Set in every container, and so by nobody's mistake.
local ALWAYS_SET = { PATH = true, HOME = true, HOSTNAME = true, TERM = true, PWD = true }

-- A variable that nobody asked for, with nearly the name of the missing one.
local function misspelt(name, environ, known)
  local others = {}
  for other in pairs(environ) do
    if not known[other] and not ALWAYS_SET[other] then others[other] = true end
  end
  local near = require("moonrise.nearest").key(name, others)
  return near and ("; there is %s, did you mean that?"):format(near) or ""
end

local function missing(entry, environ, known)
  local name = entry.name
  return ("%s is missing: it takes %s; give it as %s, %s_FILE or %s/%s%s"):format(
    name, types.takes(entry.setting), name, name, SECRETS, name, misspelt(name, environ, known))
end

local function refused(entry, text, item, file)
  local takes = types.takes(entry.setting)
  if entry.setting.type == "secret" then
    return ("%s is not accepted: it takes %s"):format(entry.name, takes)
  end
  return ("%s is %s%s%s; it takes %s"):format(entry.name, show(text),
    file and (" (from %s)"):format(file) or "", item and (", with the item %s"):format(show(item)) or "", takes)
end

-- A rehearsal prints what commands would be given.
local function keep_secret(name, value)
  secrets[name] = value and secret.new(sys_host.mode == "boot" and value or "<secret>") or false
  return value and secrets[name]
end

-- What the script's own check says against a value.
local function objected(entry, value, text)
  local is_secret = entry.setting.type == "secret"
  local why = entry.setting.check and entry.setting.check(is_secret and secret.new(value) or value, entry.name)
  if not why then return nil end
  return ("%s is %s: %s"):format(entry.name, is_secret and "not accepted" or show(text), tostring(why))
end

-- The value of one setting; or nil and what is wrong, if something is.
local function read_one(entry, environ, known)
  local setting = entry.setting
  local text, note = find(entry, environ)
  if not text and note then return nil, entry.name .. " " .. note end
  if not text then
    if setting.default ~= nil then return types.parse(setting, setting.default) end
    return nil, not setting.optional and missing(entry, environ, known) or nil
  end
  local value, item = types.parse(setting, text)
  if value == nil then return nil, refused(entry, text, item, note) end
  local why = objected(entry, value, text)
  if why then return nil, why end
  return value
end

-- All settings of a group, by what they have behind its name.
local function read_group(group, environ, known, faults)
  local values, names, seen = {}, {}, {}
  for variable in pairs(environ) do
    local name = variable:match("^(.+)_FILE$") or variable
    if name:sub(1, #group.group) == group.group and name ~= group.group and not known[name] and not seen[name] then
      names[#names + 1], seen[name] = name, true
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local entry = { name = name, setting = group.setting }
    local value, wrong = read_one(entry, environ, known)
    faults[#faults + 1] = wrong
    if value ~= nil then
      if group.setting.type == "secret" then value = keep_secret(name, value) end
      values[name:sub(#group.group + 1)] = value
    end
  end
  return values
end

-- A rehearsal goes on with a value that could have been given.
local function placeholder(entry)
  local text = types.example(entry.setting)
  local value = types.parse(entry.setting, text)
  if value == nil then return text end
  return value
end

local function remember(entry, value)
  declared[#declared + 1] = entry
  if entry.setting.type ~= "secret" or entry.group then return value end
  return keep_secret(entry.name, value)
end

local function report(faults)
  local count = #faults == 1 and "1 setting is wrong" or #faults .. " settings are wrong"
  local err = fault.new(fault.STATUS.settings, count .. ":\n  " .. table.concat(faults, "\n  "))
  if sys_host.mode == "boot" then error(err, 0) end
  require("moonrise.rehearse").settings_fault(err)
end

--- Read settings from the environment.
-- @tparam table wanted NAME -> { type =, default =, optional =, doc =, ... };
--   see moonrise-env(5) for the types and their options
-- @treturn table the values by name; an unknown name is an error
-- @raise one fault (exit status 78) that lists everything that is wrong
function M.read(wanted)
  local entries = specification.check(wanted)
  local environ = sys_proc.environ()
  local values, faults = {}, {}
  for _, entry in ipairs(entries) do
    local value, wrong
    if entry.group then
      value = read_group(entry, environ, wanted, faults)
    else
      value, wrong = read_one(entry, environ, wanted)
    end
    if wrong then
      faults[#faults + 1] = wrong
      value = placeholder(entry)
    end
    entry.value = remember(entry, value)
    values[entry.name] = entry.value
  end
  if #faults > 0 then report(faults) end
  return strict.readonly(values, "setting", wanted)
end

--- Every setting that has been read: { name =, setting =, value =, where = }, in order.
function M.declared() return declared end

-- ---- what children get

local function secret_named(name)
  if secrets[name] == nil then
    fault.raise(fault.STATUS.script, "'secrets' has %s, which is no secret that env.read has read%s",
      tostring(name), require("moonrise.nearest").hint(tostring(name), secrets))
  end
  return secrets[name] and secrets[name]:reveal() or nil
end

--- What the option `secrets` of a process puts into its environment.
-- @tparam table wanted { "NAME" }, or { VARIABLE = cfg.NAME } where it has another name there
-- @treturn {[string]=string}
function M.secrets(wanted)
  local result = {}
  for key, value in pairs(wanted) do
    if math.type(key) == "integer" then
      result[value] = secret_named(value)
    elseif secret.is(value) then
      result[key] = value:reveal()
    else
      fault.raise(fault.STATUS.script, "%s in 'secrets' is %s; it takes a secret", key, strict.describe(value))
    end
  end
  return result
end

--- The environment that children inherit: what moonrise was started with, without
-- the secrets that have been read and the names of their files.
-- @treturn {[string]=string} a new table
function M.child_environment()
  local result = {}
  for name, value in pairs(sys_proc.environ()) do
    local base = name:match("^(.*)_FILE$")
    if secrets[name] == nil and (base == nil or secrets[base] == nil) then result[name] = value end
  end
  return result
end

return strict.words(M, "moonrise.env")
