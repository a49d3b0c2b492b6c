-- moonrise.format.ldif: see format.lua.
return dofile("tests/fuzz/format.lua")("ldif", { [""] = 2 })
