-- PostgreSQL, Apache, cron, mail and ssh from one volume: /data holds the database, the
-- host key, the queue of the mail server, and the home of admin, who gets the mail.
local init = require "moonrise"
local env = require "moonrise.env"
local fs = require "moonrise.fs"
local probe = require "moonrise.probe"

local cfg = env.read {
  GREETING = { type = "string", default = "Hello from PostgreSQL", doc = "what the page says; for the first boot" },
  AUTHORIZED_KEYS = { type = "string", optional = true, doc = "public keys that may log in as admin" },
  STOP_TIMEOUT = { type = "duration", default = "10s", doc = "docker stop --time has to fit" },
}
init.stop_timeout = cfg.STOP_TIMEOUT

local data = fs.volume("/data", {
  dirs = {
    postgresql = { owner = "postgres", mode = "0700" },
    ssh = { mode = "0700" },
    smtpd = { mode = "0711" },
    admin = { owner = "admin", mode = "0700" },
    ["admin/.ssh"] = { owner = "admin", mode = "0700" },
  },
})

-- Soon again, then less soon; what is killed more often than that is not to be helped.
local restart = { when = "on-failure", backoff = { first = "100ms" }, burst = 5, interval = "1min" }

-- The database: with it the container stands and falls. Its crash recovery is its own.
local bin = fs.glob("/usr/lib/postgresql/*/bin")[1]
local cluster = data:path("postgresql/" .. bin:match("(%d+)/bin$"))
fs.mkdir("/run/postgresql", { owner = "postgres", mode = "0755" })

local database = init.service {
  bin .. "/postgres", "-D", cluster, "-c", "listen_addresses=",
  name = "database", user = "postgres",
  ready = probe.notify(), -- a pg_isready that comes too soon is a line in the log each time
  stop = { signal = "INT", grace = cfg.STOP_TIMEOUT }, -- INT: end the sessions, write all back
  reload = { signal = "HUP" },
  restart = { when = "on-failure", burst = 2, interval = "10min" },
}

local function create_cluster()
  init.run {
    bin .. "/initdb", "--pgdata", cluster, "--auth", "peer", "--encoding", "UTF8", "--locale", "C.UTF-8",
    user = "postgres",
  }
end

local function create_schema()
  init.run {
    "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--set", "greeting=" .. cfg.GREETING,
    "--file", "/usr/share/stack/schema.sql", user = "postgres",
  }
end

-- Apache: no page without the database.
fs.mkdir("/run/apache2/socks", { owner = "www-data" })
fs.remove("/run/apache2/apache2.pid") -- left by a container that was killed
local httpd = init.service {
  "apache2", "-DFOREGROUND", name = "httpd", requires = { database },
  env = { -- what /etc/apache2/envvars is elsewhere
    APACHE_RUN_USER = "www-data", APACHE_RUN_GROUP = "www-data", APACHE_RUN_DIR = "/run/apache2",
    APACHE_PID_FILE = "/run/apache2/apache2.pid", APACHE_LOG_DIR = "/var/log/apache2",
  },
  ready = probe.http("http://127.0.0.1/", { body = "beats" }),
  stop = { signal = "WINCH", grace = cfg.STOP_TIMEOUT },
  reload = { signal = "USR1" },
  restart = restart,
}

-- Nothing of the rest ends the container when it can't be helped.
local mail = init.service {
  "smtpd", "-d", name = "mail", ready = probe.tcp(25), restart = restart, essential = false,
}

local cron = init.service { -- its jobs use the database, and mail what they say
  "cron", "-f", name = "cron", after = { database, mail },
  ready = probe.pidfile("/run/crond.pid"), restart = restart, essential = false,
}

fs.mkdir("/run/sshd")
local ssh = init.service {
  "/usr/sbin/sshd", "-D", "-e", name = "ssh",
  ready = probe.notify(), reload = { signal = "HUP" }, restart = restart, essential = false,
}
if cfg.AUTHORIZED_KEYS then
  fs.write(data:path("admin/.ssh/authorized_keys"), cfg.AUTHORIZED_KEYS .. "\n", { owner = "admin", mode = "0600" })
end

local function create_host_key()
  init.run { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", data:path("ssh/ssh_host_ed25519_key") }
end

-- Side by side: each function does its work of the first boot, then starts what waits for it.
init.all(mail, function()
  data:once("cluster", { undo = function() fs.remove(cluster, { recursive = true }) end }, create_cluster)
  database:start()
  data:once("schema", create_schema)
  init.all(httpd, cron)
end, function()
  data:once("host key", { undo = function() fs.remove(data:path("ssh/ssh_host_ed25519_key")) end }, create_host_key)
  ssh:start()
end)
