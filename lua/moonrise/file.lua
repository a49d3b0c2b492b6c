--- What fs.lua and volume.lua stand on: everything that changes a file goes through
-- `act` or `work`. These are the one place where a rehearsal only takes note, and
-- where a refusal of the world becomes an error at the script's line.
-- @module moonrise.file
local sys_cred = require "sys.cred"
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local secret = require "moonrise.secret"
local strict = require "moonrise.strict"

local M = {}

local STATUS = fault.STATUS

M.ENOENT, M.EEXIST, M.ENOTDIR, M.EXDEV = 2, 17, 20, 18

-- Reasons of which the system's own words say too little.
local REASONS = {
  [40] = "a symbolic link on the way leads out of the volume, or in a circle", -- ELOOP
  [61] = "no template was laid down there", -- ENODATA
  [95] = "it is no regular file", -- EOPNOTSUPP
}

-- Errors ------------------------------------------------------------------------

local function is_in_volume(path)
  for _, volume in ipairs(sys_file.fenced()) do
    if path == volume or path:sub(1, #volume + 1) == volume .. "/" then return true end
  end
  return false
end

local function status_of(path) return is_in_volume(path) and STATUS.volume or STATUS.script end

--- Raise: "cannot WHAT: reason". Trouble with a volume has a status of its own.
-- @string what "write /data/x"
-- @string path
-- @string why as sys.file says it: "path: reason"
-- @int[opt] errno
function M.fail(what, path, why, errno)
  fault.raise(status_of(path), "cannot %s: %s", what, REASONS[errno] or why:match("^.*: (.*)$") or why)
end

-- As `fail`, but a worker may stumble over a path that `what` does not name.
local function fail_work(what, path, text)
  local errno, where, reason = text:match("^(%d+) (.*): ([^\n]*)\n$")
  fault.raise(status_of(path), "cannot %s: %s", what,
    errno and where .. ": " .. (REASONS[tonumber(errno)] or reason) or text)
end

--- Call sys.file[word](...); in a rehearsal, only say it.
-- @string word
-- @string what for messages: "write /etc/motd"
-- @string path that it is about
-- @return true
function M.act(word, what, path, ...)
  if sys_host.mode ~= "boot" then return require("moonrise.rehearse").note(what, true) end
  local ok, why, errno = sys_file[word](...)
  return ok or M.fail(what, path, why, errno)
end

--- Let a worker process do it: `moonrise worker WORD ARG...`; see core/worker.c.
-- In a rehearsal, only say it.
-- @treturn string what the worker wrote, "" in a rehearsal
function M.work(what, path, ...)
  if sys_host.mode ~= "boot" then return require("moonrise.rehearse").note(what, "") end
  return M.ask(what, path, ...)
end

--- The same for what changes nothing: in a rehearsal, too.
function M.ask(what, path, ...)
  local command = {
    "/proc/self/exe", "worker", name = "moonrise worker", ok = { 0, 1 }, stdout = "capture", stderr = "capture",
  }
  for _, volume in ipairs(sys_file.fenced()) do
    table.move({ "--fence", volume }, 1, 2, #command + 1, command)
  end
  table.move({ ... }, 1, select("#", ...), #command + 1, command)
  local process = require "moonrise.process"
  local result = require("moonrise.run").really(process.check("run", command, process.RUN_OPTIONS))
  if result.status ~= 0 then fail_work(what, path, result.stderr) end
  return result.stdout
end

-- Arguments -----------------------------------------------------------------------

--- Check a path that lies in a volume.
-- @param path
-- @string what "'dirs' of fs.volume"
function M.below(path, what)
  if type(path) ~= "string" or path == "" or path:find("^/") or ("/" .. path .. "/"):find("/../", 1, true) then
    fault.raise(STATUS.script, "%s has %s; it takes paths in the volume", what, strict.show(path))
  end
  return path
end

--- A text to be written: a string, a number or a secret.
function M.text(value, word)
  local text = secret.reveal(value)
  if type(text) == "number" then text = tostring(text) end
  if type(text) ~= "string" then
    fault.raise(STATUS.script, "%s takes a text to write, not %s", word, strict.describe(value))
  end
  return text
end

--- "0640" as a number. A number is refused: 0640 is six hundred and forty in Lua.
function M.mode(value, what)
  if type(value) ~= "string" or not value:find("^[0-7][0-7][0-7][0-7]?[0-7]?$") or tonumber(value, 8) > 4095 then
    fault.raise(STATUS.script, '%s is %s; it takes octal digits in quotes, such as "0640"', what, strict.show(value))
  end
  return tonumber(value, 8)
end

--- May this process change owners? Without the capability there is nobody to give files
-- to: the daemons run under our uid, too.
function M.may_give_away()
  for _, name in ipairs(sys_cred.caps()) do
    if name == "chown" then return true end
  end
  return false
end

local function find_user(owner, word)
  local user = sys_cred.user(owner)
  if not user and math.type(owner) ~= "integer" then
    fault.raise(STATUS.script, "'owner' of %s: there is no user '%s'", word, owner)
  end
  return user and user.uid or owner, user and user.gid
end

local function find_group(group, word)
  local gid = sys_cred.group(group) or math.type(group) == "integer" and group
  return gid or fault.raise(STATUS.script, "'group' of %s: there is no group '%s'", word, group)
end

--- The numbers of an owner and a group by name or number; nil where there is none,
-- or where this process may not give files away. The owner's own group comes along
-- when none is named.
function M.owner(owner, group, word)
  local uid, gid
  if owner ~= nil then uid, gid = find_user(owner, word) end
  if group ~= nil then gid = find_group(group, word) end
  if sys_host.mode == "boot" and not M.may_give_away() then return nil, nil end
  return uid, gid
end

local ATTRIBUTES = {
  mode = { check = M.mode },
  owner = "string|integer",
  group = "string|integer",
}

--- Check the options of a word that makes something: mode, owner, group.
-- @string word
-- @tparam[opt] table options
-- @tparam[opt] table more what else the word takes
-- @treturn table checked; mode, uid and gid as sys.file takes them
function M.options(word, options, more)
  local spec = more or {}
  for key, rule in pairs(ATTRIBUTES) do spec[key] = rule end
  options = strict.check(word, options or {}, spec)
  options.uid, options.gid = M.owner(options.owner, options.group, word)
  return options
end

return M
