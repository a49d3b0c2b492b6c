--- What services have written last, and what they write now: `moonrise logs`.
-- The tails (core/tail.h) hold what was read from the services' pipes, piece by piece.
-- Here it becomes lines again, of several services in the order in which they came.
-- Nothing is queued for a client that reads slowly: it is told that it missed lines.
-- @module moonrise.logs
local log = require "sys.log"
local supervisor = require "moonrise.supervisor"
local task = require "moonrise.task"

local M = {}

local WAKE = 1 -- one event for all who follow
local LINE_MAX = 16 * 1024 -- a longer one is shown in pieces
local BATCH = 32 * 1024 -- bytes written to the client at once

task.on_event.tail = function() supervisor.changed:broadcast() end

-- A view is one request: what it shows, and how far it has come with each service.
local View = {}
View.__index = View

local formats = {}

function formats.text(_, name, _, line) return name .. ": " .. line .. "\n" end

formats.json = log.format

-- A line or, with is_piece, the beginning of a longer one: what follows has its level.
local function emit(self, reader, stream, line, is_piece)
  local begun = reader.begun[stream]
  if not begun then
    begun = {}
    line, begun.level = log.level(line)
  end
  self.put(self.format(reader.time, reader.name, stream, line, begun.level))
  reader.begun[stream] = is_piece and begun or nil
end

-- The line that has begun on a stream is over, although its end has not come.
local function finish_line(self, reader, stream)
  local line = reader.pending[stream]
  reader.pending[stream] = nil
  if line then emit(self, reader, stream, line) end
  reader.begun[stream] = nil
end

-- What is left of a piece whose beginning is lost, from the next line on.
local function without_first_line(self, reader, stream, text)
  finish_line(self, reader, stream)
  if reader.has_begun then
    self.missed(("%s: lines are missing here: they came faster than they were read\n"):format(reader.name))
  end
  return text:match("\n(.*)$") or ""
end

local function split(self, reader, stream, text)
  text = (reader.pending[stream] or "") .. text
  local from = 1
  while true do
    local newline = text:find("\n", from, true)
    local last = math.min((newline or #text + 1) - 1, from + LINE_MAX - 1)
    if not newline and last - from + 1 < LINE_MAX then break end
    emit(self, reader, stream, text:sub(from, last), newline ~= last + 1)
    from = last + (newline == last + 1 and 2 or 1)
  end
  reader.pending[stream] = from <= #text and text:sub(from) or nil
end

-- One piece.
local function take(self, reader)
  local text, position, stream, is_first, is_cut = reader.tail:read(reader.position)
  if not text then return end
  reader.position, reader.time = position, reader.next
  if is_first then finish_line(self, reader, stream) end
  if is_cut then text = without_first_line(self, reader, stream, text) end
  reader.has_begun = true
  split(self, reader, stream, text)
end

-- The services: also those that have been declared since.
local function look_around(self)
  for _, service in ipairs(self.services) do
    if service.tail and not self.readers[service] then
      self.readers[service] = { name = service.name, tail = service.tail, position = 0, pending = {}, begun = {},
        limit = not self.is_following and service.tail:finish() or math.huge }
    end
  end
end

-- The one whose next piece is the oldest.
local function oldest(self)
  local found
  for _, reader in pairs(self.readers) do
    reader.next = reader.position < reader.limit and reader.tail:time(reader.position)
    if reader.next and (not found or reader.next < found.next) then found = reader end
  end
  return found
end

-- Show all that there is.
local function catch_up(self)
  local reader = oldest(self)
  while reader do
    take(self, reader)
    reader = oldest(self)
  end
end

local function finish_lines(self)
  for _, reader in pairs(self.readers) do
    for _, stream in ipairs { "stdout", "stderr", "file" } do finish_line(self, reader, stream) end
  end
end

-- Remember the last `count` lines of all that is put; returns them as text.
local function last_lines(self, count)
  local lines, first, last = {}, 1, 0
  self.put = function(line)
    last = last + 1
    lines[last] = line
    if last - first >= count then
      lines[first] = nil
      first = first + 1
    end
  end
  look_around(self)
  catch_up(self)
  if not self.is_following then finish_lines(self) end
  return table.concat(lines, "", first, last)
end

-- Gather what is put, and write it in larger pieces.
local function write_through(self, write)
  local parts, size = {}, 0
  self.flush = function()
    local text = table.concat(parts)
    parts, size = {}, 0
    if text ~= "" then write(text) end
  end
  self.put = function(line)
    parts[#parts + 1], size = line, size + #line
    if size > BATCH then self.flush() end
  end
end

-- Writing may have waited for the client: look again before waiting for more.
local function follow(self)
  while true do
    look_around(self)
    for _, reader in pairs(self.readers) do reader.tail:wake(WAKE) end
    if not oldest(self) then supervisor.changed:wait() end
    catch_up(self)
    self.flush()
  end
end

--- Show the output of services, for as long as the client wants it.
-- @tparam {Service} services
-- @tparam table options is_json, is_following; lines: how many of the last at first (nil: all)
-- @tparam table client with write(kind, text), which may wait
function M.show(services, options, client)
  local self = setmetatable({
    services = services, readers = setmetatable({}, { __mode = "k" }), is_following = options.is_following,
    format = options.is_json and formats.json or formats.text,
    missed = function(text) client:write("E", text) end,
  }, View)
  local function write(text) client:write("O", text) end
  if options.lines then write(last_lines(self, options.lines)) end
  write_through(self, write)
  if self.is_following then return follow(self) end
  look_around(self)
  catch_up(self)
  finish_lines(self)
  self.flush()
end

return M
