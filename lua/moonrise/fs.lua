--- Files, as a boot script wants them.
-- Every word raises when it fails, with the script's line. What is written is on
-- disk when the word returns, and is there in one piece or not at all; only a
-- target that is itself a mount point (/etc/resolv.conf in a container), or whose
-- folder can't be written, is changed in place. A link in the last place of a path
-- is followed, except by link, move and remove. Options of all words that make
-- something: `mode = "0640"`, `owner`, `group` (names or numbers); without them a
-- file keeps what it had. Where the container may not give files away (no root, or
-- no such capability), owner and group are left as they are.
-- @module moonrise.fs
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local fault = require "moonrise.fault"
local file = require "moonrise.file"
local strict = require "moonrise.strict"

local M = {}

local STATUS = fault.STATUS
local ENOENT, EEXIST, ENOTDIR, EXDEV = file.ENOENT, file.EEXIST, file.ENOTDIR, file.EXDEV

local function is_missing(errno) return errno == ENOENT or errno == ENOTDIR end

-- Reading -------------------------------------------------------------------------

-- In a rehearsal, of what a step before this one may make: that is not there yet.
local function not_there(word, path, result)
  if sys_host.mode == "boot" or sys_file.stat(path, true) then return nil end
  return require("moonrise.rehearse").note(("%s %s  (now: not there)"):format(word, path), result)
end

--- Read a whole file.
-- @string path
-- @treturn string
function M.read(path)
  local text, why, errno = sys_file.read(strict.path(path, "fs.read"))
  return text or not_there("read", path, "") or file.fail("read " .. path, path, why, errno)
end

--- What a path is: a table of type ("file", "folder", "link", "fifo", "socket",
-- "device"), mode ("0644"), size, uid, gid, mtime (seconds); nil when there is nothing.
-- @string path
-- @tparam[opt] table options follow = false: a link itself, not where it leads
function M.stat(path, options)
  options = strict.check("fs.stat", options or {}, { follow = { type = "boolean", default = true } })
  local result, why, errno = sys_file.stat(strict.path(path, "fs.stat"), options.follow)
  if result then
    result.mode = ("%04o"):format(result.mode)
    return result
  end
  return not is_missing(errno) and file.fail("look at " .. path, path, why, errno) or nil
end

--- Is there something, at the end of all links?
-- @string path
function M.exists(path) return M.stat(strict.path(path, "fs.exists")) ~= nil end

--- The names in a folder, sorted.
-- @string path
-- @treturn {string,...}
function M.list(path)
  local names, why, errno = sys_file.list(strict.path(path, "fs.list"))
  if names then
    table.sort(names)
    return names
  end
  return not_there("list", path, {}) or file.fail("list " .. path, path, why, errno)
end

--- The paths that match a pattern with `*`, `?` and `[a-z]`, sorted; may be none.
-- @string pattern "/etc/apache2/conf.d/*.conf"
-- @treturn {string,...}
function M.glob(pattern)
  return require("moonrise.glob").expand(strict.path(pattern, "fs.glob"),
    function(folder) return sys_file.list(folder) or {} end,
    function(path) return sys_file.stat(path, false) ~= nil end)
end

--- The SHA-256 of a file's content, in hexadecimal.
-- @string path
function M.hash(path) return file.work("hash " .. strict.path(path, "fs.hash"), path, "hash", path) end

--- What is free in a folder.
-- @string path
-- @treturn int bytes
-- @treturn int how many files can be made; nil where there is no limit
function M.space(path)
  local bytes, more, errno = sys_file.space(strict.path(path, "fs.space"))
  if bytes then return bytes, more end
  return not_there("look for space at", path, math.maxinteger) or
    file.fail("look for space at " .. path, path, more, errno)
end

-- Writing -------------------------------------------------------------------------

local function write(what, path, text, options)
  return file.act("write", what, path, path, text, options.mode, options.uid, options.gid)
end

