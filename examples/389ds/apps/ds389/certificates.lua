--- The certificate of the server, in the NSS database of its configuration folder:
-- from /data/tls, or signed by a CA of our own in /data/ssca.
-- A new database is made beside the old one, and takes its place when it is complete.
-- @module apps.ds389.certificates
local fault = require "moonrise.fault"
local fs = require "moonrise.fs"
local init = require "moonrise"
local passwords = require "apps.ds389.passwords"

local M = {}

local SERVER, OWN_CA = "Server-Cert", "Self-Signed-CA" -- as dscreate calls them
local FILES = { "key4.db", "cert9.db", "pkcs11.txt" }
local DAYS, CA_DAYS, RENEW_BEFORE = 720, 3650, 30

local function refuse(format, ...)
  fault.raise(fault.STATUS.settings, format, ...)
end

-- A command whose output is only of interest when it fails.
local function quietly(server, options)
  options.stdout, options.stderr = "capture", "capture"
  return server:run(options)
end

-- ---- the database

-- The folder in which a new database is made: with what the old one has, or empty.
local function open(server, is_empty)
  local at = server.data:path("run/nss")
  fs.remove(at, { recursive = true })
  server:mkdir(at)
  local pin = server.config .. "/pwdfile.txt"
  if not fs.exists(pin) then
    local secret = passwords.random()
    server:write(server.config .. "/pin.txt", "Internal (Software) Token:" .. secret .. "\n", "0600")
    server:write(pin, secret .. "\n", "0600")
  end
  for _, name in ipairs(FILES) do
    if not is_empty then server:write(at .. "/" .. name, fs.read(server.config .. "/" .. name), "0600") end
  end
  if is_empty then quietly(server, { "certutil", "-N", "-d", at, "-f", pin }) end
  return { at = at, pin = pin, server = server }
end

