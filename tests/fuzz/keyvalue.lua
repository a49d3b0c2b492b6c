-- moonrise.format.keyvalue: see format.lua.
return dofile("tests/fuzz/format.lua")("keyvalue", { [""] = 1, shell = 1, postgresql = 1 })