--- Write a file, in one piece.
-- @string path
-- @param text string, number or secret
-- @tparam[opt] table options mode, owner, group
function M.write(path, text, options)
  strict.path(path, "fs.write")
  write("write " .. path, path, file.text(text, "fs.write"), file.options("fs.write", options))
end

--- Add to the end of a file, which is made if need be.
function M.append(path, text, options)
  strict.path(path, "fs.append")
  text, options = file.text(text, "fs.append"), file.options("fs.append", options)
  file.act("append", "append to " .. path, path, path, text, options.mode, options.uid, options.gid)
end

-- f(...) with a script's pattern in it; what is wrong with that is the script's.
local function with_pattern(word, f, ...)
  local ok, first, second = pcall(f, ...)
  if ok then return first, second end
  if type(first) ~= "string" then error(first, 0) end
  fault.raise(STATUS.script, "%s: %s", word, first:gsub("^moonrise/[^:]*:%d+: ", ""))
end

local function replace_text(text, old, new)
  local parts, count, at = {}, 0, 1
  local first, last = text:find(old, 1, true)
  while first do
    parts[#parts + 1], parts[#parts + 2] = text:sub(at, first - 1), new
    count, at = count + 1, last + 1
    first, last = text:find(old, at, true)
  end
  return table.concat(parts) .. text:sub(at), count
end

--- Replace a text wherever it stands in a file.
-- @string path
-- @string old
-- @param new string; with `pattern` also a table or a function, as for string.gsub
-- @tparam[opt] table options pattern = true: `old` is a Lua pattern; mode, owner, group
-- @treturn int how many times; at 0 the file was not written
function M.replace(path, old, new, options)
  options = file.options("fs.replace", options, { pattern = "boolean" })
  if type(old) ~= "string" or old == "" then
    fault.raise(STATUS.script, "fs.replace takes the text to look for, not %s", strict.show(old))
  end
  if options.pattern then strict.pattern(old, "the pattern of fs.replace") end
  local replace = options.pattern and string.gsub or replace_text
  if not options.pattern then new = file.text(new, "fs.replace") end
  local text, count = with_pattern("fs.replace", replace, M.read(path), old, new)
  if count > 0 then write(("replace in %s, %d times"):format(path, count), path, text, options) end
  return count
end

-- The text with the line set; nil when it is as it should be.
local function set_line(text, line, match)
  local lines, found, same = {}, nil, false
  for one in (text:find("[^\n]$") and text .. "\n" or text):gmatch("([^\n]*)\n") do
    lines[#lines + 1] = one
    if match and one:find(match) then found = #lines end
    same = same or one == line
  end
  if found and lines[found] == line or not found and same then return nil end
  lines[found or #lines + 1] = line
  return table.concat(lines, "\n") .. "\n"
end

local function drop_lines(text, line, match)
  local kept, dropped = {}, false
  for one, ending in text:gmatch("([^\n]*)(\n?)") do
    local is_it = match and one:find(match) or not match and one == line
    if is_it and (one ~= "" or ending ~= "") then
      dropped = true
    else
      kept[#kept + 1] = one .. ending
    end
  end
  return dropped and table.concat(kept) or nil
end

--- See to it that a file has a line.
-- @string path
-- @string line
-- @tparam[opt] table options
--   match = "^Listen ": the last line that this Lua pattern matches becomes `line`,
--   which is added at the end when none does;
--   absent = true: take the line (or, with `match`, all that match) out; mode, owner, group
-- @treturn boolean whether the file was changed
function M.line(path, line, options)
  options = file.options("fs.line", options, {
    match = { type = "string", check = strict.pattern }, absent = "boolean",
  })
  if type(line) ~= "string" or line:find("\n", 1, true) then
    fault.raise(STATUS.script, "fs.line takes one line, not %s",
      type(line) == "string" and "several" or strict.describe(line))
  end
  local text = M.exists(path) and M.read(path) or ""
  local changed = with_pattern("fs.line", options.absent and drop_lines or set_line, text, line, options.match)
  if changed then write(("set a line in %s"):format(path), path, changed, options) end
  return changed ~= nil
end

local MAX_SAID = 8

local function say_changes(path, names)
  local more = #names > MAX_SAID and (", and %d more"):format(#names - MAX_SAID) or ""
  return ("edit %s: %s%s"):format(path, table.concat(names, ", ", 1, math.min(#names, MAX_SAID)), more)
end

--- Change values in a configuration file (see moonrise.format). The names that
-- changed are logged, and nothing is written when there are none.
-- @string path
-- @param changes { NAME = value, SECTION = { NAME = value } }, or a function that is
--   called with the document
-- @param[opt] options the name of the format, if the file's own does not tell it; or a
--   table of format, mode, owner, group
-- @treturn boolean whether the file was changed
function M.edit(path, changes, options)
  if type(options) == "string" then options = { format = options } end
  options = file.options("fs.edit", options, { format = "string" })
  if type(changes) ~= "table" and type(changes) ~= "function" then
    fault.raise(STATUS.script, "fs.edit takes a table of changes or a function, not %s", strict.describe(changes))
  end
  if sys_host.mode ~= "boot" and not M.exists(strict.path(path, "fs.edit")) then -- a step before this may make it
    return require("moonrise.rehearse").note(("edit %s  (now: not there)"):format(path), true)
  end
  local text = M.read(strict.path(path, "fs.edit"))
  local doc = require("moonrise.format").edit(path, text, changes, options.format)
  local new = tostring(doc)
  if new == text then return false end
  local what = say_changes(path, doc:changes())
  write(what, path, new, options)
  if sys_host.mode == "boot" then require("sys.log").line("info", what) end
  return true
end

-- For templates that include others: no error of its own.
local function read_included(path)
  local text, why, errno = sys_file.read(path)
  if not text and sys_host.mode ~= "boot" and is_missing(errno) then return "" end
  return text, why and why:match("^.*: (.*)$")
end

--- Fill a template in (see moonrise.template) and write the result.
-- @string from the template
-- @string to
-- @tparam table values by name, such as what env.read returned
-- @tparam[opt] table options mode, owner, group
-- @treturn boolean whether the file's text changed
function M.render(from, to, values, options)
  strict.path(to, "fs.render")
  if type(values) ~= "table" then
    fault.raise(STATUS.script, "fs.render takes a table of values, not %s", strict.describe(values))
  end
  local attributes = file.options("fs.render", options)
  local text, why = require("moonrise.template").render(M.read(from), values, from, read_included)
  if not text then fault.raise(STATUS.script, "%s", why) end
  local is_same = sys_file.read(to) == text
  if not is_same or options then write(("render %s to %s"):format(from, to), to, text, attributes) end
  return not is_same
end

--- Copy a file; mode as the original unless given.
-- @string from
-- @string to the copy, not a folder to put it in
-- @tparam[opt] table options mode, owner, group
function M.copy(from, to, options)
  strict.path(from, "fs.copy")
  strict.path(to, "fs.copy")
  options = file.options("fs.copy", options)
  file.work(("copy %s to %s"):format(from, to), to, "copy", from, to,
    options.mode or -1, options.uid or -1, options.gid or -1)
end

-- Names ---------------------------------------------------------------------------

--- Move a file, a link or a folder; a file also to another file system.
function M.move(from, to)
  strict.path(from, "fs.move")
  strict.path(to, "fs.move")
  local what = ("move %s to %s"):format(from, to)
  if sys_host.mode ~= "boot" then return require("moonrise.rehearse").note(what) end
  local ok, why, errno = sys_file.move(from, to)
  if not ok and errno == EXDEV then
    local old = sys_file.stat(from, false) or {}
    local uid, gid = file.owner(old.uid, old.gid, "fs.move")
    file.work(what, to, "copy", from, to, old.mode or -1, uid or -1, gid or -1)
    ok, why, errno = sys_file.remove(from)
  end
  return not ok and file.fail(what, to, why, errno) or nil
end

--- Make a symbolic link, or turn one to somewhere else.
-- @string target where it leads
-- @string path
function M.link(target, path)
  strict.path(target, "fs.link")
  strict.path(path, "fs.link")
  file.act("link", ("link %s to %s"):format(path, target), path, target, path)
end

-- The owner first: a change of owner takes set-id bits off.
local function apply(what, path, mode, uid, gid)
  if uid or gid then file.act("chown", what, path, path, uid, gid) end
  if mode then file.act("chmod", what, path, path, mode) end
end

local function differs(wanted, present) return wanted ~= present and wanted or nil end

local function make_parents(path, what)
  for at in path:gmatch("()/+[^/]") do
    local parent = path:sub(1, at - 1)
    if parent ~= "" and not sys_file.stat(parent, true) then
      local ok, why, errno = sys_file.mkdir(parent)
      if not ok and errno ~= EEXIST then file.fail(what, path, why, errno) end
    end
  end
end

--- Make a folder, with those above it. One that is there is given mode and owner.
-- @string path
-- @tparam[opt] table options mode, owner, group
function M.mkdir(path, options)
  local what = "make the folder " .. strict.path(path, "fs.mkdir")
  options = file.options("fs.mkdir", options)
  if sys_host.mode ~= "boot" then return require("moonrise.rehearse").note(what) end
  make_parents(path, what)
  local ok, why, errno = sys_file.mkdir(path, options.mode, options.uid, options.gid)
  if ok then return end
  local present = errno == EEXIST and sys_file.stat(path, true)
  if not present or present.type ~= "folder" then
    file.fail(what, path, present and ("%s: there is a %s"):format(path, present.type) or why, errno)
  end
  -- What is as it should be is left alone: its mode is its owner's to change.
  apply(what, path, differs(options.mode, present.mode), differs(options.uid, present.uid),
    differs(options.gid, present.gid))
end

--- Remove a file, a link (not what it leads to) or an empty folder.
-- @string path
-- @tparam[opt] table options recursive = true: a folder with all that is in it
-- @treturn boolean whether there was something
function M.remove(path, options)
  options = strict.check("fs.remove", options or {}, { recursive = { type = "boolean", default = false } })
  local what = "remove " .. strict.path(path, "fs.remove")
  local present, why, errno = sys_file.stat(path, false)
  if not present then return not is_missing(errno) and file.fail(what, path, why, errno) or false end
  if options.recursive and present.type == "folder" then
    file.work(what, path, "remove", path)
  else
    file.act("remove", what, path, path)
  end
  return true
end

--- Change the owner; of a link in a volume it is an error.
-- @string path
-- @param owner name or number, or nil to leave it
-- @param[opt] group the owner's own if left out
function M.chown(path, owner, group)
  if owner == nil and group == nil then fault.raise(STATUS.script, "fs.chown takes an owner, a group or both") end
  local uid, gid = file.owner(owner, group, "fs.chown")
  apply("change the owner of " .. strict.path(path, "fs.chown"), path, nil, uid, gid)
end

--- Change the mode; of a link in a volume it is an error.
-- @string path
-- @string mode "0640"
function M.chmod(path, mode)
  apply("change the mode of " .. strict.path(path, "fs.chmod"), path, file.mode(mode, "the mode of fs.chmod"))
end

-- Waiting -------------------------------------------------------------------------

--- Be told when a file, or what is in a folder, changes. See moonrise.changes.
function M.watch(path, f) return require("moonrise.changes").watch(strict.path(path, "fs.watch"), f) end

--- Wait until a file is ours alone. See moonrise.lock.
function M.lock(path, options) return require("moonrise.lock").take(strict.path(path, "fs.lock"), options) end

--- Prepare a volume. See moonrise.volume.
function M.volume(path, options) return require("moonrise.volume").open(path, options) end

return strict.words(M, "moonrise.fs")
