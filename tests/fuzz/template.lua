-- moonrise.template with any text as the template: it must give a text or say what is
-- wrong, with a line that the template has.
local template, secret = require "moonrise.template", require "moonrise.secret"
local strict = require "moonrise.strict"

local values = { a = "text", n = 7, yes = true, no = false, f = print, s = secret.new "pw",
  L = { "x", "y" }, E = {}, t = { a = { b = "c" }, L = { 1 } } }
local other = '{{if a}}{{a|shell}}{{end}}{{include "./x"}}'
local function read(path) return path:find("x", 1, true) and other or nil end

local settings = strict.readonly(values, "setting", setmetatable({ unset = true }, { __index = values }))

return function(text)
  for _, v in ipairs { values, settings } do
    local result, why = template.render(text, v, "T", read)
    if result then
      assert(text:find("{{", 1, true) or result == text, "plain text was changed")
    else
      local line = tonumber(why:match("^T:(%d+): .")) or why:find("^[^:]*x:1: .") and 1
      assert(line and line <= select(2, text:gsub("\n", "")) + 1, why)
    end
  end
end
