local journal = require "moonrise.journal"

local function record(...)
  local lines = { journal.HEADER }
  for _, name in ipairs { ... } do lines[#lines + 1] = journal.encode("done", name) end
  return table.concat(lines)
end

local function names(entries)
  local result = {}
  for i, entry in ipairs(entries) do result[i] = entry.name end
  return result
end

describe("journal", function()
  it("has a checksum that others know", function()
    -- python3 -c 'import zlib; print("%08x" % zlib.crc32(b"done site%20certificate"))'
    assert.equal("42f786c8 done site%20certificate\n", journal.encode("done", "site certificate"))
  end)

  it("gives back what was written", function()
    local odd = { "site certificate", "", "100%", "a\nb\r\0c", "\xff\xc3", " x ", ("long "):rep(1000) }
    local text = record(table.unpack(odd))
    local entries, good = journal.decode(text)
    assert.same(odd, names(entries))
    assert.equal("done", entries[1].what)
    assert.equal(#text, good)
  end)

  it("drops a torn end, wherever it is torn", function()
    local whole, last = record("one", "two"), journal.encode("done", "three")
    for length = 0, #last - 1 do
      local entries, good = journal.decode(whole .. last:sub(1, length))
      assert.same({ "one", "two" }, names(entries))
      assert.equal(#whole, good)
    end
    for _, rubbish in ipairs { "\0\0\0\0", "garbage\n", "00000000 done x\n" } do
      local entries, good = journal.decode(whole .. rubbish)
      assert.same({ "one", "two" }, names(entries))
      assert.equal(#whole, good)
    end
  end)

  it("takes a torn first line for an empty record", function()
    for length = 0, #journal.HEADER - 1 do
      local entries, good = journal.decode(journal.HEADER:sub(1, length))
      assert.same({}, entries)
      assert.equal(0, good)
    end
  end)

  it("refuses damage before the end", function()
    local text = record("one", "two", "three")
    local at = text:find("two", 1, true)
    local entries, why = journal.decode(text:sub(1, at - 1) .. "T" .. text:sub(at + 1))
    assert.is_nil(entries)
    assert.equal("line 3 is damaged", why)
  end)

  it("notices every flipped bit", function()
    local text = record("one", "two")
    for at = #journal.HEADER + 1, #text do
      for bit = 0, 7 do
        local flipped = text:sub(1, at - 1) .. string.char(text:byte(at) ~ (1 << bit)) .. text:sub(at + 1)
        local entries = journal.decode(flipped)
        assert.is_true(not entries or #entries < 2 or flipped:lower() == text:lower())
      end
    end
  end)

  it("refuses what is newer or no record", function()
    local entries, why = journal.decode("moonrise-volume 2\n")
    assert.is_nil(entries)
    assert.equal("it was written by a newer moonrise (format 2; this one reads up to 1)", why)
    entries, why = journal.decode("#!/bin/sh\nrm -rf /\n")
    assert.is_nil(entries)
    assert.equal("it does not begin as a record does", why)
  end)
end)
