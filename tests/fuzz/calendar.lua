-- moonrise.calendar with any text as the expression: it must say what is wrong, or
-- strike at times that come after each other, and never search for ever.
local calendar = require "moonrise.calendar"
local DAY_BY_DAY = 20000000 -- lines: the years to the last one

return function(text)
  local spec, why = calendar.parse(text)
  if not spec then return assert(type(why) == "string" and why ~= "", "no reason") end
  local after = 1774749600.5 -- an hour before a change of the clock in Europe
  for _ = 1, 3 do
    local struck = calendar.next(spec, after)
    if not struck then return end
    assert(struck > after, "it does not go on")
    after = struck
  end
end, DAY_BY_DAY, true
