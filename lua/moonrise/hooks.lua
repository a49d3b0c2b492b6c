--- A folder of *.lua, run in order: how an image lets others add to its boot.
-- Everything in the folder is read and compiled before the first of it runs, so a
-- file that can't be used stops the boot while nothing has happened yet.
-- @module moonrise.hooks
local boot = require "moonrise.boot"
local fault = require "moonrise.fault"
local sys_file = require "sys.file"
local sys_host = require "sys.host"

local M = {}

-- Names that begin with a dot do not count: editors and mounted volumes have such.
local function names_in(folder)
  local found, why = sys_file.list(folder)
  if not found then return nil, "init.hooks: " .. why end
  local names = {}
  for _, name in ipairs(found) do
    if not name:find("^%.") then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function load_hook(path)
  if not path:find("%.lua$") then return nil, path .. " is no *.lua file" end
  local text, why = sys_file.read(path)
  if not text then return nil, why end
  return load(text, "@" .. path, "t", boot.globals)
end

--- Run the hooks of a folder, by name; each may wait, as the script may.
-- @string folder
-- @raise when anything in the folder can't be used; all such things are listed
function M.run(folder)
  require("moonrise.strict").path(folder, "init.hooks")
  local names, why = names_in(folder)
  if not names then fault.raise(fault.STATUS.script, "%s", why) end
  local hooks, faults = {}, {}
  for index, name in ipairs(names) do
    local path = folder .. "/" .. name
    local hook, reason = load_hook(path)
    hooks[index] = { path = path, run = hook }
    if not hook then faults[#faults + 1] = "\n  " .. reason end
  end
  if faults[1] then
    fault.raise(fault.STATUS.script, "init.hooks: none of %s is run:%s", folder, table.concat(faults))
  end
  for _, hook in ipairs(hooks) do
    if sys_host.mode == "boot" then
      hook.run()
    else
      require("moonrise.rehearse").within("hook " .. hook.path, hook.run)
    end
  end
end

return M
