--- dse.ldif while the server is down. Changes are collected, each one is said in the log,
-- and the file is written once, in one piece.
-- @module apps.ds389.configuration
local fs = require "moonrise.fs"
local init = require "moonrise"
local ldif = require "moonrise.format.ldif"
local settings = require "apps.ds389.settings"

local M = {}

local BACKEND = "userroot"
local LDBM = "cn=ldbm database,cn=plugins,cn=config"
local INSTANCE = ("cn=%s,%s"):format(BACKEND, LDBM)
local SECRET = { ["nsslapd-rootpw"] = true, userpassword = true, nsds5replicacredentials = true }

local Configuration = {}
Configuration.__index = Configuration

--- A configuration.
-- @string text of dse.ldif
-- @bool is_new whether nobody wants to hear of its changes
function M.new(text, is_new)
  return setmetatable({ document = ldif.parse(text), is_new = is_new, is_changed = false }, Configuration)
end

--- The one of a server. It repairs what ns-slapd repairs, and what it does not.
function M.load(server)
  collectgarbage() -- the next piece is large
  for _, name in ipairs { "dse.ldif", "dse.ldif.bak", "dse.ldif.startOK" } do
    local path = server.config .. "/" .. name
    local text = fs.exists(path) and fs.read(path) or ""
    if text:find("%S") then
      if name ~= "dse.ldif" then init.log("warning", "dse.ldif is missing or empty: %s takes its place", name) end
      local is_odd = text:find("\n\n\n", 1, true) ~= nil -- more than one empty line is too much for ns-slapd
      local configuration = M.new(is_odd and text:gsub("\n\n\n+", "\n\n") or text)
      configuration:belong_to(server, text)
      configuration.is_changed = name ~= "dse.ldif" or is_odd
      return configuration
    end
  end
end

--- It is what a server has from here on, which is this text, and changes are of interest.
function Configuration:belong_to(server, text)
  self.path, self.server, self.before = server.config .. "/dse.ldif", server, text
  self.is_new, self.is_changed = false, false
end

function Configuration:text() return tostring(self.document) end

--- Write it, if there is something new in it. From here on it is the server's, and only
-- what is needed of it is kept: PID 1 stays small.
function Configuration:save()
  if self.is_changed and self.path then
    self.server:write(self.path, self:text(), "0600")
  else
    self.before = nil
  end
  self.saved_suffixes, self.document = self:suffixes(), nil
  collectgarbage()
end

--- The server runs with the changes, and they stay.
function Configuration:keep() self.before = nil end

--- Take all changes back, for a server that does not start with them.
function Configuration:restore()
  if not self.before then return end
  init.log("error", "the server does not start with these changes of dse.ldif: they are taken back")
  self.server:write(self.path, self.before, "0600")
end

-- ---- single values

function Configuration:get(dn, attribute) return self.document:get(dn, attribute) end

local function shown(attribute, value)
  if value == nil then return "(unset)" end
  if SECRET[attribute:lower()] then return "(hidden)" end
  return type(value) == "table" and table.concat(value, ", ") or tostring(value)
end

--- Give an attribute a value, a list of values, or none (false).
-- @treturn boolean whether that was a change
function Configuration:set(dn, attribute, value)
  local before = self.document:list(dn, attribute)
  if not self.document:set(dn, attribute, value) then return false end
  self.is_changed = true
  if not self.is_new then
    init.log("notice", "dse.ldif: %s: %s: %s -> %s", dn, attribute,
      shown(attribute, before[2] and before or before[1]), shown(attribute, value or nil))
  end
  return true
end

--- Add an entry, unless there is one.
function Configuration:add(dn, values)
  if self.document:get(dn) then return false end
  self.document:set(dn, values)
  self.is_changed = true
  if not self.is_new then init.log("notice", "dse.ldif: new entry %s", dn) end
  return true
end

-- ---- what belongs together

