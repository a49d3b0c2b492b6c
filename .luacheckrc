-- Our own API is listed here, so that a new global is a decision.
std = "lua54"
max_line_length = 120
exclude_files = { "build" }
files["tests/unit"] = { std = "lua54+busted" }
-- A wait inside a script's own coroutine has to reach the loop.
files["lua/moonrise/boot.lua"] = { globals = { "coroutine.resume", "coroutine.wrap", "coroutine.close" } }
