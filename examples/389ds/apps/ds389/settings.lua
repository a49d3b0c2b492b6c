--- What the settings of the image may be, as far as their type does not say it: each
-- function is the `check` of a setting, and returns what is wrong, or nil.
-- @module apps.ds389.settings
local fault = require "moonrise.fault"
local fs = require "moonrise.fs"
local init = require "moonrise"
local nearest = require "moonrise.nearest"

local M = {}

local SHARE = "/usr/share/dirsrv"

-- The class of a suffix entry, by its attribute; the same as dscreate knows.
local CLASSES = { dc = "domain", o = "organization", ou = "organizationalUnit", cn = "nsContainer", c = "country" }

--- The attribute, its value and the class of a suffix entry.
function M.suffix_parts(suffix)
  local attribute, value = suffix:match("^%s*(%w+)%s*=%s*([^,+]-)%s*$")
  if not attribute then attribute, value = suffix:match("^%s*(%w+)%s*=%s*([^,+]-)%s*,") end
  attribute = attribute and attribute:lower()
  return attribute, value, CLASSES[attribute]
end

function M.suffix(value)
  local _, _, class = M.suffix_parts(value)
  if not class then return "a suffix begins with dc=, o=, ou=, cn= or c=" end
end

-- What the script itself takes care of, and how it is told.
local OWN = {
  ["nsslapd-rootpw"] = "DS_DM_PASSWORD", ["nsslapd-localhost"] = "DS_HOSTNAME",
  ["nsslapd-localuser"] = "podman run --user",
}
for name in ("schemadir certdir instancedir rundir lockdir tmpdir bakdir ldifdir ldapifilepath ldapilisten " ..
  "ldapiautobind ldapimaprootdn rootdn backendconfig plugin"):gmatch("%S+") do
  OWN["nsslapd-" .. name] = false
end

--- "nsslapd_sizelimit" -> "nsslapd-sizelimit": variables have no dashes.
function M.attribute(name) return (name:gsub("_", "-")) end

-- The attributes of cn=config that this version of the server has in its library.
local function known_attributes()
  local library = fs.read(fs.glob("/usr/lib/*/dirsrv/libslapd.so.0")[1])
  local known = {}
  for name in library:gmatch("%f[%g](nsslapd%-[%w-]+)%z") do known[name:lower()] = true end
  for name in library:gmatch("%f[%g](password%u[%w]+)%z") do known[name:lower()] = true end
  return known
end

--- Of DS_CONFIG_*.
function M.config(value, variable)
  local name = M.attribute(variable:gsub("^DS_CONFIG_", "")):lower()
  local own = OWN[name]
  if own then return ("that is set by %s"):format(own) end
  if own == false then return "the layout of the volume is fixed" end
  if value:find("%c") then return "a value has one line" end
  M.known = M.known or known_attributes()
  if next(M.known) and not M.known[name] then
    return ("cn=config of this server has no %s%s"):format(name, nearest.hint(name, M.known))
  end
end

-- ---- plugins and indexes

-- { ["memberof plugin"] = dn, memberof = dn } of the server's template.
local function plugins()
  local known = {}
  for dn, name in fs.read(SHARE .. "/data/template-dse.ldif"):gmatch("\ndn: (cn=([^,\n]+),cn=plugins,cn=config)\n") do
    known[name:lower()] = dn
    known[name:lower():gsub(" plugin$", "")] = dn
  end
  return known
end

--- The entry of a plugin, by its name with or without "plugin".
function M.plugin_dn(name) return plugins()[name:lower()] end

function M.plugin(names)
  local known = plugins()
  for _, name in ipairs(names) do
    if next(known) and not known[name:lower()] then
      return ("there is no plugin %s%s"):format(name, nearest.hint(name:lower(), known))
    end
  end
end

local INDEX_TYPES = { eq = true, pres = true, sub = true, approx = true }

--- "mail:eq:sub" -> "mail", { "eq", "sub" }; nil and what is wrong.
function M.index_parts(text)
  local attribute, rest = text:match("^([%a][%w;-]*)(.*)$")
  local types = {}
  for kind in (rest or ""):gmatch("[^:]+") do
    if not INDEX_TYPES[kind] then return nil, kind .. " is no kind of index; there are eq, pres, sub and approx" end
    types[#types + 1] = kind
  end
  if not attribute or rest ~= "" and not rest:find("^:") then return nil, text .. " is no attribute" end
  return attribute, types[1] and types or { "eq" }
end

function M.indexes(list)
  for _, one in ipairs(list) do
    local attribute, why = M.index_parts(one)
    if not attribute then return why end
  end
end

function M.calendar(text)
  local spec, why = require("moonrise.calendar").parse(text, function(name)
    return require("moonrise.zone").find(name)
  end)
  if not spec then return why end
end

-- ---- other servers

--- "ldap2.example.com:3636" -> host, port; the port may be left out.
function M.peer_parts(text)
  local host, port = text:match("^([%w.-]+):?(%d*)$")
  port = port == "" and 3636 or math.tointeger(tonumber(port))
  if host and port and port >= 1 and port <= 65535 then return host, port end
end

function M.peers(list)
  for _, one in ipairs(list) do
    if not M.peer_parts(one) then return one .. " is not HOST or HOST:PORT" end
  end
end

--- What goes together: raises before anything was touched.
function M.together(cfg)
  local suffix = cfg.DS_SUFFIX_NAME or cfg.SUFFIX_NAME
  if cfg.DS_REPLICA_ID and not (suffix and cfg.DS_REPLICATION_PASSWORD) then
    fault.raise(fault.STATUS.settings, "DS_REPLICA_ID goes with DS_SUFFIX_NAME and DS_REPLICATION_PASSWORD")
  elseif cfg.DS_IMPORT and not suffix then
    fault.raise(fault.STATUS.settings, "DS_IMPORT goes with DS_SUFFIX_NAME")
  end
end

--- The suffix, as plugins want to see it written.
function M.suffix_of(cfg)
  local suffix = cfg.DS_SUFFIX_NAME or M.old(cfg, "SUFFIX_NAME")
  return suffix and suffix:gsub("%s*([,=+])%s*", "%1"):match("^%s*(.-)%s*$")
end

--- The value of a setting by the name that dscontainer once had for it.
function M.old(cfg, name)
  if cfg[name] then init.log("warning", "%s is deprecated, please use DS_%s instead", name, name) end
  return cfg[name]
end

return M