--- Attributes of cn=config, by name.
function Configuration:set_all(values)
  local names = {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do self:set("cn=config", settings.attribute(name), values[name]) end
end

--- Switch plugins on or off.
function Configuration:switch(names, state)
  for _, name in ipairs(names) do self:set(settings.plugin_dn(name), "nsslapd-pluginEnabled", state) end
end

--- Is this the database of mdb, and not of bdb?
function Configuration:is_mdb() return self:get("cn=config," .. LDBM, "nsslapd-backend-implement") == "mdb" end

--- How much of the memory the caches may take; false: the server's default.
function Configuration:set_memory(percentage)
  if percentage and self:is_mdb() then
    init.log("warning", "DS_MEMORY_PERCENTAGE is not for mdb, which leaves its cache to the kernel")
  elseif percentage then
    local dn = "cn=config," .. LDBM -- until the server has made an entry of its own for bdb
    if self.document:get("cn=bdb," .. dn) then dn = "cn=bdb," .. dn end
    self:set(dn, "nsslapd-cache-autosize", percentage)
  end
end

--- No more memory than an import of one entry takes: bdb writes all of its caches to disk.
function Configuration:save_memory()
  local dn = "cn=config," .. LDBM
  self:set(dn, "nsslapd-cache-autosize", 0)
  self:set(dn, "nsslapd-dbcachesize", 1000000)
  self:set(dn, "nsslapd-import-cache-autosize", 0)
  self:set(dn, "nsslapd-import-cachesize", 1000000)
end

--- How large a database of mdb may become.
function Configuration:set_size(bytes)
  if not self:is_mdb() then return end
  local dn = "cn=mdb,cn=config," .. LDBM
  self:add(dn, { objectClass = { "top", "extensibleObject" }, cn = "mdb" })
  self:set(dn, "nsslapd-mdb-max-size", bytes)
end

-- The instance and its suffix.

M.BACKEND = BACKEND

function Configuration:add_suffix(suffix, folder)
  self:add(INSTANCE, {
    objectClass = { "top", "extensibleObject", "nsBackendInstance" },
    cn = BACKEND, ["nsslapd-suffix"] = suffix, ["nsslapd-directory"] = folder,
  })
  self:add(('cn="%s",cn=mapping tree,cn=config'):format(suffix), {
    objectClass = { "top", "extensibleObject", "nsMappingTree" },
    cn = suffix, ["nsslapd-state"] = "backend", ["nsslapd-backend"] = BACKEND,
  })
end

--- The suffixes that the server has a database for, and these databases.
-- @treturn {{suffix,backend},...}
function Configuration:suffixes()
  if self.saved_suffixes then return self.saved_suffixes end
  local list = {}
  for _, dn in ipairs(self.document:names()) do
    if dn:lower():find(",cn=mapping tree,cn=config$") and self:get(dn, "nsslapd-state") == "backend" then
      list[#list + 1] = { suffix = self:get(dn, "cn"), backend = self:get(dn, "nsslapd-backend") }
    end
  end
  return list
end

--- The attributes that a database has an index of.
function Configuration:indexes(backend)
  local list, parent = {}, (",cn=index,cn=%s,%s"):format(backend, LDBM):lower()
  for _, dn in ipairs(self.document:names()) do
    if dn:lower():sub(-#parent) == parent then list[#list + 1] = self:get(dn, "cn") end
  end
  return list
end

--- Have indexes: "mail:eq:sub". A new database takes them from the defaults.
-- @treturn {string,...} attributes whose index has to be built
function Configuration:add_indexes(list)
  local new = {}
  for _, text in ipairs(list) do
    local attribute, types = settings.index_parts(text)
    for _, parent in ipairs { "cn=default indexes,cn=config," .. LDBM, "cn=index," .. INSTANCE } do
      local dn = ("cn=%s,%s"):format(attribute, parent)
      local is_new = self.document:get(parent) and self:add(dn, {
        objectClass = { "top", "nsIndex" }, cn = attribute, nsSystemIndex = "false", nsIndexType = types,
      })
      if not is_new and self.document:get(parent) then is_new = self:set(dn, "nsIndexType", types) end
      if is_new and parent:find("^cn=index") then new[#new + 1] = attribute end
    end
  end
  return new
end

return M
