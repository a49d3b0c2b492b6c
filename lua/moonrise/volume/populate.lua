--- A volume follows its template: the worker does it, this says what came of it.
-- @module moonrise.volume.populate
local log = require "sys.log"
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local journal = require "moonrise.journal"

local M = {}

local STATUS = fault.STATUS

-- What the log says of a kind of news: the level, and the text with the path in it.
-- What is not said one by one is counted: see summary.
local NEWS = {
  beside = { "warning", "%s was changed by both you and the image; yours is kept, the image's is %s.image-new" },
  replaced = {
    "warning", "%s was changed by both you and the image; the image's is used, yours is kept as %s.user-old",
  },
  stayed = { "notice", "%s is no longer in the image, but stays, since you have changed it" },
}

-- In the order of enum lay_news, as the worker counts.
local KINDS = { "made", "updated", "removed", "beside", "replaced", "stayed" }

-- The worker's report: its news as a list of kind and path, counts by kind, the images
-- that were and are laid down (nil: none), and what is in its other lines.
local function parse(text)
  local report = { news = {}, counts = {} }
  for word, rest in text:gmatch("(%l+) ?([^\n]*)\n") do
    if word == "images" then
      report.old, report.new = rest:match("^(%S+) (%S*)$")
      if report.old == "-" then report.old = nil end
    elseif word == "counts" then
      local index = 0
      for number in rest:gmatch("%d+") do
        index = index + 1
        report.counts[KINDS[index]] = tonumber(number)
      end
    elseif word == "size" then
      report.size = { rest:match("^(%d+) (%d+) (%d+) (%d+)$") }
    elseif word == "small" or word == "conflicts" then
      report[word] = true
    else
      -- For messages, which are one line each.
      report.news[#report.news + 1] = { kind = word, path = (journal.unescape(rest):gsub("%c", "?")) }
    end
  end
  return report
end

local function size(bytes)
  if bytes < 1 << 20 then return ("%d KiB"):format((bytes + 1023) >> 10) end
  return ("%.1f MiB"):format(bytes / (1 << 20))
end

local function refuse_small(path, template, numbers)
  local entries, bytes, free_entries, free_bytes = table.unpack(numbers)
  if math.ult(math.tointeger(free_bytes), math.tointeger(bytes)) then
    fault.raise(STATUS.volume, "the volume %s is too small: %s takes %s more, and %s are free", path, template,
      size(tonumber(bytes)), size(tonumber(free_bytes)))
  end
  fault.raise(STATUS.volume, "the volume %s is too small: %s takes %d more files, and %s can be made", path, template,
    entries, free_entries)
end

local function refuse_conflicts(path, report)
  local paths = {}
  for _, news in ipairs(report.news) do paths[#paths + 1] = news.path end
  local more = report.counts.beside - #paths
  fault.raise(STATUS.volume, "the volume %s is not upgraded, since both you and the image have changed %s%s", path,
    table.concat(paths, ", "), more > 0 and (" and %d more"):format(more) or "")
end

-- "2 made, 1 updated"; nil when nothing was.
local function summary(counts)
  local parts = {}
  for _, kind in ipairs(KINDS) do
    if not NEWS[kind] and counts[kind] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[kind], kind) end
  end
  return parts[1] and table.concat(parts, ", ")
end

local function say(path, report)
  local said = {}
  for _, news in ipairs(report.news) do
    local how = NEWS[news.kind]
    said[news.kind] = (said[news.kind] or 0) + 1
    if how then
      local where = path .. "/" .. news.path
      log.line(how[1], how[2]:format(where, where))
    end
  end
  for kind, how in pairs(NEWS) do
    local more = report.counts[kind] - (said[kind] or 0)
    if more > 0 then log.line(how[1], ("and so are %d more in %s"):format(more, path)) end
  end
  local all = summary(report.counts)
  if not all then return end
  log.line("notice", ("upgraded %s from image %.12s to %.12s: %s"):format(path, report.old, report.new, all))
end

-- What a rehearsal says of it.
local PLAN = {
  made = "make %s", updated = "update %s", removed = "remove %s", stayed = "keep %s, which is no longer in the image",
  beside = "keep %s, and lay the image's beside it", replaced = "keep %s under another name, and use the image's",
}

local function count_rest(report)
  local said, all = #report.news, 0
  for _, kind in ipairs(KINDS) do all = all + report.counts[kind] end
  return all - said
end

local function show_plan(what, report)
  local rehearse = require "moonrise.rehearse"
  local entries, bytes = tonumber(report.size[1]), tonumber(report.size[2])
  if report.old == report.new then return rehearse.note(what .. ": it has all of it") end
  local amount = ("%s: %d %s, %s"):format(what, entries, entries == 1 and "entry" or "entries", size(bytes))
  rehearse.within(amount, function()
    for _, news in ipairs(report.news) do rehearse.note(PLAN[news.kind]:format(news.path)) end
    if count_rest(report) > 0 then rehearse.note(("and so on for %d more"):format(count_rest(report))) end
  end)
end

-- What of it can be said here; elsewhere the volume or the image may not be there.
local function rehearse(what, path, template, on_conflict)
  for _, folder in ipairs { path, template } do
    if sys_host.mode ~= "check" or not sys_file.stat(folder, true) then
      return require("moonrise.rehearse").note(("%s  (now: there is no %s)"):format(what, folder))
    end
  end
  show_plan(what, parse(file.ask(what, path, "plan", template, path, on_conflict)))
end

--- Bring a volume up to its template.
-- @string path
-- @string template
-- @string on_conflict "keep", "replace" or "fail"
-- @treturn string the image's id; in a rehearsal nil
function M.run(path, template, on_conflict)
  local what = ("populate %s from %s"):format(path, template)
  if sys_host.mode ~= "boot" then return rehearse(what, path, template, on_conflict) end
  local report = parse(file.work(what, path, "populate", template, path, on_conflict))
  if report.small then refuse_small(path, template, report.size) end
  if report.conflicts then refuse_conflicts(path, report) end
  if report.old then say(path, report) end
  return report.new
end

return M
