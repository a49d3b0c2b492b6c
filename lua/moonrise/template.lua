--- Templates: text with values, conditions and loops, for configuration files.
--
--     Listen {{HTTP_PORT}}
--     {{if TLS}}
--     SSLCertificateFile {{tls.certificate}}
--     {{else}}
--     # no TLS
--     {{end}}
--     {{for name in ALIASES}}
--     ServerAlias {{name}}
--     {{end}}
--
-- `{{NAME}}` and `{{NAME.FIELD}}` put a value in, as it is; a secret gives its
-- value. A condition is `NAME`, `not NAME`, `NAME == VALUE` or `NAME != VALUE`,
-- where VALUE is a "text", a number, true, false or another name; `elseif` goes on.
-- False, unset, empty text and an empty list do not hold. `{{# ... }}` is a comment
-- and `{{"..."}}` the text itself, so `{{"{{"}}` writes two braces. A line with
-- nothing but one condition, loop, end, include or comment on it leaves no empty line.
-- `{{NAME | shell}}` puts a value in as one word for the shell; the others are in
-- moonrise.escape. `{{escape shell}}` does so with all values that follow in the file,
-- but for `{{NAME | raw}}`. `{{include "FILE"}}` puts another template in, by its path
-- from this one's folder.
-- A name that there is not is an error with the template's file and line.
--
-- Two braces, because httpd has `%{X}` and `${X}`, nginx and the shell `$x` and
-- `${x}`, XML its brackets; none of them writes `{{`.
-- Pure: text in, text or an error message out.
-- @module moonrise.template
local secret = require "moonrise.secret"

local M = {}

-- Errors are tables, so that a fault in this module is not taken for one of the
-- template.
local function fail(line, fmt, ...) error({ line = line, message = fmt:format(...) }, 0) end

-- Nodes -------------------------------------------------------------------------
--
-- A template is a list of nodes; a node is a table with `line` and `emit`, which
-- appends to the list `out` what the node is with the names of `scope`.

local function emit_all(nodes, scope, out)
  for _, node in ipairs(nodes) do node:emit(scope, out) end
end

local function index(t, key) return t[key] end

-- A table of settings raises for an unknown name, and has nil for one that is
-- optional and not set; in a plain table nil is unknown.
local function field(line, t, key, path)
  local ok, value = pcall(index, t, key)
  if not ok or value == nil and not getmetatable(t) then
    fail(line, "unknown name '%s'%s", path, require("moonrise.nearest").hint(key, t))
  end
  return secret.reveal(value)
end

local function look_up(line, path, scope)
  local value, so_far
  for key in path:gmatch("[^.]+") do
    if not so_far then
      while scope.loop and scope.loop ~= key do scope = scope.outer end
      if scope.loop then value = secret.reveal(scope.value) else value = field(line, scope.values, key, key) end
      so_far = key
    else
      if type(value) ~= "table" then fail(line, "'%s' has no fields, so there is no '%s'", so_far, path) end
      so_far = so_far .. "." .. key
      value = field(line, value, key, so_far)
    end
  end
  return value
end

