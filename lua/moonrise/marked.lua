--- Lines of ours in a file that also belongs to others, such as /etc/hosts, which
-- the container's engine writes. What is ours stands between two marks, at the top
-- or at the end; lines of others that are not to count meanwhile are made comments.
-- So all of it can be taken back, by us or by the next boot. Pure.
-- @module moonrise.marked
local M = {}

local BEGIN, END = "# moonrise: begin\n", "# moonrise: end\n"
local HIDDEN = "#moonrise# "

--- A text without anything of ours.
-- @string text
-- @treturn string as it was before
function M.clear(text)
  local parts, at = {}, 1
  while true do
    local first = text:find(BEGIN, at, true)
    local _, last = text:find(END, first or #text + 1, true)
    if not last or first > 1 and text:sub(first - 1, first - 1) ~= "\n" then break end
    parts[#parts + 1] = text:sub(at, first - 1)
    at = last + 1
  end
  parts[#parts + 1] = text:sub(at)
  local rest = table.concat(parts)
  if rest:find(HIDDEN, 1, true) then rest = ("\n" .. rest):gsub("\n" .. HIDDEN, "\n"):sub(2) end
  return rest
end

local function block(lines)
  if not lines or #lines == 0 then return "" end
  return BEGIN .. table.concat(lines, "\n") .. "\n" .. END
end

local function hide(text, pattern)
  local parts = {}
  for line in text:gmatch("[^\n]*\n?") do parts[#parts + 1] = line:find(pattern) and HIDDEN .. line or line end
  return table.concat(parts)
end

--- A text with these lines of ours in it, and no others of ours.
-- @string text
-- @tparam table ours top, bottom: lists of lines; hides: a pattern for lines of others
--   that are not to count
-- @treturn string
function M.set(text, ours)
  local rest = M.clear(text)
  if ours.hides then rest = hide(rest, ours.hides) end
  local bottom = block(ours.bottom)
  if bottom ~= "" and rest:find("[^\n]$") then rest = rest .. "\n" end
  return block(ours.top) .. rest .. bottom
end

return M
