--- Files of names and values, one of each in a line. Styles:
--
--   ""            `name = value`, `name value` or `name: value`, as in sysctl.conf, main.cf
--                 or nsswitch.conf. Values are what stands there to the end of the line;
--                 behind a "=", lines further in go on with it.
--   "shell"       NAME=value as in /etc/default/* and os-release, with the shell's quotes;
--                 other commands are kept, and nothing is expanded
--   "postgresql"  postgresql.conf: 'quotes', comments behind values, names in any case
-- @module moonrise.format.keyvalue
local document = require "moonrise.format.document"
local lines = require "moonrise.format.lines"

local fail = document.fail

local function same(name) return name end

-- The usual style -------------------------------------------------------------------

local COMMENTS = "#;"

-- Where the value behind a name begins; is it one that may have several lines?
local function behind(text, at)
  local from = text:match("^[ \t]*=[ \t]*()", at)
  if from then return from, true end
  return text:match("^[ \t]*:[ \t]+()", at) or text:match("^:()\r?%f[\n\0]", at) or text:match("^[ \t]+()", at), false
end

local function value(text, at)
  local first, last, following = lines.line(text, at)
  local name = text:sub(first, last):match("^[^ \t=]+")
  if not name then return nil end
  if first + #name - 1 == last and name:sub(-1) ~= ":" then return name, true, last + 1, last, following end
  if #name > 1 and name:sub(-1) == ":" and text:find("^[ \t\r\n]", first + #name) then name = name:sub(1, -2) end
  local from, may_go_on = behind(text, first + #name)
  if not from then return nil end
  local content = text:sub(from, last)
  if may_go_on then content, last, following = lines.indented(text, at, from, COMMENTS) end
  return name, content, from, last, following
end

local function show(new, _, like) return lines.fold(new, like) end

-- Indent and separator as in a line nearby.
local function line(name, new, like)
  local indent, between = "", " = "
  if like then
    indent = like.raw:match("^[ \t]*")
    if like.value ~= true and like.value ~= "" then between = like.raw:sub(#indent + #like.name + 1, like.from - 1) end
  end
  return new == true and indent .. name or indent .. name .. between .. show(new, nil, like)
end

local plain = {
  comments = COMMENTS,
  goes_on = true,
  value = value,
  other = function() return false end,
  wrong = "neither 'name = value' nor a comment",
}

-- Shell -----------------------------------------------------------------------------

-- What is in double quotes, and where they end; nothing when there is a command in it.
local function double_quoted(text, from, line_number)
  local parts, at = {}, from + 1
  while true do
    local found = text:find('["\\`$]', at) or fail(line_number, "a quote is not closed")
    local char, following = text:sub(found, found), text:sub(found + 1, found + 1)
    parts[#parts + 1] = text:sub(at, found - 1)
    at = found + 1
    if char == '"' then return table.concat(parts), at end
    if char == "`" or char == "$" and following == "(" then return nil end
    if char == "$" then
      parts[#parts + 1] = char
    else
      parts[#parts + 1] = following == "\n" and "" or following:find('["\\`$]') and following or char .. following
      at = at + 1
    end
  end
end

local function single_quoted(text, from, line_number)
  local to = text:find("'", from + 1, true) or fail(line_number, "a quote is not closed")
  return text:sub(from + 1, to - 1), to + 1
end

local function escaped(text, from)
  if from == #text then return "\\", from + 1 end -- with nothing behind it, it is one itself
  local char = text:sub(from + 1, from + 1)
  return char == "\n" and "" or char, from + 2
end

local function unquoted(text, from)
  local word = text:match("^[^%s'\"\\;&|<>()`]+", from)
  if word then return word, from + #word end
end

local PARTS = { ['"'] = double_quoted, ["'"] = single_quoted, ["\\"] = escaped }

local function shell_value(text, at, line_number)
  local name, from = text:match("^[ \t]*([%a_][%w_]*)=()", at)
  if not name then name, from = text:match("^[ \t]*export[ \t]+([%a_][%w_]*)=()", at) end
  if not name then return nil end
  local parts, to = {}, from
  repeat
    local part, after = (PARTS[text:sub(to, to)] or unquoted)(text, to, line_number)
    parts[#parts + 1], to = part, after or to
  until not part
  local first, last, following = lines.line(text, to)
  if first <= last and (text:byte(first) ~= 35 or first == to) then return nil end -- another command
  return name, table.concat(parts), from, to - 1, following
end

-- Any other command: where the line behind it begins, which is not in its quotes. What
-- a command in a command has for quotes is not looked at.
local function shell_command(_, text, at, line_number)
  local _, _, next_line = lines.line(text, at)
  local from = at
  while true do
    local found = text:find("['\"\\#`\n$]", from)
    local char = found and text:sub(found, found)
    if not found then return #text + 1 end
    from = found + 1
    if char == "\n" then return from end
    if char == "#" and (found == at or text:find("^[%s;&|]", found - 1)) then
      return select(3, lines.line(text, found))
    elseif char == "`" or char == "$" and text:byte(from) == 40 then
      return next_line
    elseif PARTS[char] then
      local part, after = PARTS[char](text, found, line_number)
      if not part then return next_line end
      from = after
    end
  end
end

local function shell_show(new, shown)
  local quote = shown and shown:match("^['\"]")
  if not quote and not new:find("[^%w_./:@%%+,=-]") then return new end
  if quote == "'" and not new:find("'", 1, true) then return "'" .. new .. "'" end
  return '"' .. new:gsub('[$`"\\]', "\\%0") .. '"'
end

local function shell_line(name, new, like)
  local before = like and like.raw:match("^[ \t]*export[ \t]+") or like and like.raw:match("^[ \t]*") or ""
  return before .. name .. (new == true and "" or "=" .. shell_show(new))
end

local shell = {
  comments = "#",
  value = shell_value,
  other = shell_command,
}

-- PostgreSQL ------------------------------------------------------------------------

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local ESCAPED = { ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["'"] = "''", ["\\"] = "\\\\" }

local function postgresql_quoted(text, from, line_number)
  local at = from
  repeat
    at = text:find("['\\\n]", at + 1)
    if not at or text:byte(at) == 10 then fail(line_number, "a quote is not closed") end
    local is_pair = text:byte(at) == 92 or text:byte(at + 1) == 39
    if is_pair then at = at + 1 end
  until not is_pair
  return at
end

local function unescape(text)
  return (text:gsub("(['\\])(.)([0-7]?[0-7]?)", function(mark, char, digits)
    if mark == "\\" and char:find("[0-7]") then return string.char(tonumber(char .. digits, 8) & 255) end
    return (mark == "\\" and ESCAPES[char] or char) .. digits
  end))
end

local function postgresql_value(text, at, line_number)
  local name, from = text:match("^[ \t]*([%a_][%w_.$-]*)[ \t]*=?[ \t]*()", at)
  if not name then return nil end
  local content, to
  if text:byte(from) == 39 then
    to = postgresql_quoted(text, from, line_number)
    content = unescape(text:sub(from + 1, to - 1))
  else
    content = text:match("^[^ \t\r\n#']+", from)
    if not content then return nil end
    to = from + #content - 1
  end
  local first, last, following = lines.line(text, to + 1)
  if first <= last and text:byte(first) ~= 35 then return nil end
  return name, content, from, to, following
end

local function postgresql_show(new, shown)
  local is_plain = new:find("^%-?%d+%.?%d*%a*$") or new:find("^[%a_][%w_]*$")
  if is_plain and not (shown and shown:find("^'")) then return new end
  return "'" .. new:gsub("[\b\f\n\r'\\]", ESCAPED) .. "'"
end

local function postgresql_line(name, new) return name .. " = " .. (new == true and "" or postgresql_show(new)) end

local postgresql = {
  comments = "#",
  value = postgresql_value,
  other = function() return false end,
  wrong = "neither 'name = value' nor a comment",
}

-- Styles ----------------------------------------------------------------------------

local function format(name, style, show_value, new_line, fold)
  return {
    goes_on = style.goes_on,
    name = name,
    read = function(text, line_number) return lines.read(style, text, line_number) end,
    fold = fold or same,
    show = show_value,
    line = new_line,
    section = function() end,
  }
end

return document.module {
  [""] = format("keyvalue", plain, show, line),
  shell = format("shell", shell, shell_show, shell_line),
  postgresql = format("postgresql.conf", postgresql, postgresql_show, postgresql_line, string.lower),
}
