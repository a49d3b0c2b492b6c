--- JSON (RFC 8259), changed without a new layout.
--
--     json.edit(text, { server = { port = 8080, names = { "a", "b" } } })
--
-- Values are what Lua has for them: texts, numbers, true and false, tables; and
-- `json.null`. A table by name goes for these names, a list replaces a list. In a
-- table of changes `json.absent` takes a name out, for false is a value here.
-- Objects are parsed as tables, lists as tables that know that they are one
-- (`json.list`, which an empty one needs). Of a name that stands there twice the last
-- counts.
-- @module moonrise.format.json
local document = require "moonrise.format.document"
local secret = require "moonrise.secret"
local text = require "moonrise.format.jsontext"

local M = { null = text.null, absent = text.absent, list = text.list }

local describe, note = document.describe, document.note
local refuse, is_list, is_object = text.refuse, text.is_list, text.is_object

local UNIT = "  "

-- Documents -------------------------------------------------------------------------

local Document = { __name = "document" }
Document.__index = Document

local function path_of(...)
  local path = table.pack(...)
  for i = 1, path.n do
    if type(path[i]) ~= "string" and math.type(path[i]) ~= "integer" then
      refuse("name %d is %s; it takes a string, or a number in a list", i, require("moonrise.strict").describe(path[i]))
    end
  end
  return path
end

-- The place of a name in an object, or of a number in a list.
local function place(node, name)
  if node.open == "[" then return node.members[name] and name end
  for i = node.open and #node.members or 0, 1, -1 do
    if node.members[i].name == name then return i end
  end
end

local function indent_of(member) return member.before:match("\n([ \t]*)$") end

-- The node at the first `count` names of a path, and the indent of its line.
local function node_at(doc, path, count)
  local node, indent = doc.root, ""
  for i = 1, count do
    local at = place(node, path[i])
    if not at then return nil end
    local member = node.members[at]
    node, indent = member.node, indent_of(member) or indent
  end
  return node, indent
end

