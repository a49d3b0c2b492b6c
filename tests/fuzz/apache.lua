-- moonrise.format.apache: see format.lua.
return dofile("tests/fuzz/format.lua")("apache", { [""] = 2 })
