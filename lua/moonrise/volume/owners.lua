--- What is in a volume belongs to names: a user or group may have another number in
-- another image. `.moonrise/owners` remembers which number a name had when the volume was
-- last used, in the format of the record (moonrise.journal): "user" or "group" with
-- "NUMBER NAME". What is being given to other numbers stands there as well, as "move" with
-- "ROUND KIND FROM TO OLD NAME", until it is done and on disk: a boot that was cut short is
-- completed by the next one.
-- @module moonrise.volume.owners
local log = require "sys.log"
local sys_cred = require "sys.cred"
local sys_file = require "sys.file"
local sys_host = require "sys.host"
local file = require "moonrise.file"
local fs = require "moonrise.fs"
local journal = require "moonrise.journal"

local M = {}

local FOLDER, NAME = "/.moonrise", "/.moonrise/owners"
local SIZE_MAX = 1 << 20
local PATHS = { user = "/etc/passwd", group = "/etc/group" }
local KINDS = { "group", "user" }
local NOBODY = 65534 -- whom the kernel shows where a user namespace has no number

-- numbers[KIND][NAME], and the first one of a number as names[KIND][NUMBER]; of root and nobody none.
local function index(numbers, names, kind, name, number)
  number = math.tointeger(number)
  if not number or number == 0 or number == NOBODY or number >= 0xffffffff then return end
  numbers[kind][name] = numbers[kind][name] or number
  names[kind][number] = names[kind][number] or name
end

-- How it is in this image; nil when there is nothing to read.
local function look()
  local numbers, names = { user = {}, group = {} }, { user = {}, group = {} }
  for kind, path in pairs(PATHS) do
    local text = sys_file.read(path, SIZE_MAX)
    if not text then return nil end
    for name, number in ("\n" .. text):gmatch("\n([^:%c]+):[^:\n]*:(%d+):") do
      index(numbers, names, kind, name, number)
    end
  end
  return { numbers = numbers, names = names, moves = {} }
end

-- Whoever may write there could have our root give away what belongs to others.
local function is_ours(path)
  local st = sys_file.stat(path, false)
  return st and st.uid == sys_cred.uid() and st.mode & 2 == 0 and (st.mode & 16 == 0 or st.gid == 0)
end

local function add_move(known, text)
  local round, kind, from, to, old, name = text:match("^(%d+) (%l+) (%d+) (%d+) (%d+) (.*)$")
  if not PATHS[kind] then return end
  known.moves[#known.moves + 1] = {
    round = tonumber(round), kind = kind, from = tonumber(from), to = tonumber(to), old = tonumber(old), name = name,
  }
end

-- How it was; nil when that is not known.
local function load(path)
  if not is_ours(path .. NAME) then return nil end
  local entries = journal.decode(sys_file.read(path .. NAME, SIZE_MAX) or "?")
  if not entries then return nil end
  local known = { numbers = { user = {}, group = {} }, names = { user = {}, group = {} }, moves = {} }
  for _, entry in ipairs(entries) do
    local number, name = entry.name:match("^(%d+) (.*)$")
    if entry.what == "move" then
      add_move(known, entry.name)
    elseif PATHS[entry.what] and name then
      index(known.numbers, known.names, entry.what, name, number)
    end
  end
  return known
end

