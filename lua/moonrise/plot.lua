--- The boot as a picture: `moonrise plot`. One bar for each step and each service, on
-- an axis of time. A picture of text and rectangles, so that every viewer shows it.
-- @module moonrise.plot
local M = {}

local ROW, BAR = 22, 14 -- height of a row, and of the bar in it
local TOP, BOTTOM = 64, 40
local MARGIN, PLOT = 16, 860 -- around all, and the width of the axis
local LETTER = 7.2 -- width of a letter of the labels, about
local LABEL_MAX = 40 -- letters

local STYLE = [[
  text { font: 12px "DejaVu Sans", Verdana, sans-serif; fill: #222 }
  .head { font-size: 16px; font-weight: bold }
  .small { font-size: 11px; fill: #666 }
  .grid { stroke: #ddd } .end { stroke: #393; stroke-dasharray: 4 3 }
  .run { fill: #7a6fac } .once { fill: #c9c2e6 } .volume { fill: #b08d57 }
  .waiting { fill: #ddd } .starting { fill: #f0a030 } .ready { fill: #63b463 } .reloading { fill: #8cc88c }
  .backoff { fill: #f7d9a8 } .stopping { fill: #9ab } .failed { fill: #d04040 } .stopped { fill: none }
]]

local LEGEND = {
  { "volume", "volume" }, { "once", "once" }, { "run", "run" }, { "waiting", "waits for others" },
  { "starting", "starting" }, { "ready", "ready" }, { "backoff", "to be restarted" }, { "failed", "failed" },
}

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escape(text)
  text = utf8.len(text) and text or text:gsub("[\128-\255]", "?")
  return (text:gsub('[&<>"]', ESCAPES):gsub("[%c\127]", " "))
end

local function shorten(text)
  local length = utf8.len(text)
  if not length or length <= LABEL_MAX then return text end
  return text:sub(1, utf8.offset(text, LABEL_MAX) - 1) .. "…"
end

local function duration(seconds)
  if seconds < 0.00995 then return ("%.1f ms"):format(seconds * 1000) end
  if seconds < 0.995 then return ("%.0f ms"):format(seconds * 1000) end
  return ("%.2f s"):format(seconds)
end

-- Rows ------------------------------------------------------------------------------

local function step_row(step, finish)
  local ended = step.ended or finish
  return {
    name = step.kind == "run" and step.name or ("%s %s"):format(step.kind, step.name),
    took = duration(ended - step.began) .. (step.failed and ", failed" or ""),
    segments = { { from = step.began, to = ended, state = step.failed and "failed" or step.kind } },
  }
end

-- The states that a service went through, each from its first time to the next one's.
local function service_row(service, finish)
  local history, segments = service.history, {}
  for state, when in pairs(history) do segments[#segments + 1] = { from = when, state = state } end
  table.sort(segments, function(a, b) return a.from < b.from end)
  for i, segment in ipairs(segments) do segment.to = segments[i + 1] and segments[i + 1].from or finish end
  return {
    name = service.name,
    took = history.ready and duration(history.ready - (history.starting or history.ready)) or
      history.failed and "failed" or "not ready",
    segments = segments,
  }
end

-- By their beginning; what has begun at the same time in the order given.
local function collect(data)
  local rows = {}
  for _, step in ipairs(data.steps) do rows[#rows + 1] = step_row(step, data.finish) end
  for _, service in ipairs(data.services) do
    local row = service_row(service, data.finish)
    if row.segments[1] and row.segments[1].from <= data.finish then rows[#rows + 1] = row end
  end
  for i, row in ipairs(rows) do row.place = i end
  table.sort(rows, function(a, b)
    local first, second = a.segments[1].from, b.segments[1].from
    if first ~= second then return first < second end
    return a.place < b.place
  end)
  return rows
end

-- Drawing -----------------------------------------------------------------------------

local function label_width(rows)
  local longest = 0
  for _, row in ipairs(rows) do longest = math.max(longest, utf8.len(shorten(row.name)) or LABEL_MAX) end
  return math.ceil(longest * LETTER) + 8
end

-- 1, 2 or 5 times a power of ten, so that there are at most ten of them.
local function tick_step(span)
  local power = 10 ^ math.floor(math.log(span / 10, 10))
  for _, factor in ipairs { 1, 2, 5, 10 } do
    if span / (factor * power) <= 10 then return factor * power end
  end
end

local function tick_label(seconds, step)
  if step < 0.0009 then return ("%.1f ms"):format(seconds * 1000) end
  if step < 0.9 and seconds < 0.9995 then return ("%.0f ms"):format(seconds * 1000) end
  return (step < 0.9 and "%.2f s" or "%.0f s"):format(seconds)
end

local function draw_axis(add, data, x, bottom)
  local span = data.finish - data.began
  local step = tick_step(span)
  for i = 0, math.floor(span / step + 0.001) do
    local at = x(data.began + i * step)
    add('<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>', at, TOP - 6, at, bottom)
    add('<text class="small" x="%.1f" y="%d" text-anchor="middle">%s</text>', at, TOP - 12,
      tick_label(i * step, step))
  end
  if data.ready then
    local at = x(data.ready)
    add('<line class="end" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>', at, TOP - 6, at, bottom)
  end
end

local function draw_row(add, row, x, y, finish)
  add('<text x="%d" y="%d">%s<title>%s</title></text>', MARGIN, y + BAR - 3, escape(shorten(row.name)),
    escape(row.name))
  for _, segment in ipairs(row.segments) do
    local from, to = x(math.min(segment.from, finish)), x(math.min(segment.to, finish))
    add('<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"><title>%s: %s %s</title></rect>', segment.state,
      from, y, math.max(to - from, 1), BAR, escape(row.name), segment.state, duration(segment.to - segment.from))
  end
  add('<text class="small" x="%.1f" y="%d">%s</text>', x(finish) + 8, y + BAR - 3, row.took)
end

local function draw_legend(add, y)
  local at = MARGIN
  for _, entry in ipairs(LEGEND) do
    add('<rect class="%s" x="%.0f" y="%d" width="14" height="12"/>', entry[1], at, y)
    add('<text class="small" x="%.0f" y="%d">%s</text>', at + 19, y + 10, entry[2])
    at = at + 19 + #entry[2] * LETTER + 14
  end
end

--- Draw.
-- @tparam table data began, ready (nil: not yet), finish: times; host; steps: those of
--   moonrise.steps; services: those of moonrise.supervisor
-- @treturn string SVG
function M.svg(data)
  local rows, out = collect(data), {}
  local left = MARGIN + label_width(rows)
  local bottom = TOP + #rows * ROW
  local scale = PLOT / (data.finish - data.began)
  local function x(when) return left + (when - data.began) * scale end
  local function add(fmt, ...) out[#out + 1] = fmt:format(...) end
  local width, height = left + PLOT + 90, bottom + BOTTOM
  add('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">', width, height, width,
    height)
  add("<style>\n%s</style>", STYLE)
  add('<rect width="100%%" height="100%%" fill="#fff"/>')
  add('<text class="head" x="%d" y="26">%s</text>', MARGIN, escape(("%s: %s %s"):format(data.host,
    data.ready and "ready after" or "not ready after", duration((data.ready or data.finish) - data.began))))
  draw_axis(add, data, x, bottom)
  for i, row in ipairs(rows) do draw_row(add, row, x, TOP + (i - 1) * ROW + (ROW - BAR) // 2, data.finish) end
  draw_legend(add, bottom + 16)
  add("</svg>\n")
  return table.concat(out, "\n")
end

--- Draw this boot, up to now or a little beyond its end.
function M.boot()
  local boot, now = require "moonrise.boot", require("sys.loop").now()
  local ready = boot.ready_at
  local host = require("sys.file").read("/proc/sys/kernel/hostname") or "boot"
  return M.svg {
    began = boot.began, ready = ready, finish = ready and math.min(now, ready + (ready - boot.began) * 0.04) or now,
    host = host:match("^%s*(.-)%s*$"), steps = require("moonrise.steps").list,
    services = require("moonrise.supervisor").list,
  }
end

return M