--- What is there, as Lua has it; nil when there is nothing.
-- @param ... names, numbers in lists
function Document:get(...)
  local path = path_of(...)
  local node = node_at(self, path, #path)
  if node then return text.value_of(node) end
end

--- What is in a list; of anything else, that alone.
function Document:list(...)
  local value = self:get(...)
  if value == nil then return {} end
  return is_list(value) and setmetatable(value, nil) or { value }
end

--- The names in an object, in order.
function Document:names(...)
  local path = path_of(...)
  local node, names = node_at(self, path, #path), {}
  for i, member in ipairs(node and node.open == "{" and node.members or {}) do names[i] = member.name end
  return names
end

-- Deep: are these the same?
local function same(a, b)
  a, b = secret.reveal(a), secret.reveal(b)
  if not (is_object(a) and is_object(b)) and not (is_list(a) and is_list(b)) then return a == b end
  for key, value in next, a do
    if not same(value, b[key]) then return false end
  end
  for key in next, b do
    if a[key] == nil then return false end
  end
  return true
end

-- A new node; in a document of several lines what has parts has several, too, but
-- for what was in one line.
local function make(doc, value, path, indent, old)
  local first = old and old.members and old.members[1]
  if first and not indent_of(first) then indent = nil end
  return (text.read(text.encode(value, path, doc.unit and indent, doc.unit)))
end

local function key_for(doc, name, like, path)
  local colon = like and like.key:match('^".*"([ \t\r\n]*:[ \t\r\n]*)$') or doc.unit and ": " or ":"
  return text.encode_scalar(name, path) .. colon
end

-- Add a member behind the last one, laid out like that.
local function append(doc, node, indent, name, value, path)
  local members = node.members
  local last = members[#members]
  local member = { name = name, before = "", after = "" }
  if last then
    member.before, member.after, last.after = last.before, last.after, ""
    if #members == 1 and last.before == "" and doc.unit then member.before = " " end
  elseif doc.unit then
    member.before, member.after = "\n" .. indent .. doc.unit, "\n" .. indent
  end
  if name then member.key = key_for(doc, name, last, path) end
  member.node = make(doc, value, path, indent_of(member) or indent)
  members[#members + 1] = member
end

local function take_out(node, at)
  local members = node.members
  local gone = table.remove(members, at)
  if #members == 0 then
    node.inner = ""
  elseif at > #members then
    members[#members].after = gone.after
  end
end

-- Let what is at a path be a value; lists and objects that lead there are made.
local function put(doc, path, value)
  local node, indent = node_at(doc, path, #path)
  if node then
    if same(text.value_of(node), value) then return false end
    local made = make(doc, value, path, indent, node)
    for _, key in ipairs { "raw", "value", "open", "close", "members", "inner" } do node[key] = made[key] end
    return true
  end
  local parent
  parent, indent = node_at(doc, path, #path - 1)
  local name, is_new = path[#path], not parent or not parent.open
  if is_new and (name == 1 or type(name) == "string") then
    return put(doc, { table.unpack(path, 1, #path - 1) }, type(name) == "string" and { [name] = value } or { value })
  elseif is_new or parent.open == "[" and name ~= #parent.members + 1 then
    refuse("%s: the list is not so long", describe(path))
  elseif parent.open == "{" and type(name) ~= "string" then
    refuse("%s is in an object, where values have names", describe(path))
  end
  append(doc, parent, indent, parent.open == "{" and name or nil, value, path)
  return true
end

local function remove(doc, path)
  local parent = #path > 0 and node_at(doc, path, #path - 1)
  local at, found = parent and place(parent, path[#path]), false
  while at do
    take_out(parent, at)
    at, found = parent.open == "{" and place(parent, path[#path]), true
  end
  return found
end

local function apply(doc, path, value)
  if value == M.absent then return note(doc, path, remove(doc, path)) end
  local node = node_at(doc, path, #path)
  if not is_object(value) or not node or node.open ~= "{" then return note(doc, path, put(doc, path, value)) end
  local changed, depth = false, #path + 1
  for _, name in ipairs(text.names_of(value, path)) do
    path[depth] = name
    if apply(doc, path, value[name]) then changed = true end
    path[depth] = nil
  end
  return changed
end

-- Names, numbers in lists, then a value; a table by name goes for these names alone.
local path_and_value = document.changeable(Document, path_of, apply, remove)

-- The list at a path, the indent of its line, and where in it a value is.
local function find(doc, path, value)
  local node, indent = node_at(doc, path, #path)
  if node and node.open ~= "[" then refuse("%s is no list", describe(path)) end
  for i, member in ipairs(node and node.members or {}) do
    if same(text.value_of(member.node), value) then return node, indent, i end
  end
  return node, indent
end

--- Let a list have this value, too.
-- @param ... names, then the value
-- @treturn boolean whether that is a change
function Document:add(...)
  local path, value = path_and_value(...)
  local node, indent, at = find(self, path, value)
  if not node then
    put(self, path, M.list { value })
  elseif not at then
    append(self, node, indent, nil, value, path)
  end
  return note(self, path, at == nil)
end

--- Take a value out of a list.
-- @param ... names, then the value
-- @treturn boolean whether it was there
function Document:drop(...)
  local path, value = path_and_value(...)
  local node, _, at = find(self, path, value)
  if at then take_out(node, at) end
  return note(self, path, at ~= nil)
end

--- The text.
function Document:__tostring()
  local parts = { self.before }
  text.collect(self.root, parts)
  parts[#parts + 1] = self.after
  return table.concat(parts)
end

-- Module ----------------------------------------------------------------------------

--- Read a text; raises when it is no JSON.
-- @treturn document
function M.parse(source)
  if type(source) ~= "string" then
    refuse("json is parsed from a text, not %s", require("moonrise.strict").describe(source))
  end
  local ok, root, before, after = pcall(text.read, source)
  if not ok then
    if type(root) ~= "table" or getmetatable(root) then error(root, 0) end
    refuse("line %d: %s", root.line, root.message)
  end
  local first = root.members and root.members[1]
  local unit = UNIT
  if first then unit = indent_of(first) end
  return setmetatable({ root = root, before = before, after = after, unit = unit, changed = {} }, Document)
end

--- Change values in a text, and nothing else.
-- @string source
-- @param changes as for document:set, or a function that is called with the document
-- @treturn string
function M.edit(source, changes)
  local doc = M.parse(source)
  if type(changes) == "function" then changes(doc) else apply(doc, {}, changes) end
  return tostring(doc)
end

--- The text of a document, or a new one of a value.
-- @treturn string
function M.dump(value)
  if getmetatable(value) == Document then return tostring(value) end
  return text.encode(value, {}, "", UNIT) .. "\n"
end

return require("moonrise.strict").words(M, "moonrise.format.json")
