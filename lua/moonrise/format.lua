--- The formats by name, and files of them that are changed in place.
-- @module moonrise.format
local fault = require "moonrise.fault"

local M = {}

-- name -> module, style
local FORMATS = {
  apache = { "apache" },
  ini = { "ini" },
  json = { "json" },
  keyvalue = { "keyvalue" },
  krb5 = { "ini", "krb5" },
  ldif = { "ldif" },
  php = { "ini", "php" },
  postgresql = { "keyvalue", "postgresql" },
  shell = { "keyvalue", "shell" },
}

-- What a file is by its path; the first that matches.
local KNOWN = {
  { "%.json$", "json" },
  { "%.ldif$", "ldif" },
  { "/krb5%.conf$", "krb5" }, { "/krb5%.conf%.d/", "krb5" }, { "/kdc%.conf$", "krb5" },
  { "/php[^/]*%.ini$", "php" }, { "/php/.*%.ini$", "php" },
  { "/postgresql[^/]*%.conf$", "postgresql" },
  { "/apache2/.*%.conf$", "apache" }, { "/httpd/.*%.conf$", "apache" }, { "/httpd%.conf$", "apache" },
  { "/etc/default/", "shell" }, { "/etc/sysconfig/", "shell" }, { "/os%-release$", "shell" },
  { "%.ini$", "ini" }, { "/sssd%.conf$", "ini" }, { "/sssd/conf%.d/", "ini" }, { "/smb%.conf$", "ini" },
  { "/my%.cnf$", "ini" }, { "/mysql/.*%.cnf$", "ini" },
  { "/sysctl%.conf$", "keyvalue" }, { "/sysctl%.d/", "keyvalue" }, { "/nsswitch%.conf$", "keyvalue" },
  { "/postfix/main%.cf$", "keyvalue" },
}

local function guess(path)
  for _, known in ipairs(KNOWN) do
    if path:find(known[1]) then return known[2] end
  end
  local names = {}
  for name in pairs(FORMATS) do names[#names + 1] = name end
  table.sort(names)
  fault.raise(fault.STATUS.script, "what format %s has can't be told from its name; `format` is one of %s",
    path, table.concat(names, ", "))
end

local function pick(path, name)
  name = name or guess(path)
  local format = FORMATS[name]
  if not format then
    fault.raise(fault.STATUS.script, "there is no format '%s'%s", tostring(name),
      require("moonrise.nearest").hint(tostring(name), FORMATS))
  end
  return require("moonrise.format." .. format[1]), format[2]
end

-- Calls f; an error of the format names the file.
local function about(path, f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  if not fault.is_fault(result) then error(result, 0) end
  fault.raise(result.status, "cannot edit %s: %s", path, result.message)
end

--- Change a file's text.
-- @string path for messages, and to tell the format from
-- @string text
-- @param changes table, or a function that is called with the document
-- @string[opt] name of the format
-- @return the document
function M.edit(path, text, changes, name)
  local format, style = pick(path, name)
  local doc = about(path, format.parse, text, style)
  if type(changes) == "function" then changes(doc) else about(path, doc.set, doc, changes) end
  return doc
end

return M
