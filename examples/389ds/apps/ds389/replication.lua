--- Replication among suppliers, all by settings: each has a number of its own, the names
-- of the others, and the password that they share. What each is goes into dse.ldif; the
-- agreements are made as soon as the server runs, which encrypts the password in them.
-- One supplier, the seed, gives its data to the others once.
-- @module apps.ds389.replication
local init = require "moonrise"
local ldif = require "moonrise.format.ldif"
local passwords = require "apps.ds389.passwords"
local settings = require "apps.ds389.settings"

local M = {}

local MANAGER = "cn=replication manager,cn=config"
local AGAIN = 1 -- seconds between looks at a transfer

local function replica_of(suffix)
  return ('cn=replica,cn="%s",cn=mapping tree,cn=config'):format(suffix)
end

local function agreement_of(suffix, host)
  return ("cn=to %s,%s"):format(host, replica_of(suffix))
end

--- What dse.ldif needs for it.
-- @tparam Configuration config
-- @tparam table options suffix, id, password
-- @treturn table what `agree` has to know: is_new, whether the password is another one than
--   before; and the peers that there are agreements with
function M.configure(config, options)
  local suffix, replica = options.suffix, replica_of(options.suffix)
  config:add(MANAGER, {
    objectClass = { "top", "inetUser", "netscapeServer", "nsAccount" },
    cn = "replication manager", uid = "replication manager",
  })
  local is_new = config:set(MANAGER, "userPassword",
    passwords.hash(options.password, config:get(MANAGER, "userPassword")))
  config:add(replica, {
    objectClass = { "top", "nsDS5Replica", "extensibleObject" }, cn = "replica",
    nsDS5ReplicaRoot = suffix, nsDS5Flags = 1, nsDS5ReplicaType = 3, nsDS5ReplicaBindDN = MANAGER,
  })
  config:set(replica, "nsDS5ReplicaId", options.id)
  local known = { is_new = is_new }
  for _, peer in ipairs(options.peers) do
    known[peer] = config:get(agreement_of(suffix, settings.peer_parts(peer)), "cn") ~= nil
  end
  return known
end

local function add_agreement(server, dn, suffix, password, host, port)
  server:ldap({ "ldapmodify", "-a" }, ldif.dump { [dn] = {
    objectClass = { "top", "nsDS5ReplicationAgreement" }, cn = "to " .. host,
    nsDS5ReplicaRoot = suffix, nsDS5ReplicaHost = host, nsDS5ReplicaPort = port,
    nsDS5ReplicaTransportInfo = "LDAPS", nsDS5ReplicaBindMethod = "SIMPLE", nsDS5ReplicaBindDN = MANAGER,
    nsDS5ReplicaCredentials = password,
  } })
end

local function replace(server, dn, attribute, value)
  local change = ldif.parse(("dn: %s\nchangetype: modify\nreplace: %s\n"):format(dn, attribute))
  change:set(dn, attribute, value)
  server:ldap({ "ldapmodify" }, tostring(change))
end

--- Agreements with the peers, made by the running server.
-- @tparam table options suffix, peers, password
-- @tparam table known of `configure`
function M.agree(server, options, known)
  for _, peer in ipairs(options.peers) do
    local host, port = settings.peer_parts(peer)
    local dn = agreement_of(options.suffix, host)
    if not known[peer] then
      add_agreement(server, dn, options.suffix, options.password, host, port)
    elseif known.is_new then
      replace(server, dn, "nsDS5ReplicaCredentials", options.password)
    end
  end
end

-- ---- the first transfer

local function status_of(server, dn)
  local said = server:ldap { "ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", dn, "-s", "base",
    "nsds5ReplicaLastInitStatus", "nsds5BeginReplicaRefresh" }:lower()
  return said:match("nsds5replicalastinitstatus: (%C+)") or "", said:find("nsds5beginreplicarefresh:", 1, true) ~= nil
end

local function transfer(server, dn, host)
  replace(server, dn, "nsds5BeginReplicaRefresh", "start")
  local status, is_going
  repeat
    init.sleep(AGAIN)
    status, is_going = status_of(server, dn)
  until not is_going
  if status:find("^error %(0%)") then return true end
  init.log("info", "%s can't be given the data yet: %s", host, status)
end

--- Give the data to each peer once: in a job, as the peer may start later.
-- @tparam table options suffix, peers
function M.seed(server, options)
  for _, peer in ipairs(options.peers) do
    local host, job = settings.peer_parts(peer), nil
    job = init.every(AGAIN, function()
      server.data:once("data for " .. host, function()
        while not transfer(server, agreement_of(options.suffix, host), host) do init.sleep(AGAIN) end
        init.log("notice", "%s has the data", host)
      end)
      job:cancel()
    end, { name = "data for " .. host })
  end
end

return M
