--- The settings that a script reads, as a page for its users.
-- @module moonrise.settings
local types = require "moonrise.types"

local M = {}

local SOURCES = "Each may also be given as a file: NAME_FILE=PATH, $CREDENTIALS_DIRECTORY/NAME or /run/secrets/NAME."

local function status_of(setting)
  if setting.default ~= nil then return "default " .. (setting.default == "" and '""' or setting.default) end
  return setting.optional and "optional" or "required"
end

local function as_text(entries)
  local width = 0
  for _, entry in ipairs(entries) do width = math.max(width, #entry.name) end
  local lines = {}
  for _, entry in ipairs(entries) do
    local setting = entry.setting
    lines[#lines + 1] = ("%-" .. width .. "s  %s; %s"):format(entry.name, types.takes(setting), status_of(setting))
    for line in (setting.doc or ""):gmatch("[^\n]+") do
      lines[#lines + 1] = (" "):rep(width + 2) .. line
    end
  end
  lines[#lines + 1] = entries[1] and "\n" .. SOURCES or "No settings are read."
  return lines
end

local function cell(text)
  return (text:gsub("\n", " "):gsub("|", "\\|"))
end

local function as_markdown(entries)
  local lines = { "| Setting | Takes | If it is not given | Meaning |", "|---|---|---|---|" }
  for _, entry in ipairs(entries) do
    local setting = entry.setting
    local absent = (setting.default or "") ~= "" and ("`%s`"):format(setting.default) or status_of(setting)
    lines[#lines + 1] = ("| `%s` | %s | %s | %s |"):format(entry.name, cell(types.takes(setting)), cell(absent),
      cell(setting.doc or ""))
  end
  lines[#lines + 1] = "\n" .. SOURCES
  return lines
end

local KEYS = { "name", "type", "required", "default", "doc", "takes", "values", "min", "max", "pattern", "separator",
  "of", "example", "where" }

local function record(setting)
  local result = { takes = types.takes(setting) }
  for _, key in ipairs(KEYS) do
    if result[key] == nil then result[key] = setting[key] end
  end
  if setting.of then result.of = record(setting.of) end
  return result
end

local function as_json(entries)
  local list = setmetatable({}, { __jsontype = "array" })
  for index, entry in ipairs(entries) do
    local setting = entry.setting
    list[index] = record(setting)
    list[index].name, list[index].where = entry.name, entry.where
    list[index].required = setting.default == nil and not setting.optional
  end
  return { require("dkjson").encode(list, { indent = true, keyorder = KEYS }) }
end

local FORMATS = { text = as_text, markdown = as_markdown, json = as_json }

--- The page.
-- @tparam {table,...} entries as of env.declared; of those with the same name the first counts
-- @string[opt="text"] format "text", "markdown" or "json"
-- @treturn string
function M.page(entries, format)
  local unique, seen = {}, {}
  for _, entry in ipairs(entries) do
    if not seen[entry.name] then unique[#unique + 1] = entry end
    seen[entry.name] = true
  end
  return table.concat(FORMATS[format or "text"](unique), "\n") .. "\n"
end

function M.print(entries, format)
  io.stdout:write(M.page(entries, format))
end

return M
