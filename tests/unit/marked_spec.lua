local marked = require "moonrise.marked"

local HOSTS = "127.0.0.1\tlocalhost\n# a comment\n10.0.0.2\tabc\n"

describe("marked lines", function()
  it("stand at the top or at the end", function()
    assert.equal("# moonrise: begin\na\nb\n# moonrise: end\n" .. HOSTS, marked.set(HOSTS, { top = { "a", "b" } }))
    assert.equal(HOSTS .. "# moonrise: begin\nc\n# moonrise: end\n", marked.set(HOSTS, { bottom = { "c" } }))
    assert.equal("x\n# moonrise: begin\nc\n# moonrise: end\n", marked.set("x", { bottom = { "c" } }))
    assert.equal(HOSTS, marked.set(HOSTS, { top = {}, bottom = {} }))
  end)

  it("take the place of those that are there", function()
    local once = marked.set(HOSTS, { top = { "a" }, bottom = { "b" } })
    assert.equal(once, marked.set(once, { top = { "a" }, bottom = { "b" } }))
    assert.equal(marked.set(HOSTS, { top = { "c" } }), marked.set(once, { top = { "c" } }))
  end)

  it("are taken out again, and lines of others come back", function()
    local ours = { top = { "a" }, bottom = { "b" }, hides = "^10" }
    local text = marked.set(HOSTS, ours)
    assert.equal("# moonrise: begin\na\n# moonrise: end\n" ..
      "127.0.0.1\tlocalhost\n# a comment\n#moonrise# 10.0.0.2\tabc\n" ..
      "# moonrise: begin\nb\n# moonrise: end\n", text)
    assert.equal(text, marked.set(text, ours))
    assert.equal(HOSTS, marked.clear(text))
    assert.equal("10.1\n", marked.clear(marked.set("10.1\n", { hides = "^10" })))
    assert.equal(HOSTS, marked.clear(HOSTS))
    assert.equal("", marked.clear(marked.set("", { top = { "a" } })))
  end)

  it("end where their mark is, or are left alone", function()
    for _, text in ipairs {
      "# moonrise: begin\na\n", "# moonrise: end\na\n", "x # moonrise: begin\na\n# moonrise: end\n",
    } do
      assert.equal(text, marked.clear(text))
    end
  end)
end)
