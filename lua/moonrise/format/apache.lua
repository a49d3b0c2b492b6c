--- Apache's configuration: directives, in <Sections> or not.
--
--     apache.edit(text, { Listen = { 80, 443 }, ["VirtualHost *:443"] = { SSLEngine = "on" } })
--
-- The value of a directive is what follows its name, quotes and all; lines that end
-- in a backslash go on. Names are the same in any case. A section is called
-- "Name arguments"; two that are called the same are two, and can't be changed.
-- @module moonrise.format.apache
local document = require "moonrise.format.document"
local lines = require "moonrise.format.lines"

local fail = document.fail

-- Where a line ends that may go on after a backslash: as lines.line, and how many
-- lines that are.
local function logical_line(text, at)
  local first, last, following = lines.line(text, at)
  local count = 1
  while following <= #text and text:find("^\\\r?\n", following - (text:byte(following - 2) == 13 and 3 or 2)) do
    local _
    _, last, following = lines.line(text, following)
    count = count + 1
  end
  return first, last, following, count
end

local function joined(text) return (text:gsub("\\\r?\n", "")) end

local function squeeze(text) return (joined(text):gsub("[ \t]+", " ")) end

-- "<Name arguments>" -> "Name arguments"
local function open_name(content, line)
  local inside = content:match("^<(.*)>$")
  if not inside or not inside:find("^%a") then fail(line, "this is neither <Section> nor </Section>") end
  inside = squeeze(inside)
  return inside:sub(-1) == " " and inside:sub(1, -2) or inside
end

local function close_section(stack, content, line)
  local section = stack[#stack]
  local name = content:match("^</[ \t]*([^ \t>]+)[ \t]*>$")
  if not name then fail(line, "this is no </Section>") end
  if #stack == 1 then fail(line, "</%s> without <%s>", name, name) end
  local opened = section.name:match("^[^ ]+")
  if name:lower() ~= opened:lower() then
    fail(line, "</%s> where </%s> is missing, for line %d", name, opened, section.line)
  end
  stack[#stack] = nil
  return section
end

local function directive(raw, content, offset)
  local name, from = content:match("^([^ \t\\]+)[ \t]*()")
  if not name then return nil end
  local shown = content:sub(from)
  local value = joined(shown)
  return {
    raw = raw, name = name, value = shown == "" and true or value,
    from = offset + from - 1, to = offset + #content - 1,
  }
end

local function read_line(stack, raw, content, line, offset)
  local items = stack[#stack].items
  if content:find("^</") then
    close_section(stack, content, line).tail = raw
  elseif content:find("^<") then
    if #stack > document.MAX_DEPTH then fail(line, "too many sections in sections") end
    local section = {
      name = open_name(content, line), head = raw, items = {}, tail = "", line = line, is_section = true,
    }
    items[#items + 1], stack[#stack + 1] = section, section
  else
    items[#items + 1] = not content:find("^#") and directive(raw, content, offset) or { raw = raw }
  end
end

local function read(text, line)
  local stack, at = { { items = {} } }, 1
  while at <= #text do
    local first, last, following, count = logical_line(text, at)
    read_line(stack, text:sub(at, following - 1), text:sub(first, last), line, first - at + 1)
    at, line = following, line + count
  end
  local open = stack[#stack]
  if #stack > 1 then fail(open.line, "<%s> is not closed", open.name) end
  return stack[1].items
end

local function indent_in(section) return section.name and lines.indent(section) or "" end

local function fold(name, is_section) return (is_section and squeeze(name) or name):lower() end

local function line_of(name, value, like, section)
  local indent = like and like.raw:match("^[ \t]*") or indent_in(section)
  return value == true and indent .. name or indent .. name .. " " .. value
end

local function section_of(name, parent, ending)
  local indent, word = indent_in(parent), name:match("^[^ ]*")
  return ("%s<%s>%s"):format(indent, name, ending), ("%s</%s>%s"):format(indent, word, ending)
end

return document.module {
  [""] = {
    name = "apache",
    read = read,
    fold = fold,
    show = function(value) return value end,
    line = line_of,
    section = section_of,
    apart = true,
  },
}
