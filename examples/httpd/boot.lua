-- Apache httpd from one volume: /data holds the site, the certificate and the logs.
local init = require "moonrise"
local env = require "moonrise.env"
local fs = require "moonrise.fs"
local probe = require "moonrise.probe"

local cfg = env.read {
  SERVER_NAME = { type = "hostname", default = "localhost", doc = "name that the site answers to" },
  HTTP_PORT = { type = "port", default = 80 },
  HTTPS_PORT = { type = "port", default = 443 },
  TLS = { type = "bool", default = true, doc = "serve HTTPS as well" },
  TLS_CERTIFICATE = { type = "path", default = "/data/tls/server.crt", doc = "self-signed if it is not there" },
  TLS_KEY = { type = "path", default = "/data/tls/server.key" },
  PROCESSES = { type = "int", min = 1, max = 1000, default = 6, doc = "most processes of httpd" },
  THREADS = { type = "int", min = 1, max = 1000, default = 25, doc = "requests at a time in each of them" },
  RESTART = { type = "enum", values = { "no", "on-failure", "always" }, default = "no", doc = "when httpd ends" },
  STOP_TIMEOUT = { type = "duration", default = "10s", doc = "for open requests; docker stop --time has to fit" },
}
init.stop_timeout = cfg.STOP_TIMEOUT

local data = fs.volume("/data", {
  template = "/usr/share/httpd/data",
  dirs = { "site", "logs", "run", tls = { mode = "0700" } },
})

-- The certificate gets its name last: one that is there is whole, and is not made again.
if cfg.TLS and not fs.exists(cfg.TLS_CERTIFICATE) then
  data:once("self-signed certificate", function()
    init.run {
      "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 3650, "-extensions", "usr_cert",
      "-subj", "/CN=" .. cfg.SERVER_NAME, "-addext", "subjectAltName=DNS:" .. cfg.SERVER_NAME,
      "-keyout", cfg.TLS_KEY, "-out", cfg.TLS_CERTIFICATE .. ".new", stderr = "capture",
    }
    fs.move(cfg.TLS_CERTIFICATE .. ".new", cfg.TLS_CERTIFICATE)
  end)
end

-- A container that was killed leaves its pid file, and httpd would take any process for itself.
local run = data:path("run")
fs.remove(run .. "/httpd.pid")
fs.render("/usr/share/httpd/site.conf.in", run .. "/site.conf", { cfg = cfg, workers = cfg.PROCESSES * cfg.THREADS })

local apache = { -- what /etc/apache2/envvars is elsewhere
  APACHE_RUN_USER = "www-data", APACHE_RUN_GROUP = "www-data",
  APACHE_RUN_DIR = run, APACHE_PID_FILE = run .. "/httpd.pid", APACHE_LOG_DIR = data:path("logs"),
}
init.start {
  "apache2", "-DFOREGROUND", name = "httpd", env = apache,
  ready = probe.http("http://127.0.0.1:" .. cfg.HTTP_PORT .. "/", { status = { 200, 301, 302, 401, 403, 404 } }),
  stop = { signal = "WINCH", grace = cfg.STOP_TIMEOUT }, -- WINCH: finish open requests first
  reload = function(httpd) -- HUP; httpd ends when it can't read its configuration, so that is tried first
    init.run { "apache2", "-t", name = "httpd", env = apache }
    httpd:signal("USR1")
  end,
  restart = cfg.RESTART,
}