local Text = {}
function Text:emit(_, out) out[#out + 1] = self.text end

local Value = {}
function Value:emit(scope, out)
  local value = look_up(self.line, self.path, scope)
  if value == nil then
    fail(self.line, "'%s' is not set; {{if %s}} asks for that", self.path, self.path)
  elseif type(value) == "table" and self.escape ~= "json" then
    fail(self.line, "'%s' is a list; {{for x in %s}} goes through it", self.path, self.path)
  end
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" and kind ~= "table" then
    fail(self.line, "'%s' is a %s, which is no text", self.path, kind)
  end
  local text, why = value, nil
  if self.escape then text, why = require("moonrise.escape")[self.escape](value) end
  if why then fail(self.line, "'%s' %s", self.path, why) end
  out[#out + 1] = tostring(text)
end

local function holds(value)
  return value and value ~= "" and not (type(value) == "table" and next(value) == nil)
end

local function is_true(test, line, scope)
  local value = look_up(line, test.path, scope)
  if not test.operator then return (not holds(value)) == test.negated end
  local other = test.value
  if test.other then other = look_up(line, test.other, scope) end
  return (value == other) == (test.operator == "==")
end

local If = {}
function If:emit(scope, out)
  for _, branch in ipairs(self.branches) do
    if not branch.test or is_true(branch.test, branch.line, scope) then
      return emit_all(branch.body, scope, out)
    end
  end
end

local For = {}
function For:emit(scope, out)
  local list = look_up(self.line, self.path, scope)
  if type(list) ~= "table" then fail(self.line, "'%s' is no list", self.path) end
  for _, value in ipairs(list) do
    emit_all(self.body, { loop = self.name, value = value, outer = scope }, out)
  end
end

local Include = {}

-- Where the scope's templates are: those at the outside know.
local function outermost(scope)
  while scope.loop do scope = scope.outer end
  return scope
end

for _, class in ipairs { Text, Value, If, For, Include } do class.__index = class end

-- Tags --------------------------------------------------------------------------
--
-- The compiler keeps a stack of what is open: { line =, word =, body =, node = }.

local NAME, PATH = "[%a_][%w_]*", "[%a_][%w_.]*"

local function is_path(text) return text:find("^" .. PATH .. "$") and not text:find("%.%.") and not text:find("%.$") end

local function parse_value(test, text, line)
  local number, quoted = tonumber(text), text:match('^"([^"]*)"$')
  if quoted or number then
    test.value = quoted or number
  elseif text == "true" or text == "false" then
    test.value = text == "true"
  elseif is_path(text) then
    test.other = text
  else
    fail(line, "'%s' is no \"text\", number or name", text)
  end
end

local function parse_test(text, line)
  local path, operator, value = text:match("^(" .. PATH .. ")%s*([=!]=)%s*(.+)$")
  local test = { path = path, operator = operator, negated = false }
  if operator then
    parse_value(test, value, line)
  else
    path = text:match("^not%s+(.*)$")
    test.negated = path ~= nil
    test.path = path or text
  end
  if not is_path(test.path) then
    fail(line, "'%s' is no condition; there are NAME, not NAME, NAME == VALUE and NAME != VALUE", text)
  end
  return test
end

local function top_of(stack) return stack[#stack] end

local function add(stack, class, line, node)
  node.line = line
  local body = top_of(stack).body
  body[#body + 1] = setmetatable(node, class)
  return node
end

local function add_branch(open, line, test)
  open.body = {}
  table.insert(open.node.branches, { line = line, test = test, body = open.body })
end

local function check_escape(name, line)
  local escapes = require "moonrise.escape"
  if not escapes[name] then
    fail(line, "there is no escape '%s'%s", name, require("moonrise.nearest").hint(name, escapes))
  end
  return name
end

local TAGS = {}

TAGS["if"] = function(stack, rest, line)
  local node = add(stack, If, line, { branches = {} })
  stack[#stack + 1] = { word = "if", line = line, node = node }
  add_branch(top_of(stack), line, parse_test(rest, line))
end

TAGS["elseif"] = function(stack, rest, line)
  if top_of(stack).word ~= "if" then fail(line, "{{elseif}} without {{if}}") end
  add_branch(top_of(stack), line, parse_test(rest, line))
end

TAGS["else"] = function(stack, rest, line)
  if top_of(stack).word ~= "if" then fail(line, "{{else}} without {{if}}") end
  if rest ~= "" then
    fail(line, "{{else}} takes nothing; {{elseif %s}} takes a condition", rest:match("^if%s+(.*)") or rest)
  end
  top_of(stack).word = "else"
  add_branch(top_of(stack), line)
end

TAGS["for"] = function(stack, rest, line)
  local name, path = rest:match("^(" .. NAME .. ")%s+in%s+(.+)$")
  if not name or not is_path(path) then fail(line, "'for %s' is no loop; it is {{for x in LIST}}", rest) end
  local node = add(stack, For, line, { name = name, path = path, body = {} })
  stack[#stack + 1] = { word = "for", line = line, body = node.body }
end

TAGS["end"] = function(stack, rest, line)
  if #stack == 1 then fail(line, "{{end}} without {{if}} or {{for}}") end
  if rest ~= "" then fail(line, "{{end}} takes nothing") end
  stack[#stack] = nil
end

TAGS["#"] = function() end

TAGS["escape"] = function(stack, rest, line) stack[1].escape = check_escape(rest, line) end

TAGS["include"] = function(stack, rest, line)
  local path = rest:match('^"([^"]+)"$')
  if not path then fail(line, "'include %s' names no file; it is {{include \"FILE\"}}", rest) end
  add(stack, Include, line, { path = path })
end

-- These are names like any other, unless something follows.
local TAKES_SOMETHING = { escape = true, include = true }

-- The word and what follows it, of a tag that leaves no text of its own.
local function split_word(tag)
  if tag:sub(1, 1) == "#" then return "#" end
  local word, rest = tag:match("^([%w_.]+)%s*(.*)$")
  if not TAGS[word] or TAKES_SOMETHING[word] and (rest == "" or rest:find("^|")) then return nil end
  return word, rest
end

local function compile_value(stack, tag, line)
  local path, escape = tag:match("^(" .. PATH .. ")%s*|%s*([%w_]+)$")
  path = path or tag
  if not is_path(path) then fail(line, "'{{%s}}' is no name, and none of if, elseif, else, for, end", tag) end
  add(stack, Value, line, { path = path, escape = escape and check_escape(escape, line) or stack[1].escape })
end

local function compile_tag(stack, tag, line)
  local word, rest = split_word(tag)
  if word then
    TAGS[word](stack, rest, line)
  elseif tag:find('^".*"$') then
    add(stack, Text, line, { text = tag:sub(2, -2) })
  else
    compile_value(stack, tag, line)
  end
end

-- Text --------------------------------------------------------------------------

-- Where the line of the tag from `first` to `last` begins and the next one does,
-- if there is nothing else on it.
local function whole_line(text, first, last)
  local start = first
  while text:find("^[ \t]", start - 1) and start > 1 do start = start - 1 end
  if start > 1 and text:sub(start - 1, start - 1) ~= "\n" then return nil end
  local next_line = text:match("^[ \t]*\r?\n()", last + 1) or text:match("^[ \t]*()$", last + 1)
  if next_line then return start, next_line end
end

local function count_lines(text) return select(2, text:gsub("\n", "")) end

-- The first and the last byte of the next tag, what stands in it, and its line.
local function find_tag(text, from, line)
  local first = text:find("{{", from, true)
  if not first then return nil end
  line = line + count_lines(text:sub(from, first))
  local tag, after = text:match('^{{[ \t]*("[^"\n]*")[ \t]*}}()', first)
  if not tag then tag, after = text:match("^{{[ \t]*([^\n]-)[ \t]*}}()", first) end
  if not tag then fail(line, '{{ without }} on the same line; {{"{{"}} writes two braces') end
  return first, after - 1, tag, line
end

local function add_text(stack, text, line)
  if text ~= "" then add(stack, Text, line, { text = text }) end
end

local function compile(text)
  local stack, at, line = { { body = {} } }, 1, 1
  while true do
    local first, last, tag, tag_line = find_tag(text, at, line)
    if not first then break end
    local from, to = first, last + 1
    if split_word(tag) then
      local start, next_line = whole_line(text, first, last)
      if start then from, to = start, next_line end
    end
    add_text(stack, text:sub(at, from - 1), line)
    compile_tag(stack, tag, tag_line)
    at, line = to, tag_line + count_lines(text:sub(last, to - 1))
  end
  add_text(stack, text:sub(at), line)
  local open = stack[2] and stack[#stack]
  if open then fail(open.line, "{{%s}} has no {{end}}", open.word) end
  return stack[1].body
end

local MAX_DEPTH = 10 -- of includes in includes

local function folder_of(path) return path:match("^.*/") or "" end

-- The loops of a scope, around another file.
local function within(inner, scope)
  if not scope.loop then return inner end
  return { loop = scope.loop, value = scope.value, outer = within(inner, scope.outer) }
end

-- An error in an included template has that one's name.
function Include:emit(scope, out)
  local from = outermost(scope)
  local path = self.path:find("^/") and self.path or folder_of(from.name) .. self.path
  if from.depth == MAX_DEPTH then fail(self.line, "'%s' is included in itself", path) end
  local text, why
  if from.read then text, why = from.read(path) end
  if not text then fail(self.line, "cannot include %s: %s", path, why or "there are no other templates") end
  local inner = { values = from.values, name = path, read = from.read, depth = from.depth + 1 }
  local ok, err = pcall(function() emit_all(compile(text), within(inner, scope), out) end)
  if not ok and type(err) == "table" and err.line then err.name = err.name or path end
  if not ok then error(err, 0) end
end

-- Calls f; an error of the template becomes nil, "FILE:LINE: message".
local function guard(name, f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  if type(result) ~= "table" or not result.line then error(result, 0) end
  return nil, ("%s:%d: %s"):format(result.name or name, result.line, result.message)
end

local function render(text, values, name, read)
  local out = {}
  emit_all(compile(text), { values = values, name = name, read = read, depth = 0 }, out)
  return table.concat(out)
end

--- Fill a template in.
-- @string text the template
-- @tparam table values by name: texts, numbers, booleans, secrets, lists, tables of these
-- @string name of the template, for messages; its path, when it includes others
-- @func[opt] read path -> text of another template, or nil and why not
-- @treturn[1] string the result
-- @treturn[2] nil
-- @treturn[2] string "NAME:LINE: what is wrong"
function M.render(text, values, name, read) return guard(name, render, text, values, name, read) end

return M