local function save(path, state)
  local lines = { journal.HEADER }
  for _, kind in ipairs(KINDS) do
    local numbers = {}
    for number in pairs(state.names[kind]) do numbers[#numbers + 1] = number end
    table.sort(numbers)
    for _, number in ipairs(numbers) do
      lines[#lines + 1] = journal.encode(kind, ("%d %s"):format(number, state.names[kind][number]))
    end
  end
  for _, move in ipairs(state.moves) do
    lines[#lines + 1] = journal.encode("move",
      ("%d %s %d %d %d %s"):format(move.round, move.kind, move.from, move.to, move.old, move.name))
  end
  fs.write(path .. NAME, table.concat(lines), { mode = "0644", owner = sys_cred.uid(), group = 0 })
end

-- Who is no longer in the image may come back, as long as nobody else has the number.
local function keep_gone(known, now)
  for kind, names in pairs(known.names) do
    for number, name in pairs(names) do
      if not now.numbers[kind][name] and not now.names[kind][number] then now.names[kind][number] = name end
    end
  end
end

local function is_same(known, now)
  for kind, names in pairs(now.names) do
    for number, name in pairs(names) do
      if known.names[kind][number] ~= name then return false end
    end
    for number in pairs(known.names[kind]) do
      if not names[number] then return false end
    end
  end
  return true
end

-- Moves --------------------------------------------------------------------------

local function moves_of(kind, known, now)
  local moves = {}
  for number, name in pairs(known.names[kind]) do
    local to = now.numbers[kind][name]
    if to and to ~= number then
      moves[#moves + 1] = { kind = kind, from = number, to = to, old = number, name = name }
    end
  end
  table.sort(moves, function(a, b) return a.from < b.from end)
  return moves
end

-- In rounds, so that none takes to a number that another one is yet to take from: what was
-- cut short is then simply done again. In a circle, one goes by a number that nobody has.
local function put_in_rounds(moves, free, result)
  local round = 0
  while moves[1] do
    local sources, rest, count = {}, {}, #result
    round = round + 1
    for _, move in ipairs(moves) do sources[move.from] = true end
    for _, move in ipairs(moves) do
      if sources[move.to] then
        rest[#rest + 1] = move
      else
        move.round = round
        result[#result + 1] = move
      end
    end
    if #result == count then
      local first, between = rest[1], free()
      result[count + 1] = {
        round = round, kind = first.kind, from = first.from, to = between, old = first.old, name = first.name,
      }
      first.from = between
    end
    moves = rest
  end
end

-- Numbers that neither a name nor anything in the volume has, one after the other.
local function free_numbers(path, known, now)
  local used, number = nil, 0
  return function()
    if not used then
      used = {}
      for line in file.ask("look at " .. path, path, "owners", path):gmatch("%d+") do used[tonumber(line)] = true end
    end
    repeat
      number = number + 1
      local is_taken = used[number]
      for _, kind in ipairs(KINDS) do
        is_taken = is_taken or known.names[kind][number] or now.names[kind][number]
      end
    until not is_taken
    return number
  end
end

-- Doing it -----------------------------------------------------------------------

local function describe(move, more)
  return ("%s %s from %d to %d%s"):format(move.kind, move.name, move.old, move.to, more or "")
end

local function describe_all(moves)
  local parts = {}
  for number, move in ipairs(moves) do parts[number] = describe(move) end
  return table.concat(parts, ", ")
end

local function do_round(path, moves)
  local words = {}
  for _, move in ipairs(moves) do
    table.move({ move.kind, ("%d"):format(move.from), ("%d"):format(move.to) }, 1, 3, #words + 1, words)
  end
  local counts = {}
  local text = file.work("give away what is in " .. path, path, "give", path, table.unpack(words))
  for number in text:gmatch("%d+") do counts[#counts + 1] = tonumber(number) end
  return counts
end

-- What is left to be done of `state.moves`; after each round it is on disk, and noted.
local function give(path, state)
  local said, left = {}, 0
  while state.moves[1] do
    local round, rest = {}, {}
    for _, move in ipairs(state.moves) do
      local list = move.round == state.moves[1].round and round or rest
      list[#list + 1] = move
    end
    local counts = do_round(path, round)
    for number, move in ipairs(round) do
      local is_last = state.names[move.kind][move.to] == move.name
      if is_last and counts[number] > 0 then said[#said + 1] = describe(move, (" (%d)"):format(counts[number])) end
    end
    left = math.max(left, counts[#round + 1])
    state.moves = rest
    save(path, state)
  end
  if said[1] then
    log.line("notice", ("gave what is in %s to new numbers: %s"):format(path, table.concat(said, ", ")))
  end
  if left > 0 then
    log.line("warning", ("what in %s could not be given to new numbers: %d"):format(path, left))
  end
end

local function plan(path, known, now)
  local free = free_numbers(path, known, now)
  for _, kind in ipairs(KINDS) do put_in_rounds(moves_of(kind, known, now), free, now.moves) end
  table.sort(now.moves, function(a, b)
    if a.round ~= b.round then return a.round < b.round end
    return a.kind ~= b.kind and a.kind < b.kind or a.kind == b.kind and a.from < b.from
  end)
end

local function all_moves(known, now)
  local moves = {}
  for _, kind in ipairs(KINDS) do
    for _, move in ipairs(moves_of(kind, known, now)) do moves[#moves + 1] = move end
  end
  return moves
end

--- Give what belongs to a name to the number that it has in this image.
-- @string path of the volume
function M.follow(path)
  local now, is_boot, is_allowed = look(), sys_host.mode == "boot", file.may_give_away()
  if not now or not is_ours(path .. FOLDER) then return end
  local known = load(path)
  if not known then return is_boot and is_allowed and save(path, now) end
  if known.moves[1] and is_boot and is_allowed then give(path, known) end
  local moves = all_moves(known, now)
  keep_gone(known, now)
  if is_same(known, now) then return end
  if not is_boot then
    if moves[1] then require("moonrise.rehearse").note(("give what is in %s: %s"):format(path, describe_all(moves))) end
  elseif is_allowed then
    plan(path, known, now)
    save(path, now)
    give(path, now)
  elseif moves[1] then
    log.line("warning", ("what is in %s stays with its numbers, since we may not change owners: %s"):format(path,
      describe_all(moves)))
  end
end

return M
