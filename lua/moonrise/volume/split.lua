--- The `list` of a volume: what of the image belongs in it, moved when a container boots.
-- The worker does what `moonrise volume split` does in an image build. The list that was
-- split is noted in the template, so a container that is started again has nothing to do.
-- @module moonrise.volume.split
local log = require "sys.log"
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local fs = require "moonrise.fs"

local M = {}

local STATUS = fault.STATUS
local NOTE = "/.moonrise/list"
local HINT = "; run `moonrise volume split` when the image is built"

local function text_of(list)
  if type(list) == "table" then return table.concat(list, "\n") .. "\n" end
  local text, why, errno = sys_file.read(list)
  return text or file.fail("read the list " .. list, list, why, errno)
end

-- The paths that were or would be moved, what is wrong, whether it is for want of rights.
local function ask(word, what, path, template, list)
  local said, is_table = { moved = {}, fault = {}, denied = {} }, type(list) == "table"
  local text = file.ask(what, path, word, template, path, is_table and "paths" or "file",
    table.unpack(is_table and list or { list }))
  for kind, line in text:gmatch("(%l+) ?([^\n]*)\n") do table.insert(said[kind], line) end
  return said.moved, said.fault, said.denied[1] and HINT or ""
end

local function foresee(what, path, template, list)
  local rehearse = require "moonrise.rehearse"
  if sys_host.mode ~= "check" then return end
  if type(list) == "string" and not sys_file.stat(list, true) then
    return rehearse.note(("%s  (now: there is no %s)"):format(what, list))
  end
  local moved, faults, hint = ask("splitting", what, path, template, list)
  if not moved[1] and not faults[1] then return rehearse.note(what .. ": it was done") end
  rehearse.within(what .. ":", function()
    for _, name in ipairs(moved) do rehearse.note("move " .. name) end
    for _, text in ipairs(faults) do rehearse.note(("(now: %s%s)"):format(text, hint)) end
  end)
end

--- Move what is listed to the template, and leave links to the volume.
-- @string path of the volume
-- @string template
-- @tparam table|string list paths, or the name of a list
function M.run(path, template, list)
  local what = ("split the image into %s and %s"):format(template, path)
  if sys_host.mode ~= "boot" then return foresee(what, path, template, list) end
  local text = text_of(list)
  if sys_file.read(template .. NOTE, #text) == text then return end
  local moved, faults, hint = ask("split", what, path, template, list)
  for _, line in ipairs(faults) do log.line("error", line) end
  if faults[1] then
    fault.raise(STATUS.volume, "cannot %s: the list has faults, and nothing was changed%s", what, hint)
  end
  -- Without a note it is found out again.
  pcall(fs.write, template .. NOTE, text)
  if not moved[1] then return end
  log.line("notice", ("moved %d path%s of the image to %s, and linked %s to %s"):format(#moved,
    #moved == 1 and "" or "s", template, #moved == 1 and "it" or "them", path))
end

return M
