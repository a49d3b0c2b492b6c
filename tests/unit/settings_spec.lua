local settings = require "moonrise.settings"
local specification = require "moonrise.specification"

local entries = specification.check {
  SERVER_NAME = { type = "hostname", default = "localhost", doc = "name that the site answers to" },
  HTTP_PORT = { type = "port", default = 80 },
  ADMIN_PASSWORD = { type = "secret", min = 8, doc = "first line\nsecond | line" },
  MOTD = { default = "" },
  ALIASES = { type = "list", of = "hostname", optional = true },
}

describe("moonrise settings", function()
  it("as text", function()
    assert.equal([[
ADMIN_PASSWORD  a secret, at least 8 characters; required
                first line
                second | line
ALIASES         a list separated by commas, of which each is a host name such as www.example.org; optional
HTTP_PORT       a port, a number from 1 to 65535; default 80
MOTD            a text; default ""
SERVER_NAME     a host name such as www.example.org; default localhost
                name that the site answers to

Each may also be given as a file: NAME_FILE=PATH, $CREDENTIALS_DIRECTORY/NAME or /run/secrets/NAME.
]], settings.page(entries))
    assert.equal("No settings are read.\n", settings.page({}))
  end)

  it("as markdown", function()
    local page = settings.page(entries, "markdown")
    assert.truthy(page:find("| `HTTP_PORT` | a port, a number from 1 to 65535 | `80` |  |\n", 1, true))
    assert.truthy(page:find("| `MOTD` | a text | default \"\" |  |\n", 1, true))
    assert.truthy(page:find("| required | first line second \\| line |\n", 1, true))
  end)

  it("as JSON", function()
    local list = require("dkjson").decode(settings.page(entries, "json"))
    assert.equal(5, #list)
    assert.same({ name = "HTTP_PORT", type = "port", required = false, default = "80", min = 1, max = 65535,
      takes = "a port, a number from 1 to 65535", where = list[3].where }, list[3])
    assert.is_true(list[1].required)
    assert.equal("hostname", list[2].of.type)
    assert.equal("[]\n", settings.page({}, "json"))
  end)

  it("names a setting once", function()
    local twice = { entries[3], entries[3] }
    assert.equal(1, #require("dkjson").decode(settings.page(twice, "json")))
  end)
end)
