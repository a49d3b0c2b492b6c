--- The container's name and addresses, and the two files by which names are looked
-- up. /etc/resolv.conf and /etc/hosts are the engine's, and in a container they are
-- mount points: they are changed in place, and only lines of our own (moonrise.marked).
-- @module moonrise.net
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local sys_log = require "sys.log"
local sys_net = require "sys.net"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local marked = require "moonrise.marked"
local strict = require "moonrise.strict"

local M = {}

local RESOLV_CONF, HOSTS = "/etc/resolv.conf", "/etc/hosts"
local EPERM = 1

local function refuse(message, ...) fault.raise(fault.STATUS.script, message, ...) end

-- Checking --------------------------------------------------------------------------

local function is_address(text)
  return type(text) == "string" and text:find("^[%x.:]+$") and text:find("[.:]") and sys_net.resolve(text) ~= nil
end

local function check_address(text, what)
  -- The zone of a link-local address is the name of an interface.
  local bare = type(text) == "string" and text:gsub("%%[%w._-]+$", "") or text
  if not is_address(bare) then refuse("%s has %s in it, which is no address", what, strict.show(text)) end
end

local function check_name(text, what)
  local is_name = type(text) == "string" and #text <= 253 and text:find("^[%w_][%w_.-]*$")
    and not text:find("..", 1, true)
  if not is_name then refuse("%s has %s in it, which is no name", what, strict.show(text)) end
end

local function check_option(text, what)
  if type(text) ~= "string" or not text:find("^[%w:-]+$") then
    refuse("%s has %s in it; it takes such as \"ndots:2\"", what, strict.show(text))
  end
end

local function check_list(list, what, check)
  if type(list) == "string" then list = { list } end
  for _, one in ipairs(list) do check(one, what) end
  return list
end

-- Files -----------------------------------------------------------------------------

local to_put_back = {} -- path -> true

local function read(path)
  local text, why, errno = sys_file.read(path)
  if text or errno == file.ENOENT then return text or "" end
  return file.fail("read " .. path, path, why, errno)
end

local function write(what, path, old, new)
  if new == old then return false end
  file.act("write", what, path, path, new)
  return true
end

local function change(path, ours, restore)
  if restore then to_put_back[path] = true end
  local old = read(path)
  return write("set our lines in " .. path, path, old, marked.set(old, ours))
end

--- Take our lines out again where `restore` was asked for; the end of a stop.
function M.put_back()
  for path in pairs(to_put_back) do
    local ok, err = pcall(function()
      local old = read(path)
      write("put back " .. path, path, old, marked.clear(old))
    end)
    if not ok then sys_log.line("warning", tostring(err)) end
  end
end

local LIST = "table|string"
local FLAG = { type = "boolean", default = false }

--- Have names looked up otherwise: /etc/resolv.conf.
-- @tparam table options nameservers: addresses, asked before those that are there; only =
--   true: and no others; search: domains, options: { "ndots:2" }, in place of those
--   that are there; restore = true: as it was, when the container stops. An empty table
--   takes our lines out.
-- @treturn boolean whether the file was changed
function M.resolver(options)
  options = strict.check("net.resolver", options, {
    nameservers = LIST, search = LIST, options = LIST, only = FLAG, restore = FLAG,
  })
  local function list(name, check)
    return check_list(options[name] or {}, ("'%s' of net.resolver"):format(name), check)
  end
  local top, bottom = {}, {}
  for i, address in ipairs(list("nameservers", check_address)) do top[i] = "nameserver " .. address end
  if options.only and #top == 0 then refuse("net.resolver: 'only' leaves no nameserver") end
  local search = table.concat(list("search", check_name), " ")
  if search ~= "" then bottom[1] = "search " .. search end
  for _, option in ipairs(list("options", check_option)) do bottom[#bottom + 1] = "options " .. option end
  local hides = options.only and "^%s*nameserver%s"
  return change(RESOLV_CONF, { top = top, bottom = bottom, hides = hides }, options.restore)
end

--- Names of our own in /etc/hosts, before all others.
-- @tparam table hosts { ["10.0.0.5"] = { "ipa.example.test", "ipa" } }; an empty one takes our
--   lines out
-- @tparam[opt] table options restore = true: as it was, when the container stops
-- @treturn boolean whether the file was changed
function M.hosts(hosts, options)
  options = strict.check("net.hosts", options or {}, { restore = FLAG })
  if type(hosts) ~= "table" then refuse("net.hosts takes a table, not %s", strict.describe(hosts)) end
  local lines = {}
  for address, names in pairs(hosts) do
    if math.type(address) then refuse('net.hosts takes { ["10.0.0.5"] = { "db.test", "db" } }, not a list') end
    check_address(address, "net.hosts")
    if type(names) ~= "table" and type(names) ~= "string" or #names == 0 then
      refuse("net.hosts: %s is to have %s; it takes a list of names", address,
        type(names) == "table" and "an empty list" or strict.show(names))
    end
    lines[#lines + 1] = address .. "\t" .. table.concat(check_list(names, "net.hosts", check_name), " ")
  end
  table.sort(lines)
  return change(HOSTS, { top = lines }, options.restore)
end

-- Name and addresses ----------------------------------------------------------------

local APART = "the hostname, and what `uname -n` says, stays '%s': it takes sys_admin to set it. '%s' is " ..
  "what programs are told to be, and what net.hosts makes known here; or start the container with --hostname %s"

--- The container's name; with an argument, set it. Where that is not permitted the
-- log says what it means.
-- @string[opt] name
-- @treturn string|boolean the name; or whether it is the name now
function M.hostname(name)
  local present = sys_net.hostname()
  if name == nil then return present end
  check_name(name, "net.hostname")
  if name == present then return true end
  if sys_host.mode ~= "boot" then
    return require("moonrise.rehearse").note(("set the hostname to %s"):format(name), true)
  end
  local ok, why, errno = sys_net.set_hostname(name)
  if not ok and errno ~= EPERM then refuse("cannot set the hostname: %s", why) end
  if not ok then sys_log.line("notice", APART:format(present, name, name)) end
  return ok == true
end

--- The addresses under which the container can be reached, IPv4 first.
-- @tparam[opt] table options family = "ipv4" or "ipv6"; interface = "eth0"; loopback = true: also
--   those of the loopback interface, and link-local ones
-- @treturn {string,...} may be empty
function M.addresses(options)
  options = strict.check("net.addresses", options or {}, {
    interface = "string", loopback = FLAG,
    family = { type = "string", check = function(family, what)
      if family ~= "ipv4" and family ~= "ipv6" then refuse('%s is "%s"; it takes "ipv4" or "ipv6"', what, family) end
    end },
  })
  local all, why = sys_net.addresses()
  if not all then refuse("cannot list the addresses: %s", why) end
  local v4, v6 = {}, {}
  for _, one in ipairs(all) do
    local is_wanted = (options.loopback or not one.loopback and not one.link_local) and
      (not options.interface or options.interface == one.interface) and
      (not options.family or (options.family == "ipv6") == one.v6)
    local list = one.v6 and v6 or v4
    if is_wanted then list[#list + 1] = one.address end
  end
  return table.move(v6, 1, #v6, #v4 + 1, v4)
end

return strict.words(M, "moonrise.net")
