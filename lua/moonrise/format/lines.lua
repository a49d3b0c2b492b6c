--- What the formats that are read line by line have in common: `ini` and `keyvalue`.
-- A style is a table of functions that look at a text where a line begins:
--
--   value(text, at, line) -> name, value, from, to, next   a value, which is written from
--           `from` to `to`; the line that is behind it begins at `next`
--   head(content, line) -> name   "[section]", in a format that has such
--   group(text, at) -> name, next   "name = {", likewise
--   other(content, text, at, line) -> true or next   a line that is kept, and no more is known of it
-- Empty lines, and those that begin with one of `comments`, are kept, too. All else
-- is refused.
-- @module moonrise.format.lines
local document = require "moonrise.format.document"

local fail = document.fail

local M = {}

local SPACE = { [9] = true, [13] = true, [32] = true }

--- What stands from `at` to the end of the line: the first and the last byte that
-- is no space, and where the next line begins. (No pattern does this in a time that
-- does not grow with the square of the length.)
function M.line(text, at)
  local newline = text:find("\n", at, true) or #text + 1
  local last, first = newline - 1, text:match("^[ \t]*()", at)
  while last >= first and SPACE[text:byte(last)] do last = last - 1 end
  return first, last, math.min(newline, #text) + 1
end

local function count_lines(text) return select(2, text:gsub("\n", "")) end

local Reader = {}
Reader.__index = Reader

-- Lines without a value become one item as soon as something else comes.
function Reader:flush(to)
  if self.kept < to then self:add { raw = self.text:sub(self.kept, to - 1) } end
  self.kept = to
end

function Reader:add(item)
  local items = self.stack[#self.stack].items
  items[#items + 1] = item
end

function Reader:pass(to)
  self.line = self.line + count_lines(self.text:sub(self.at, to - 1))
  self.at = to
end

function Reader:step(to)
  self:pass(to)
  self.kept = to
end

function Reader:open(name, to)
  if #self.stack > document.MAX_DEPTH then fail(self.line, "too many sections in sections") end
  self:flush(self.at)
  local section = { name = name, head = self.text:sub(self.at, to - 1), items = {}, tail = "", is_section = true }
  section.line = self.line
  self:add(section)
  self.stack[#self.stack + 1] = section
  self:step(to)
end

function Reader:open_top(name, to)
  self:flush(self.at)
  self:check_closed()
  self.stack[2] = nil
  self:open(name, to)
end

function Reader:close(to)
  local section = self.stack[#self.stack]
  if not section.is_group then fail(self.line, "} without {") end
  self:flush(self.at)
  section.tail = self.text:sub(self.at, to - 1)
  self.stack[#self.stack] = nil
  self:step(to)
end

function Reader:check_closed()
  local section = self.stack[#self.stack]
  if section.is_group then fail(section.line, "{ without }") end
end

function Reader:read_value()
  local name, value, from, to, following = self.style.value(self.text, self.at, self.line)
  if not name then return false end
  self:flush(self.at)
  local at = self.at
  self:add {
    raw = self.text:sub(at, following - 1), name = name, value = value, from = from - at + 1, to = to - at + 1,
    line = self.line,
  }
  self:step(following)
  return true
end

-- "name = {" or "}"
function Reader:read_group(content, following)
  local style = self.style
  if not style.group then return false end
  local name, last = style.group(self.text, self.at)
  if name then
    self:open(name, last)
    self.stack[#self.stack].is_group = true
  elseif content:find("^}%*?$") then
    self:close(following)
  else
    return false
  end
  return true
end

function Reader:read_line()
  local style = self.style
  local first, last, following = M.line(self.text, self.at)
  local content = self.text:sub(first, last)
  local head = style.head and content:find("^%[") and style.head(content, self.line)
  if head then
    self:open_top(head, following)
  elseif content == "" or style.comments:find(content:sub(1, 1), 1, true) then
    self:pass(following)
  elseif not self:read_group(content, following) and not self:read_value() then
    local other = style.other(content, self.text, self.at, self.line)
    if not other then fail(self.line, style.wrong) end
    self:pass(other ~= true and other or following)
  end
end

--- The items of a text.
-- @tparam table style
-- @string text
-- @int line its first one
function M.read(style, text, line)
  local items = {}
  local reader = setmetatable({
    style = style, text = text, line = line, at = 1, kept = 1, stack = { { items = items } },
  }, Reader)
  if text:find("^\xEF\xBB\xBF") then reader.at = 4 end -- a mark of the byte order, for whoever wants one
  while reader.at <= #text do reader:read_line() end
  reader:check_closed()
  reader:flush(#text + 1)
  return items
end

-- Does the value of a line with such an indent go on here? Where, if it does.
local function goes_on(text, at, indent, stops)
  local first, last = M.line(text, at)
  if first - at <= indent or first > last then return nil end
  return not stops:find(text:sub(first, first), 1, true) and first or nil
end

--- A value that may go on in lines further in than its own: its text without their
-- indents, where it ends, and where the next line begins.
-- @string text
-- @int at where its line begins
-- @int from where the value begins
-- @string stops characters that no such line begins with
-- @tparam[opt] boolean joins a line goes on in the next one after a backslash, too
function M.indented(text, at, from, stops, joins)
  local indent = M.line(text, at) - at
  local parts, last, following = {}, nil, nil
  local more, between = from, ""
  while more do
    local first
    first, last, following = M.line(text, more)
    local is_joined = joins and last >= first and text:byte(last) == 92 and following <= #text
    parts[#parts + 1] = between
    parts[#parts + 1] = text:sub(first, is_joined and last - 1 or last)
    more = is_joined and following or goes_on(text, following, indent, stops)
    between = is_joined and " " or "\n"
  end
  return table.concat(parts), last, following
end

--- What is written for a value of several lines.
function M.fold(value, like)
  local indent = (like and like.raw:match("^[ \t]*") or "") .. "    "
  return (value:gsub("\n", "\n" .. indent))
end

--- The indent of what is added to a section: that of what is in it, or further in
-- than the section's own.
function M.indent(section)
  for i = #section.items, 1, -1 do
    local item = section.items[i]
    if item.name then return (item.raw or item.head):match("^[ \t]*") end
  end
  local indent = section.head:match("^[ \t]*")
  return indent .. (indent:find("\t", 1, true) and "\t" or "    ")
end

return M
