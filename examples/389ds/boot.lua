-- 389 Directory Server from one volume: /data holds its configuration, certificates,
-- databases and logs. README.md has what each setting means.
local init = require "moonrise"
local env = require "moonrise.env"
local fs = require "moonrise.fs"
local ds389 = require "apps.ds389"

local check = ds389.check
local cfg = env.read {
  DS_SUFFIX_NAME = { type = "dn", optional = true, check = check.suffix, doc = "suffix that the first boot makes" },
  DS_DM_PASSWORD = { type = "secret", min = 8, optional = true, doc = "of cn=Directory Manager" },
  DS_HOSTNAME = { type = "hostname", optional = true, doc = "in our own certificate; else the container's" },
  DS_IMPORT = { type = "path", optional = true, doc = "LDIF file that the first boot fills the suffix from" },
  DS_BACKUP = { type = "string", optional = true, check = check.calendar, doc = "when to back up: daily, 03:30, ..." },
  DS_BACKUP_KEEP = { type = "int", min = 1, default = 7, doc = "how many backups stay in /data/bak" },
  DS_REPLICA_ID = { type = "int", min = 1, max = 65534, optional = true, doc = "makes it a supplier, by this number" },
  DS_REPLICATION_PEERS = { type = "list", default = {}, check = check.peers, doc = "the others: HOST[:PORT], ..." },
  DS_REPLICATION_PASSWORD = { type = "secret", min = 8, optional = true, doc = "the same for all suppliers" },
  DS_REPLICATION_SEED = { type = "bool", default = false, doc = "give our data to the others, once" },
  DS_DB_LIB = { type = "enum", values = { "bdb", "mdb" }, optional = true, doc = "database that the first boot makes" },
  DS_DB_SIZE = { type = "bytes", min = "64M", default = "20G", doc = "how large a database of mdb may become" },
  DS_INDEXES = { type = "list", default = {}, check = check.indexes, doc = "that are to be there: mail:eq:sub, ..." },
  DS_REINDEX = { type = "bool", default = false, doc = "build all indexes anew before the server starts" },
  DS_MEMORY_PERCENTAGE = { type = "int", min = 0, max = 100, optional = true, doc = "for the caches of bdb" },
  DS_PLUGINS_ON = { type = "list", default = {}, check = check.plugin, doc = "plugins to switch on: memberOf, USN" },
  DS_PLUGINS_OFF = { type = "list", default = {}, check = check.plugin, doc = "plugins to switch off" },
  ["DS_CONFIG_*"] = { check = check.config, doc = "attributes of cn=config: DS_CONFIG_nsslapd_sizelimit" },
  DS_ERRORLOG_LEVEL = { type = "int", min = 0, default = 0, doc = "what else ns-slapd logs: a sum of bits" },
  DS_STARTUP_TIMEOUT = { type = "duration", min = "1s", default = "60s", doc = "in which the server has to be ready" },
  DS_STOP_TIMEOUT = { type = "duration", default = "60s", doc = "until it is killed; podman stop --time has to fit" },
  DS_RESTART = { type = "enum", values = { "no", "on-failure", "always" }, default = "no", doc = "when ns-slapd ends" },
  SUFFIX_NAME = { type = "dn", optional = true, check = check.suffix, doc = "the old name of DS_SUFFIX_NAME" },
  ERRORLOG_LEVEL = { type = "int", min = 0, optional = true, doc = "the old name of DS_ERRORLOG_LEVEL" },
}
check.together(cfg)
init.stop_timeout = cfg.DS_STOP_TIMEOUT
local suffix = check.suffix_of(cfg)
local hostname = cfg.DS_HOSTNAME or fs.read("/proc/sys/kernel/hostname"):match("%S+") or "localhost"

-- As root the server is dirsrv; as any other uid it is that one, with the group 0.
local account = ds389.account()
local data = fs.volume("/data", { dirs = ds389.dirs(account) })
local server = ds389.instance(data, account)
local tls = data:path("tls")

-- The first boot: all of it while there is no server yet.
data:once("instance", { undo = function() server:clear() end }, function()
  server:create {
    hostname = hostname, tls = tls, suffix = suffix, ldif = cfg.DS_IMPORT,
    db_lib = cfg.DS_DB_LIB, db_size = cfg.DS_DB_SIZE, indexes = cfg.DS_INDEXES,
    password = cfg.DS_DM_PASSWORD or server:keep_password(),
  }
end)
server:own_files()
server:finish()

-- Each boot: what the settings say goes into dse.ldif before the server reads it.
server:certify(hostname, tls)
local config = server:open_configuration()
config:set("cn=config", "nsslapd-localhost", hostname)
config:set("cn=config", "nsslapd-localuser", account.name)
if cfg.DS_DM_PASSWORD and not server.created then
  config:set("cn=config", "nsslapd-rootpw", ds389.hash(cfg.DS_DM_PASSWORD, config:get("cn=config", "nsslapd-rootpw")))
end
config:set_all(cfg["DS_CONFIG_*"])
config:switch(cfg.DS_PLUGINS_ON, "on")
config:switch(cfg.DS_PLUGINS_OFF, "off")
config:set_memory(cfg.DS_MEMORY_PERCENTAGE)
config:set_size(cfg.DS_DB_SIZE)
server:index(config, cfg.DS_INDEXES, cfg.DS_REINDEX)
local agree = cfg.DS_REPLICA_ID and server:replicate(config, {
  suffix = suffix, id = cfg.DS_REPLICA_ID, peers = cfg.DS_REPLICATION_PEERS,
  password = cfg.DS_REPLICATION_PASSWORD, seed = cfg.DS_REPLICATION_SEED,
})
config:save()

server:start(config, {
  level = check.old(cfg, "ERRORLOG_LEVEL") or cfg.DS_ERRORLOG_LEVEL, start_timeout = cfg.DS_STARTUP_TIMEOUT,
  stop = { grace = cfg.DS_STOP_TIMEOUT }, restart = cfg.DS_RESTART,
})
if agree then agree() end
if cfg.DS_BACKUP then server:backup_at(cfg.DS_BACKUP, config, cfg.DS_BACKUP_KEEP) end