local function certutil(base, options)
  local argv = { "certutil", "-d", base.at, "-f", base.pin }
  table.move(options, 1, #options, #argv + 1, argv)
  argv.ok = options.ok
  return quietly(base.server, argv)
end

local function add_ca(base, name, path)
  certutil(base, { "-A", "-n", name, "-t", "CT,,", "-a", "-i", path })
end

-- Key and certificates reach NSS as PKCS 12 alone.
local function add_server(base, key, certificate)
  local bundle = base.at .. "/server.p12"
  quietly(base.server, {
    "openssl", "pkcs12", "-export", "-inkey", key, "-in", certificate, "-name", SERVER, "-out", bundle,
    "-passout", "pass:",
  })
  quietly(base.server, { "pk12util", "-i", bundle, "-d", base.at, "-k", base.pin, "-W", "" })
  fs.remove(bundle)
end

-- Both renames are done again by the next boot when we are killed in between.
local function close(base)
  for _, name in ipairs(FILES) do fs.move(base.at .. "/" .. name, base.server.config .. "/" .. name) end
  fs.remove(base.at, { recursive = true })
end

-- ---- our own CA

local function names_of(hostname) return hostname .. " localhost" end

local function make_key(server, path, ...)
  quietly(server, { "openssl", "genpkey", "-out", path .. ".new", ... })
  fs.chmod(path .. ".new", "0600")
  fs.move(path .. ".new", path)
end

local function make_ca(server, folder, hostname)
  make_key(server, folder .. "/ca.key", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
  quietly(server, {
    "openssl", "req", "-x509", "-new", "-key", folder .. "/ca.key", "-days", CA_DAYS, "-out", folder .. "/ca.crt",
    "-subj", "/O=moonrise/CN=CA of " .. hostname:sub(1, 50),
  })
end

-- An RSA key: the server wraps the keys of encrypted attributes with it, which EC can't.
local function make_certificate(server, folder, hostname)
  local key, request = folder .. "/server.key", folder .. "/server.csr"
  if not fs.exists(key) then make_key(server, key, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048") end
  server:write(folder .. "/server.ext", ("subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n")
    :format(names_of(hostname):gsub(" ", ",DNS:")))
  quietly(server, { "openssl", "req", "-new", "-key", key, "-out", request, "-subj", "/CN=" .. hostname:sub(1, 64) })
  quietly(server, {
    "openssl", "x509", "-req", "-in", request, "-days", DAYS, "-out", folder .. "/server.crt",
    "-CA", folder .. "/ca.crt", "-CAkey", folder .. "/ca.key", "-extfile", folder .. "/server.ext",
    "-set_serial", ("0x%x"):format(os.time()),
  })
end

--- A certificate of our own CA, for a host name. Both are made if they are missing; the
-- certificate is made anew for another name, or when it is about to expire.
function M.sign(server, hostname)
  local folder = server.data:path("ssca")
  local record = folder .. "/server.txt"
  local made = fs.exists(record) and fs.read(record) or ""
  local names, expiry = made:match("^(%C*)\n(%d+)\n$")
  if names == names_of(hostname) and tonumber(expiry) > os.time() + RENEW_BEFORE * 86400 then return end
  if not fs.exists(folder .. "/ca.crt") then make_ca(server, folder, hostname) end
  make_certificate(server, folder, hostname)
  local base = open(server, true)
  add_ca(base, OWN_CA, folder .. "/ca.crt")
  add_server(base, folder .. "/server.key", folder .. "/server.crt")
  close(base)
  server:write(record, ("%s\n%d\n"):format(names_of(hostname), os.time() + DAYS * 86400))
  init.log("notice", "a certificate for %s is signed by our own CA, %s/ca.crt", hostname, folder)
end

--- Is the certificate one that we have signed ourselves?
function M.is_own(server) return fs.exists(server.data:path("ssca/server.txt")) end

-- ---- /data/tls

local function list_files(folder)
  local files = { folder .. "/server.key", folder .. "/server.crt" }
  for _, path in ipairs(fs.glob(folder .. "/ca/*.crt")) do files[#files + 1] = path end
  return files
end

-- The public key that a file has to do with; raises with what openssl says against it.
local function public_key(what, path, options)
  options.ok, options.stdout, options.stderr = { 0, 1 }, "capture", "capture"
  local result = init.run(options)
  if result.status == 0 then return result.stdout end
  refuse("%s is %s: %s", path, what, result.stderr:match("[^\n]+") or "openssl does not read it")
end

local function check_pair(key, certificate)
  local of_key = public_key("no private key without a password", key, { "openssl", "pkey", "-in", key, "-pubout" })
  local of_certificate = public_key("no certificate", certificate,
    { "openssl", "x509", "-in", certificate, "-noout", "-pubkey" })
  if of_key ~= of_certificate then
    refuse("%s is not the key of %s; the certificate that the server has is left as it is", key, certificate)
  end
  local valid = init.run { "openssl", "x509", "-in", certificate, "-checkend", 0, ok = { 0, 1 }, stdout = "null" }
  if valid.status ~= 0 then init.log("warning", "%s has expired", certificate) end
end

local PEM = "BEGIN [%u ]-CERTIFICATE%-%-%-%-%-.-%-%-%-%-%-END [%u ]-CERTIFICATE"

-- Each certificate of a file as a text.
local function certificates_in(path)
  local list = {}
  for text in fs.read(path):gmatch(PEM) do list[#list + 1] = ("-----%s-----\n"):format(text) end
  if #list == 0 then refuse("%s has no certificate in it", path) end
  return list
end

-- What an earlier import has brought goes, so that a CA can be withdrawn.
local function drop_old(base, folder)
  local listed = certutil(base, { "-L" }).stdout
  for line in listed:gmatch("[^\n]+") do
    local name = line:match("^(.-)%s+%S*,%S*,%S*%s*$")
    if name and (name == OWN_CA or name:sub(1, #folder) == folder) then certutil(base, { "-D", "-n", name }) end
  end
  certutil(base, { "-F", "-n", SERVER, ok = { 0, 255 } })
end

local function import(server, folder, files)
  local is_first = not fs.exists(server.config .. "/cert9.db")
  local base = open(server, is_first)
  if not is_first then drop_old(base, folder) end
  for i = 3, #files do
    for number, text in ipairs(certificates_in(files[i])) do
      local path = base.at .. "/ca.pem"
      server:write(path, text)
      add_ca(base, number == 1 and files[i] or ("%s#%d"):format(files[i], number), path)
    end
  end
  for i, name in ipairs { "server.key", "server.crt" } do -- the server's user may not read the originals
    server:write(base.at .. "/" .. name, fs.read(files[i]), "0600")
  end
  add_server(base, base.at .. "/server.key", base.at .. "/server.crt")
  close(base)
end

--- Take over server.key, server.crt and ca/*.crt of a folder, if they are there and have
-- changed. What can't be used is refused before the certificate of the server is touched.
-- @treturn boolean whether the folder is in use
function M.import(server, folder)
  local files, digest = list_files(folder), {}
  local has_key, has_certificate = fs.exists(files[1]), fs.exists(files[2])
  if not has_key and not has_certificate then return false end
  if not (has_key and has_certificate) then
    refuse("there is %s, but no %s", has_key and files[1] or files[2], has_key and files[2] or files[1])
  end
  for i, path in ipairs(files) do digest[i] = fs.hash(path) .. "  " .. path .. "\n" end
  local record, text = server.config .. "/tls.imported", table.concat(digest)
  if fs.exists(record) and fs.read(record) == text then return true end
  check_pair(files[1], files[2])
  for i = 3, #files do certificates_in(files[i]) end
  fs.remove(record)
  fs.remove(server.data:path("ssca/server.txt")) -- it is no longer our own that counts
  import(server, folder, files)
  server:write(record, text)
  init.log("notice", "the certificate of %s is in use", folder)
  return true
end

return M
