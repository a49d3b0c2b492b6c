--- Files with [sections] of `name = value` lines. Styles:
--
--   ""      sssd.conf, my.cnf, smb.conf, unit files, what Python writes. Values are
--           what stands there to the end of the line; lines further in go on with it, and
--           so does a line after a backslash.
--   "php"   php.ini: values may be in quotes, and comments behind them
--   "krb5"  krb5.conf: `name = { ... }` is a section in a section; values may be in
--           quotes; of several values the first counts
-- @module moonrise.format.ini
local document = require "moonrise.format.document"
local lines = require "moonrise.format.lines"

local fail = document.fail

local function same(name) return name end

-- Without the space behind it.
local function trim(text)
  local _, last = lines.line(text, 1)
  return text:sub(1, last)
end

-- The name in front of the "=" of a line, and where its value begins.
local function split(text, at)
  local first, last, following = lines.line(text, at)
  local content = text:sub(first, last)
  local equals = content:find("=", 1, true)
  if not equals then return nil, first, last, following end
  local name = trim(content:sub(1, equals - 1))
  return name ~= "" and name or nil, first + equals, last, following
end

local function head(content, line)
  local name, rest = content:match("^%[([^%]]*)%]%*?(.*)$")
  if not name or rest:find("[^ \t]") and not rest:find("^[ \t]*[#;]") then fail(line, "this is no [section]") end
  return name
end

