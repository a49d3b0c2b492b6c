-- moonrise.format.ini: see format.lua.
return dofile("tests/fuzz/format.lua")("ini", { [""] = 2, php = 2, krb5 = 3 })
