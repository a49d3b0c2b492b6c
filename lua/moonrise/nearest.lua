--- "Did you mean ...?": the known name nearest to a misspelt one.
-- Required only when something is wrong already, so it costs a boot nothing.
-- @module moonrise.nearest
local M = {}

-- Edit distance in which swapping two neighbours counts as one mistake.
local function distance(a, b)
  local row, last, before = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    last, before = row, last
    row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if before and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      row[j] = best
    end
  end
  return row[#b]
end

--- The nearest name, or nil when none is near enough to be meant.
-- @string word
-- @tparam {[string]=any} known the known names are its keys
function M.key(word, known)
  local best, best_cost
  -- One mistake in every three letters is a slip; more, or a single letter, is another word.
  local limit = #word < 2 and 0 or math.max(1, math.min(#word, 60) // 3)
  for name in pairs(known) do
    if type(name) == "string" and math.abs(#name - #word) <= limit then
      local cost = distance(word:lower(), name:lower())
      if cost <= limit and (not best or cost < best_cost or cost == best_cost and name < best) then
        best, best_cost = name, cost
      end
    end
  end
  return best
end

--- "; did you mean 'ready'?", or "" when nothing is near.
function M.hint(word, known)
  local name = M.key(word, known)
  return name and ("; did you mean '%s'?"):format(name) or ""
end

return M
