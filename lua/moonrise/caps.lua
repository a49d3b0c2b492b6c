--- What the init itself may do: its effective capabilities.
-- @module moonrise.caps
local fault = require "moonrise.fault"
local strict = require "moonrise.strict"
local sys_cred = require "sys.cred"

local M = {}

local KNOWN = {}
for name in ([[
  chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
  net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin
  sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override
  mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
]]):gmatch("%S+") do KNOWN[name] = true end

--- Their names, without "cap_", sorted.
-- @treturn {string,...}
function M.list()
  local names = sys_cred.caps()
  table.sort(names)
  return names
end

--- Is this one of them?
-- @string name "net_bind_service", "CAP_NET_BIND_SERVICE"; one that does not exist is an error
function M.has(name)
  local wanted = tostring(name):lower():gsub("^cap_", "")
  if not KNOWN[wanted] then
    fault.raise(fault.STATUS.script, "there is no capability '%s'%s", tostring(name),
      require("moonrise.nearest").hint(wanted, KNOWN))
  end
  for _, held in ipairs(sys_cred.caps()) do
    if held == wanted then return true end
  end
  return false
end

return strict.words(M, "moonrise.caps")
