-- What holds of every format, with any text as the file: it is refused with a line
-- that it has, or given back to the byte; what is set is what is read again, and all
-- other values stay what they were. A value that is refused changes nothing.
local fault = require "moonrise.fault"

local function count_lines(text) return select(2, text:gsub("\n", "")) + 1 end

-- A refusal is an answer; any other error is a finding.
local function try(f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  assert(fault.is_fault(result), tostring(result))
  return nil, result.message
end

-- The paths of some values.
local function find_values(doc, path, found, depth)
  for _, name in ipairs(doc:names(table.unpack(path))) do
    if #found >= 4 then return end
    local below = { table.unpack(path) }
    below[#below + 1] = name
    if #doc:list(table.unpack(below)) > 0 then found[#found + 1] = below end
    if depth < 3 then find_values(doc, below, found, depth + 1) end
  end
end

local function snapshot(doc, paths)
  local values = {}
  for i, path in ipairs(paths) do values[i] = doc:list(table.unpack(path)) end
  return values
end

local function key(doc, path)
  local parts = {}
  for i, name in ipairs(path) do parts[i] = doc.format.fold(name, i < #path) end
  return table.concat(parts, "\0")
end

local function same(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local function check_set(format, style, text, paths, at, value)
  local doc = format.parse(text, style)
  local before = snapshot(doc, paths)
  local arguments = { table.unpack(paths[at]) }
  arguments[#arguments + 1] = value
  local changed, why = try(doc.set, doc, table.unpack(arguments))
  if changed == nil then
    assert(not why:find("^line "), why)
    return
  end
  local made = tostring(doc)
  assert(changed or made == text, "it says that nothing changed")
  local again = format.parse(made, style)
  assert(tostring(again) == made)
  assert(same(again:list(table.unpack(paths[at])), { value }), "it is not what was set")
  for i, path in ipairs(paths) do
    if key(doc, path) ~= key(doc, paths[at]) then
      assert(same(again:list(table.unpack(path)), before[i]), "another value changed")
    end
  end
end

-- Names and values that may need quotes, or can't be written.
local function check_new(format, style, text, path, value)
  local doc = format.parse(text, style)
  local arguments = { table.unpack(path) }
  arguments[#arguments + 1] = value
  if not try(doc.set, doc, table.unpack(arguments)) then return end
  local again = format.parse(tostring(doc), style)
  assert(same(again:list(table.unpack(path)), { value }), "it is not what was set")
end

local function check(format, style, depth, text)
  if style == "shell" and text:find("[`(]") then return end -- commands in commands are not understood
  local doc, why = try(format.parse, text, style)
  if not doc then
    local line = tonumber(why:match("^line (%d+): ."))
    return assert(line and line <= count_lines(text), why)
  end
  assert(format.dump(doc) == text, "another text")
  if not try(doc.get, doc) then return end -- such as wrong base64
  assert(tostring(doc) == text, "looking changes it")
  local paths = {}
  find_values(doc, {}, paths, 1)
  for i = 1, #paths do
    check_set(format, style, text, paths, i, "new")
    check_set(format, style, text, paths, i, text:sub(1, 20))
    check_set(format, style, text, paths, i, text:sub(-20))
  end
  for at = 1, 2 do
    local path = {}
    for i = 1, depth do path[i] = text:sub(at + i, at + i + 7) end
    check_new(format, style, text, path, text:sub(-12))
    check_new(format, style, text, path, "x")
  end
end

--- A harness for a format, in each of its styles.
-- @string name
-- @tparam {[string]=int} styles how many names lead to a value there
return function(name, styles)
  local format = require("moonrise.format." .. name)
  return function(text)
    for style, depth in pairs(styles) do check(format, style, depth, text) end
  end
end
