-- The table of a service's states for moonrise-boot(5), drawn from the code's own:
--     lua5.4 -e 'io.write(dofile "doc/states.lua")'
-- tests/unit/states_spec.lua holds the page against it.
local service = dofile("lua/moonrise/service.lua")

local events = {}
for event in pairs(service.EVENTS) do events[#events + 1] = event end
table.sort(events)

local rows = { "[[ *state*", ":[ *event*", ":[ *next*", ":[ *what is done*" }
for _, state in ipairs(service.STATES) do
  for _, event in ipairs(events) do
    local cell = service.TABLE[state][event]
    if cell then
      local actions = cell[2] and table.concat(cell, ", ", 2) or "nothing"
      for i, text in ipairs { state, event, cell[1], actions } do
        rows[#rows + 1] = (i == 1 and "|  " or ":  ") .. text
      end
    end
  end
end
rows[#rows + 1] = ""
for _, event in ipairs(events) do
  rows[#rows + 1] = "- _" .. event .. "_: " .. service.EVENTS[event]
end
return table.concat(rows, "\n") .. "\n"
