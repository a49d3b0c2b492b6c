--- Steps for a new image: volume:upgrade(name, f).
-- With a snapshot, the paths are set aside in .moonrise before f runs, and put back
-- when it fails; a boot that finds a snapshot of a step that never ended puts it back
-- before anything else.
-- @module moonrise.volume.upgrade
local log = require "sys.log"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local journal = require "moonrise.journal"
local steps = require "moonrise.steps"
local strict = require "moonrise.strict"
local task = require "moonrise.task"

local M = {}

local STATUS = fault.STATUS

local PATHS = strict.list("string", 'a list of paths in the volume: { "db" }')

local function check(name, options, f)
  if type(name) ~= "string" or name == "" then
    fault.raise(STATUS.script, "volume:upgrade takes a name first, not %s", strict.show(name))
  end
  if f == nil then options, f = {}, options end
  options = strict.check("volume:upgrade", options, { snapshot = PATHS })
  if type(f) ~= "function" then
    fault.raise(STATUS.script, "volume:upgrade takes a function, not %s", strict.describe(f))
  end
  for _, path in ipairs(options.snapshot or {}) do file.below(path, "'snapshot' of volume:upgrade") end
  return options, f
end

local function snapshot_folder(volume, name)
  return ("%s/.moonrise/snapshot-%08x"):format(volume:path(), journal.checksum(name))
end

local function put_back(volume, name)
  local path = volume:path()
  file.work("put back what was in " .. path, path, "restore", path, snapshot_folder(volume, name))
  volume.record:note("back", name)
  file.work("remove a snapshot of " .. path, path, "remove", snapshot_folder(volume, name))
  log.line("notice", ("%s is as it was before the upgrade %q"):format(path, name))
end

--- Put back what a boot that was cut short has left half-made.
function M.recover(volume)
  local names = {}
  for name in pairs(volume.record.kept) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do put_back(volume, name) end
end

-- The image that the step was last done for, or that was there before it was known.
local function old_image(record, name)
  return record.upgraded[name] or record.images[#record.images - 1]
end

local function run(volume, name, options, f, old, new)
  local path, record = volume:path(), volume.record
  if not options.snapshot then return f(old, new) end
  file.work("take a snapshot in " .. path, path, "snapshot", path, snapshot_folder(volume, name),
    table.unpack(options.snapshot))
  record:note("keep", name)
  local ok, err = pcall(f, old, new)
  if ok then return end
  if not task.is_cancelled(err) then put_back(volume, name) end
  error(err, 0)
end

--- See Volume:upgrade in moonrise.volume.
function M.step(volume, name, options, f)
  options, f = check(name, options, f)
  local record = volume.record
  local new, old = record.images[#record.images], old_image(record, name)
  if sys_host.mode ~= "boot" then
    require("moonrise.rehearse").within(("upgrade %q, for a new image:"):format(name), f, old or "OLD", new or "NEW")
    return false
  end
  if not new then
    fault.raise(STATUS.script, "volume:upgrade: %s has no 'template', which tells images apart", volume:path())
  end
  if record.upgraded[name] == new then return false end
  local is_due = old ~= nil and old ~= new
  if is_due then
    local _ <close> = steps.begin("once", name)
    run(volume, name, options, f, old, new)
    file.work("write back " .. volume:path(), volume:path(), "sync", volume:path())
  end
  record:note("upgraded", new .. " " .. name)
  if options.snapshot and is_due then
    file.work("remove a snapshot of " .. volume:path(), volume:path(), "remove", snapshot_folder(volume, name))
  end
  return is_due
end

return M