-- "  name = " as it is in a line nearby
local function start(like)
  local raw = like and like.value ~= true and like.value ~= "" and like.raw:sub(1, like.from - 1) or ""
  local equals = raw:find("=", 1, true)
  if not equals then return like and like.raw:match("^[ \t]*") or "", " = " end
  return raw:match("^[ \t]*"), raw:sub(#trim(raw:sub(1, equals - 1)) + 1)
end

local function top_section(name, parent, ending)
  if not parent.name then return "[" .. name .. "]" .. ending, "" end
end

-- Comments that stand behind an empty line belong to what follows.
local function remains(section, items, at)
  local last = section.items[#section.items]
  if not last or last.name then return end
  local kept = last.raw:match("^[ \t]*\r?\n(.*)$") or last.raw:match("\n[ \t]*\r?\n(.*)$")
  if kept and kept:find("%S") then table.insert(items, at, { raw = kept }) end
end

-- The usual style -------------------------------------------------------------------

local COMMENTS = "#;"

local function value(text, at)
  local name, from, last, following = split(text, at)
  if not name then
    name = text:match("^[%w_][%w_.-]*", from)
    if not name or from + #name - 1 ~= last then return nil end
    return name, true, last + 1, last, following
  end
  from = lines.line(text, from)
  local whole
  whole, last, following = lines.indented(text, at, from, COMMENTS .. "[", true)
  return name, whole, from, last, following
end

local plain = {
  comments = COMMENTS,
  head = head,
  value = value,
  other = function(content) return content:find("^!") ~= nil end, -- !include of my.cnf
  wrong = "neither [section] nor 'name = value'",
}

-- php.ini ---------------------------------------------------------------------------

local ESCAPED = { ['"'] = '\\"', ["\\"] = "\\\\" }

-- From a quote to the one that closes it.
local function quoted(text, from, line)
  local quote, at = text:sub(from, from), from
  repeat
    at = text:find(quote == '"' and '["\\]' or "'", at + 1)
    if not at then fail(line, "a quote is not closed") end
    local is_escape = text:byte(at) == 92
    if is_escape then at = at + 1 end
  until not is_escape
  return at
end

-- What stands in front of a comment, from `from` on, which begins in no quotes.
local function before_comment(text, from, last)
  local content = text:sub(from, last)
  return from + #trim(content:match("^[^;]*")) - 1
end

local function php_value(text, at, line)
  local name, from, last, following = split(text, at)
  if not name then return nil end
  from = lines.line(text, from)
  if not text:find("^[\"']", from) then
    last = before_comment(text, from, last)
    return name, text:sub(from, last), from, last, following
  end
  local to = quoted(text, from, line)
  local behind, behind_last, behind_next = lines.line(text, to + 1)
  if behind > behind_last or text:byte(behind) == 59 then
    local inside = text:sub(from + 1, to - 1)
    if text:byte(from) == 34 then inside = inside:gsub('\\(["\\])', "%1") end
    return name, inside, from, to, behind_next
  elseif to > last then
    fail(line, "something follows the quote")
  end
  last = before_comment(text, to + 1, last)
  return name, text:sub(from, last), from, last, following
end

-- Words and the operators of error_reporting need no quotes.
local function php_show(new, shown)
  local is_plain = not new:find("[=?{}$'\"`;#\n\r]") and
    (not new:find("[&|~^!()]") or not new:find("[^%w_ &|~^!()]")) and new:find("%S")
  if is_plain and not (shown and shown:find("^[\"']")) then return new end
  return '"' .. new:gsub('["\\]', ESCAPED) .. '"'
end

local php = {
  comments = ";#",
  head = head,
  value = php_value,
  other = function() return false end,
  wrong = "neither [section] nor 'name = value'",
}

-- krb5.conf -------------------------------------------------------------------------

local ESCAPES = { n = "\n", t = "\t", b = "\b" }
local KRB5_ESCAPED = { ["\n"] = "\\n", ["\t"] = "\\t", ["\b"] = "\\b", ['"'] = '\\"', ["\\"] = "\\\\" }

local function krb5_value(text, at, line)
  local name, from, last, following = split(text, at)
  if not name then return nil end
  from = lines.line(text, from)
  if text:byte(from) ~= 34 then
    if from > last then fail(line, "a value is missing; an empty one is \"\"") end
    return name, text:sub(from, last), from, last, following
  end
  if quoted(text, from, line) ~= last then fail(line, "this is no text in quotes") end
  local inside = text:sub(from + 1, last - 1):gsub("\\(.)", function(char) return ESCAPES[char] or char end)
  return name, inside, from, last, following
end

local function krb5_show(new)
  if new:find('^[%s"{]') or new:find("%s$") or new:find("[\n\t\b\r]") or new == "" then
    return '"' .. new:gsub('[\n\t\b"\\]', KRB5_ESCAPED) .. '"'
  end
  return new
end

-- "name = {", the brace in the same line or the next
local function group(text, at)
  local name, from, last, following = split(text, at)
  if not name then return nil end
  from = lines.line(text, from)
  if from > last then from, last, following = lines.line(text, following) end
  if from == last and text:byte(from) == 123 then return name, following end
end

local function krb5_section(name, parent, ending)
  if not parent.name then return top_section(name, parent, ending) end
  local indent = lines.indent(parent)
  return indent .. name .. " = {" .. ending, indent .. "}" .. ending
end

local KRB5_WORDS = { include = true, includedir = true, module = true }

local krb5 = {
  comments = COMMENTS,
  head = head,
  value = krb5_value,
  group = group,
  other = function(content) return KRB5_WORDS[content:match("^(%a*)[ \t]") or ""] end,
  wrong = "neither [section], 'name = value', 'name = {' nor }",
}

-- What is not in a section is not read by Kerberos.
local function krb5_parse(text, line)
  local items = lines.read(krb5, text, line)
  for _, item in ipairs(items) do
    if item.name and not (item.head and item.head:find("^[ \t]*%[")) then fail(item.line, "this is in no [section]") end
  end
  return items
end

-- Styles ----------------------------------------------------------------------------

local function line_of(show)
  return function(name, new, like, section)
    local indent, between = start(like)
    if not like and show == krb5_show then indent = lines.indent(section) end
    return new == true and indent .. name or indent .. name .. between .. show(new, nil, like)
  end
end

local function format(name, style, more)
  local result = {
    name = name,
    read = function(text, line) return lines.read(style, text, line) end,
    fold = same,
    section = top_section,
    remains = remains,
  }
  for key, value_of in pairs(more) do result[key] = value_of end
  result.line = line_of(result.show)
  return result
end

return document.module {
  [""] = format("ini", plain, {
    show = function(new, _, like) return lines.fold(new, like) end,
    goes_on = true,
  }),
  php = format("php.ini", php, { show = php_show }),
  krb5 = format("krb5.conf", krb5, {
    show = krb5_show, section = krb5_section, parse = krb5_parse, first = true,
  }),
}
