--- What the formats have in common: a document is the text cut into items, which
-- joined again give it back to the byte. A change makes new text for the items that
-- it is about; all others stay what they were.
--
-- An item is a table with `raw`, its text with the end of the line. With `name` and
-- `value` it is a value; from `raw[from]` to `raw[to]` stands how the value is
-- written. With `name` and `is_section` it is a section: `head`, `items`, `tail`
-- instead of `raw`. Anything else (comments, empty lines, what the format does not
-- know) has `raw` alone.
--
-- A format is a table of
--   name                          for messages
--   read(text, line) -> items     of any part of a document; raises by M.fail
--   parse(text) -> items          of a whole document, when that is more than `read`
--   open(section)                 fills in head, items and tail, when `parse` leaves that for later
--   fold(name, is_section)        gives the same for names that mean the same
--   show(value, shown, item) -> text  how a value is written, in place of `shown` in an item
--   line(name, value, like, section, ending) -> raw  a new line, without the last `ending`; `like` is a
--                                 value nearby, or nil
--   section(name, parent, ending) -> head, tail  or nothing when `parent` can't have one
--   remains(section, items, at)   after a section was taken out of items[at]: what is left of it
--   order(names)                  sorts new names; alphabetically when there is no such function
--   first = true                  of several values of a name the first counts, not the last
--   apart = true                  sections of the same name are not one
--   goes_on = true                a line further in than a value may be part of that
-- None of them cares for what can't be written: what they make is read again.
-- @module moonrise.format.document
local fault = require "moonrise.fault"
local secret = require "moonrise.secret"

local M = {}

local Document = { __name = "document" }
Document.__index = Document

local function refuse(message, ...) fault.raise(fault.STATUS.script, message, ...) end

--- How deep sections in sections may be.
M.MAX_DEPTH = 100

--- Raise: the text that is read is wrong in a line.
-- @int line
-- @string message as string.format
function M.fail(line, message, ...) error({ line = line, message = message:format(...) }, 0) end

--- The names that lead somewhere, for messages.
function M.describe(path) return #path == 0 and "the document" or ("'%s'"):format(table.concat(path, "' '")) end

local describe = M.describe

