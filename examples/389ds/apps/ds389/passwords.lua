--- Passwords: by chance, and as the server keeps them.
-- @module apps.ds389.passwords
local init = require "moonrise"

local M = {}

--- 24 characters out of 64 by chance.
function M.random()
  local file <close> = assert(io.open("/dev/urandom", "rb"))
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  return (file:read(24):gsub(".", function(c)
    local at = (c:byte() & 63) + 1
    return alphabet:sub(at, at)
  end))
end

-- pwdhash takes the password as an argument, where every process can read it.
local HASH = [[
import base64, hashlib, os, sys
salt = base64.b64decode(sys.argv[1]) if len(sys.argv) > 1 else os.urandom(24)
hashed = hashlib.pbkdf2_hmac("sha512", sys.stdin.buffer.read(), salt, 10000)
print("{PBKDF2-SHA512}10000$" + base64.b64encode(salt).decode() + "$" + base64.b64encode(hashed).decode())
]]

--- A password as the server keeps it.
-- @param password text or secret
-- @string[opt] old hash: the result is the same when it is of the same password
function M.hash(password, old)
  local salt = (old or ""):match("^{PBKDF2%-SHA512}10000%$([^$]+)%$")
  return init.run({
    "python3", "-I", "-S", "-c", HASH, salt, stdin = { text = password }, stdout = "capture", name = "hash",
  }).stdout:match("%S+") or old or "none" -- a rehearsal runs nothing
end

return M
