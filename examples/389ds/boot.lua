-- 389 Directory Server from one volume: /data holds its configuration, certificates,
-- databases and logs.
local init = require "moonrise"
local env = require "moonrise.env"
local fs = require "moonrise.fs"
local ds389 = require "apps.ds389"

local cfg = env.read {
  DS_SUFFIX_NAME = { type = "dn", optional = true, doc = "the suffix to make at the first boot" },
  DS_DM_PASSWORD = { type = "secret", min = 8, optional = true, doc = "of cn=Directory Manager" },
  DS_STOP_TIMEOUT = { type = "duration", default = "60s", doc = "docker stop --time has to fit" },
  DS_STARTUP_TIMEOUT = { type = "duration", default = "60s" },
}
init.stop_timeout = cfg.DS_STOP_TIMEOUT

local account = ds389.account()
local data = fs.volume("/data", { dirs = ds389.dirs(account) })
if account.user then fs.chown(data:path(), account.user, "root") end
local server = ds389.instance(data, account)

data:once("instance", function()
  server:create {
    hostname = fs.read("/etc/hostname"):match("%S+"), suffix = cfg.DS_SUFFIX_NAME,
    password = cfg.DS_DM_PASSWORD or ds389.random_password(),
  }
end)

if cfg.DS_SUFFIX_NAME then
  data:once("suffix", function() server:import(ds389.suffix_ldif(cfg.DS_SUFFIX_NAME)) end)
end

init.start(server:service {
  level = 266354688, start_timeout = cfg.DS_STARTUP_TIMEOUT, stop = { grace = cfg.DS_STOP_TIMEOUT },
})