-- Calls f; what M.fail raised becomes an error of the script.
local function guard(f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  if type(result) ~= "table" or getmetatable(result) then error(result, 0) end
  refuse("line %d: %s", result.line, result.message)
end

--- Take note of a change, for `changes`.
-- @treturn boolean has_changed
function M.note(doc, path, has_changed)
  if has_changed then doc.changed[#doc.changed + 1] = table.concat(path, " ") end
  return has_changed
end

local note = M.note

--- Give a class of documents the methods that are the same in all of them: set, remove
-- and changes.
-- @tparam table class
-- @func path_of names -> path; raises
-- @func apply(doc, path, value): let what is there be this
-- @func remove(doc, path): take it out
-- @treturn function names and a value -> path, value; for further methods
function M.changeable(class, path_of, apply, remove)
  local function path_and_value(...)
    local count = select("#", ...)
    local value = select(count, ...)
    local path = path_of(table.unpack({ ... }, 1, count - 1))
    if value == nil then refuse("the value for %s is nil", describe(path)) end
    return path, value
  end

  --- Let what these names lead to have this value and no other.
  -- @param ... names, then the value
  -- @treturn boolean whether that is a change
  function class:set(...) return apply(self, path_and_value(...)) end

  --- Take out what is there.
  -- @param ... names
  -- @treturn boolean whether there was something
  function class:remove(...)
    local path = path_of(...)
    return note(self, path, remove(self, path))
  end

  --- What was changed: the names that lead to it, with spaces between them.
  -- @treturn {string,...}
  function class:changes() return self.changed end

  return path_and_value
end

-- Looking ---------------------------------------------------------------------------

local function items_of(doc, section)
  if not section.items then guard(doc.format.open, section) end
  return section.items
end

local function push(index, key, item)
  local list = index[key]
  if list then list[#list + 1] = item else index[key] = { item } end
end

local function key_of(doc, item)
  return (item.is_section and "[" or "=") .. doc.format.fold(item.name, item.is_section)
end

-- Items by "=NAME" and "[NAME".
local function index_of(doc, section)
  if not section.index then
    local index, items = {}, items_of(doc, section)
    for i = 1, #items do
      if items[i].name then push(index, key_of(doc, items[i]), items[i]) end
    end
    section.index = index
  end
  return section.index
end

local function named(doc, section, name, is_section)
  return index_of(doc, section)[(is_section and "[" or "=") .. doc.format.fold(name, is_section)] or {}
end

-- All sections that the first `count` names of a path lead to.
local function sections_at(doc, path, count)
  local found = { doc.root }
  for i = 1, count do
    local deeper = {}
    for _, section in ipairs(found) do
      for _, item in ipairs(named(doc, section, path[i], true)) do deeper[#deeper + 1] = item end
    end
    found = deeper
  end
  return found
end

-- The values at a path, in order, and the section that each of them is in.
local function values_at(doc, path)
  local items, owners = {}, {}
  if #path == 0 then return items, owners end
  for _, section in ipairs(sections_at(doc, path, #path - 1)) do
    for _, item in ipairs(named(doc, section, path[#path], false)) do
      items[#items + 1], owners[#items + 1] = item, section
    end
  end
  return items, owners
end

local function path_of(...)
  local path = table.pack(...)
  for i = 1, path.n do
    if type(path[i]) ~= "string" then
      refuse("name %d is %s; it takes a string", i, require("moonrise.strict").describe(path[i]))
    end
  end
  return path
end

local function values_of(items)
  local values = {}
  for i, item in ipairs(items) do values[i] = item.value end
  return values
end

-- A section as a plain table; of a name with several values, a list. Names are as
-- they are written first.
local function fill(doc, section, result)
  local names = {}
  for _, item in ipairs(items_of(doc, section)) do
    local key = item.name and key_of(doc, item)
    local is_new = key and not names[key]
    if is_new then names[key] = item.name end
    local name = names[key or false]
    if name and item.is_section then
      result[name] = fill(doc, item, type(result[name]) == "table" and result[name] or {})
    elseif is_new then
      local values = values_of(named(doc, section, name, false))
      result[name] = values[2] ~= nil and values or values[1]
    end
  end
  return result
end

--- The value of a name; of several, the one that counts. Of a section all of it, as
-- a table; with no name, of the whole document.
-- @param ... names: of sections, then of a value
-- @return text, true (a name without a value), a table, or nil when there is none
function Document:get(...)
  local path = path_of(...)
  local items = values_at(self, path)
  if #items > 0 then return items[self.format.first and 1 or #items].value end
  local sections = sections_at(self, path, #path)
  if #sections == 0 then return nil end
  local result = {}
  for _, section in ipairs(sections) do fill(self, section, result) end
  return result
end

--- All values of a name, in order.
-- @param ... as for `get`
-- @treturn {string,...} may be empty
function Document:list(...) return values_of((values_at(self, path_of(...)))) end

--- The names in a section (or, with no name, in the document), in order, each once.
-- @param ... names of sections
-- @treturn {string,...}
function Document:names(...)
  local path = path_of(...)
  local names, seen = {}, {}
  for _, section in ipairs(sections_at(self, path, #path)) do
    for _, item in ipairs(items_of(self, section)) do
      local key = item.name and key_of(self, item)
      if key and not seen[key] then names[#names + 1], seen[key] = item.name, true end
    end
  end
  return names
end

-- New text --------------------------------------------------------------------------

-- Where the text of a section ends: a table, and its field with the text.
local function last_text(doc, section)
  local items = items_of(doc, section)
  if section.tail ~= "" then return section, "tail" end
  local last = items[#items]
  if not last then return section, "head" end
  if last.is_section then return last_text(doc, last) end
  return last, "raw"
end

local function close_line(doc, section)
  local item, field = last_text(doc, section)
  if item[field]:find("[^\n]$") then item[field] = item[field] .. doc.ending end
end

local function ends_in_empty_line(doc)
  local item, field = last_text(doc, doc.root)
  return item[field]:find("^\r?\n$") or item[field]:find("\n\r?\n$")
end

-- What was made must be read as what was meant, whatever follows. That is also how a
-- value is found that the format can't hold; it is not shown, since it may be a secret.
local function check(doc, raw, name, value, path)
  local count = value == nil and 1 or 2
  local text = count == 1 and raw or (raw:find("\n$") and raw or raw .. doc.ending) .. raw
  local ok, items = pcall(doc.format.read, text, 1)
  if not ok and (type(items) ~= "table" or getmetatable(items)) then error(items, 0) end
  for i = 1, count do
    local item = ok and items[i]
    if not item or #items > count or item.name ~= name or item.value ~= value then
      refuse("%s: %s can't hold this %s", describe(path), doc.format.name, value == nil and "name" or "name or value")
    end
  end
  return items[count]
end

local function position(doc, section, item)
  for i, one in ipairs(items_of(doc, section)) do
    if one == item then return i end
  end
end

-- What is behind a line, if it is a line that may go on, must not become part of it.
local function check_next(doc, raw, behind, path)
  local text = behind and (behind.raw or behind.head)
  if not text or not doc.format.goes_on then return end
  local ok, items = pcall(doc.format.read, raw .. text, 1)
  if ok and items[1].raw ~= raw then
    refuse("%s: the line behind it would become part of the one before", describe(path))
  end
end

-- The last line of a text may have no end, and then go on in what comes behind it: a
-- command of a shell script that ends in a backslash.
local function check_last(doc, section, raw, name, value, path)
  local item, field = last_text(doc, section)
  if field ~= "raw" or item.raw:find("\n$") then return end
  local ok, items = pcall(doc.format.read, item.raw .. doc.ending .. raw, 1)
  local made = ok and items[#items]
  if not made or made.name ~= name or made.value ~= value then
    refuse("%s: it would become part of the line before it", describe(path))
  end
end

local function change_value(doc, section, item, value, path)
  local format = doc.format
  local raw
  if item.from and value ~= true and item.value ~= true then
    local shown = format.show(value, item.raw:sub(item.from, item.to), item)
    raw = item.raw:sub(1, item.from - 1) .. shown .. item.raw:sub(item.to + 1)
  else
    raw = format.line(item.name, value, item, section, doc.ending) .. (item.raw:match("\r?\n$") or "")
  end
  local made = check(doc, raw, item.name, value, path)
  check_next(doc, raw, section.items[position(doc, section, item) + 1], path)
  item.raw, item.value, item.from, item.to = made.raw, made.value, made.from, made.to
end

local function insert(doc, section, at, item)
  local items = items_of(doc, section)
  if at == #items + 1 and section.tail == "" then close_line(doc, section) end
  table.insert(items, at, item)
  if section.index and item.name then push(section.index, key_of(doc, item), item) end
end

-- Behind the last value; in front of the first section when there is no value yet.
local function place_of_value(doc, section)
  local items = items_of(doc, section)
  for i = #items, 1, -1 do
    if items[i].value ~= nil then return i + 1, items[i] end
  end
  if section ~= doc.root then return 1 end
  for i, item in ipairs(items) do
    if item.is_section then return i end
  end
  return #items + 1
end

local function add_value(doc, section, value, path)
  local name = path[#path]
  local same = named(doc, section, name, false)
  local at, like = place_of_value(doc, section)
  if #same > 0 then at, like = position(doc, section, same[#same]) + 1, same[#same] end
  local raw = doc.format.line(name, value, like, section, doc.ending) .. doc.ending
  check_next(doc, raw, section.items[at], path)
  if at == #section.items + 1 then check_last(doc, section, raw, name, value, path) end
  insert(doc, section, at, check(doc, raw, name, value, path))
end

-- Sections of the document are set apart by empty lines.
local function add_to_root(doc, section)
  local items = items_of(doc, doc.root)
  local was_empty, had_line = #items == 0, ends_in_empty_line(doc)
  if not was_empty and not had_line then insert(doc, doc.root, #items + 1, { raw = doc.ending }) end
  insert(doc, doc.root, #items + 1, section)
  if not was_empty and had_line then insert(doc, doc.root, #items + 1, { raw = doc.ending }) end
end

local function add_section(doc, parent, path)
  local name = path[#path]
  local head, tail = doc.format.section(name, parent, doc.ending)
  if not head then refuse("%s has no section %s", doc.format.name, describe(path)) end
  local section = check(doc, head .. tail, name, nil, path)
  if parent == doc.root then
    add_to_root(doc, section)
  else
    local at = #items_of(doc, parent)
    while at > 0 and not parent.items[at].name do at = at - 1 end
    insert(doc, parent, at + 1, section)
  end
  return section
end

-- The section at the first `count` names of a path.
local function find_one(doc, path, count)
  local found = sections_at(doc, path, count)
  if #found > 1 and doc.format.apart then
    refuse("there are %d of %s; a change can be about only one", #found, describe { table.unpack(path, 1, count) })
  end
  return found[#found]
end

local function need_section(doc, path, count)
  local found = find_one(doc, path, count)
  if found then return found end
  return add_section(doc, need_section(doc, path, count - 1), { table.unpack(path, 1, count) })
end

-- Changing --------------------------------------------------------------------------

local function take_out_values(doc, items, owners)
  local gone, sections = {}, {}
  for i, item in ipairs(items) do gone[item], sections[owners[i]] = true, true end
  for section in next, sections do
    local kept, last_gone = {}, nil
    for _, item in ipairs(section.items) do
      local before = last_gone and kept[#kept]
      if gone[item] then
        last_gone = item
      else
        if before and before.value ~= nil then check_next(doc, before.raw, item, { last_gone.name }) end
        kept[#kept + 1], last_gone = item, nil
      end
    end
    section.items, section.index = kept, nil
  end
end

local function take_out_section(doc, parent, section)
  local at = position(doc, parent, section)
  table.remove(parent.items, at)
  if doc.format.remains then doc.format.remains(section, parent.items, at) end
  parent.index = nil
end

local function text_of(value, path)
  value = secret.reveal(value)
  if math.type(value) then value = tostring(value) end
  if type(value) == "string" or value == true or (getmetatable(value) or {}).__name == "url" then return value end
  refuse("%s can't be %s; a value is a text or a number", describe(path), require("moonrise.strict").describe(value))
end

-- The values of a name are to be these. When there are more by now, those that
-- don't count go.
local function set_values(doc, path, wanted)
  if doc.format.apart then find_one(doc, path, #path - 1) end
  local items, owners = values_at(doc, path)
  local surplus, changed = math.max(#items - #wanted, 0), false
  if surplus > 0 then
    local first, kept = doc.format.first and #wanted + 1 or 1, doc.format.first and 1 or surplus + 1
    take_out_values(doc, table.move(items, first, first + surplus - 1, 1, {}),
      table.move(owners, first, first + surplus - 1, 1, {}))
    items = table.move(items, kept, kept + #wanted - 1, 1, {})
    owners = table.move(owners, kept, kept + #wanted - 1, 1, {})
    changed = true
  end
  for i, item in ipairs(items) do
    if item.value ~= wanted[i] then
      change_value(doc, owners[i], item, wanted[i], path)
      changed = true
    end
  end
  for i = #items + 1, #wanted do
    add_value(doc, owners[#owners] or need_section(doc, path, #path - 1), wanted[i], path)
    changed = true
  end
  return changed
end

local function remove(doc, path)
  local items, owners = values_at(doc, path)
  take_out_values(doc, items, owners)
  local found = #items > 0
  for _, parent in ipairs(#path > 0 and sections_at(doc, path, #path - 1) or {}) do
    for _, section in ipairs(named(doc, parent, path[#path], true)) do
      take_out_section(doc, parent, section)
      found = true
    end
  end
  return found
end

-- In an order that is always the same.
local function names_of(doc, changes, path)
  local names = {}
  for name in next, changes do
    if type(name) ~= "string" then
      refuse("%s has [%s] = ...: either a list of values, or values by name", describe(path), tostring(name))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  if doc.format.order then doc.format.order(names) end
  return names
end

local function is_plain(value) return type(value) == "table" and not getmetatable(value) end

local function list_of(values, path)
  local list, count = {}, 0
  for _ in next, values do count = count + 1 end
  for i, value in ipairs(values) do list[i] = text_of(value, path) end
  if #list ~= count then refuse("%s has a hole in its list, or names beside it", describe(path)) end
  return list
end

local apply

local function apply_names(doc, path, changes)
  local changed, depth = false, #path + 1
  for _, name in ipairs(names_of(doc, changes, path)) do
    path[depth] = name
    if apply(doc, path, changes[name]) then changed = true end
    path[depth] = nil
  end
  return changed
end

-- false: not there; { "a", "b" }: these values; { name = ... }: a section
function apply(doc, path, value)
  if is_plain(value) and (#path == 0 or next(value) ~= nil and value[1] == nil) then
    return apply_names(doc, path, value)
  elseif #path == 0 then
    refuse("%s alone is no change; it takes names and a value, or a table of values by name",
      require("moonrise.strict").describe(value))
  elseif value == false then
    return note(doc, path, remove(doc, path))
  end
  return note(doc, path, set_values(doc, path, list_of(is_plain(value) and value or { value }, path)))
end

-- Names, then a value: a text, a number, true for a name alone, a list of these; false
-- takes the name out; a table by name goes for all of these.
local path_and_value = M.changeable(Document, path_of, apply, remove)

local function has(items, value)
  for i, item in ipairs(items) do
    if item.value == value then return i end
  end
end

--- Let a name have this value, too.
-- @param ... names, then the value
-- @treturn boolean whether that is a change
function Document:add(...)
  local path, value = path_and_value(...)
  value = text_of(value, path)
  if has(values_at(self, path), value) then return false end
  add_value(self, need_section(self, path, #path - 1), value, path)
  return note(self, path, true)
end

--- Take out one of the values of a name.
-- @param ... names, then the value
-- @treturn boolean whether it was there
function Document:drop(...)
  local path, value = path_and_value(...)
  local items, owners = values_at(self, path)
  local at = has(items, text_of(value, path))
  if at then take_out_values(self, { items[at] }, { owners[at] }) end
  return note(self, path, at ~= nil)
end

local function collect(section, parts)
  if not section.items then
    parts[#parts + 1] = section.raw
    return
  end
  parts[#parts + 1] = section.head
  for _, item in ipairs(section.items) do
    if item.is_section then collect(item, parts) else parts[#parts + 1] = item.raw end
  end
  parts[#parts + 1] = section.tail
end

--- The text.
function Document:__tostring()
  local parts = {}
  collect(self.root, parts)
  return table.concat(parts)
end

-- Modules ---------------------------------------------------------------------------

local function pick(styles, style)
  local format = styles[style or ""]
  if not format then
    refuse("there is no style '%s' of %s%s", tostring(style), styles[""].name,
      require("moonrise.nearest").hint(tostring(style), styles))
  end
  return format
end

local function parse(text, format)
  if type(text) ~= "string" then
    refuse("%s is parsed from a text, not %s", format.name, require("moonrise.strict").describe(text))
  end
  local items = guard(format.parse or format.read, text, 1)
  local root = { head = "", items = items, tail = "", is_section = true }
  local ending = text:match("\r?\n") or "\n"
  return setmetatable({ format = format, root = root, ending = ending, changed = {} }, Document)
end

local function edit(text, changes, format)
  local doc = parse(text, format)
  if type(changes) == "function" then changes(doc) else apply(doc, {}, changes) end
  return tostring(doc)
end

--- Make the module of a format.
-- @tparam {[string]=table} styles the formats by the name of the style; "": the usual one
function M.module(styles)
  return require("moonrise.strict").words({
    --- Read a text; raises when it is none of this format.
    -- @string text
    -- @string[opt] style
    -- @treturn document
    parse = function(text, style) return parse(text, pick(styles, style)) end,

    --- Change values in a text, and nothing else.
    -- @string text
    -- @param changes { NAME = value, SECTION = { NAME = value } } as for document:set, or
    --   a function that is called with the document
    -- @string[opt] style
    -- @treturn string
    edit = function(text, changes, style) return edit(text, changes, pick(styles, style)) end,

    --- The text of a document, or a new one with such values.
    -- @param value document or { NAME = value, SECTION = { NAME = value } }
    -- @string[opt] style
    -- @treturn string
    dump = function(value, style)
      if getmetatable(value) == Document then return tostring(value) end
      return edit("", value, pick(styles, style))
    end,
  }, "moonrise.format." .. styles[""].name)
end

return M
