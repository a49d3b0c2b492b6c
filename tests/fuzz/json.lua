-- moonrise.format.json with any text as the file: it is refused with a line that it
-- has, or given back to the byte; what is set is what is read again, and all other
-- values stay what they were.
local fault = require "moonrise.fault"
local json = require "moonrise.format.json"

local function count_lines(text) return select(2, text:gsub("\n", "")) + 1 end

local function try(f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  assert(fault.is_fault(result), tostring(result))
  return nil, result.message
end

-- As a text that is the same for the same value, unless that is no UTF-8.
local function canonical(value) return value ~= nil and try(json.dump, value) or "nothing" end

local function check_set(text, name, value)
  local doc = json.parse(text)
  if try(doc.set, doc, name, value) == nil then return end
  local again = json.parse(tostring(doc))
  assert(again:get(name) == value, "it is not what was set")
  local old = json.parse(text)
  for _, other in ipairs(old:names()) do
    if other ~= name then assert(canonical(old:get(other)) == canonical(again:get(other)), "another value changed") end
  end
end

local function check_list(text, name)
  local doc = json.parse(text)
  if try(doc.add, doc, name, "new") == nil then return end
  local list = json.parse(tostring(doc)):list(name)
  assert(list[#list] == "new" or not doc:add(name, "new"))
  assert(doc:drop(name, "new"))
  json.parse(tostring(doc))
end

return function(text)
  local doc, why = try(json.parse, text)
  if not doc then
    local line = tonumber(why:match("^line (%d+): ."))
    return assert(line and line <= count_lines(text), why)
  end
  assert(tostring(doc) == text, "another text")
  local value = doc:get()
  local dumped = try(json.dump, value) -- not when it is no UTF-8
  if dumped then assert(json.dump(json.parse(dumped):get()) == dumped) end
  local names = doc:names()
  names[#names + 1] = text:sub(2, 6)
  for i = 1, math.min(#names, 4) do
    check_set(text, names[i], text:sub(-9))
    check_set(text, names[i], 1.5)
    check_list(text, names[i])
    doc = json.parse(text)
    doc:remove(names[i])
    assert(json.parse(tostring(doc)):get(names[i]) == nil, "it is still there")
  end
end
