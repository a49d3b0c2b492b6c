--- What the allocation sweep runs: together these call every binding. `dir` is a
-- folder for files; a case leaves it empty when it is not cut short, and starts by
-- clearing what an earlier run has left.
local dir, has_failed, send_signal, send_message = ...
local cases = {}

local function case(name, run) cases[#cases + 1] = { name = name, run = run } end

case("require", function()
  for _, name in ipairs { "control", "cred", "file", "host", "listen", "log", "loop", "net", "notify", "proc" } do
    assert(require("sys." .. name))
  end
  assert(not pcall(require, "nowhere"))
end)

case("require embedded", function() assert(require("moonrise.strict")) end)

-- Wait until the event comes, at most ten seconds; an allocation that failed may
-- have been the event's.
local function wait_for(loop, wanted)
  local deadline = loop.now() + 10
  repeat
    loop.wait(0.01)
    local event = { loop.next() }
    while event[1] do
      if event[1] == wanted then return table.unpack(event) end
      event = { loop.next() }
    end
  until has_failed() or loop.now() > deadline
  error("no event " .. wanted)
end

case("loop", function()
  local loop, net = require "sys.loop", require "sys.net"
  local r, w = net.pipe()
  assert(loop.realtime() > loop.now())
  local token = loop.watch(r, "r")
  assert(w:write("x") == 1)
  local _, got, how = wait_for(loop, "ready")
  assert(got == token and how == "r")
  loop.unwatch(loop.watch(r, "rw"))
  assert(loop.clock_changes()):close()
  assert(r:read(10) == "x")
  loop.wait(0)
end)

case("loop signal", function()
  local loop = require "sys.loop"
  send_signal(10)
  local _, name, outside = wait_for(loop, "signal")
  assert(name == "USR1" and not outside)
end)

case("loop warning", function()
  local loop = require "sys.loop"
  setmetatable({}, { __gc = function() error("broken") end })
  collectgarbage()
  local _, text = wait_for(loop, "warning")
  assert(text:find("broken"))
end)

case("net", function()
  local net = require "sys.net"
  local null <close> = net.null("r")
  assert(null:number() > 2 and null:read(1) == "" and tostring(null):find("fd"))
  assert(net.resolve("localhost")[1])
  assert(select("#", net.resolve("no.such.name.invalid")) == 3)
  local unix, reason = net.connect_unix(dir .. "/none")
  assert(not unix and reason)
  local tcp <close> = net.connect_tcp("127.0.0.1", 1)
  assert(tcp == nil or select("#", tcp:connected()) > 0)
  assert(net.notify("READY=1") == false)
  local ours, theirs = net.pair()
  local _ <close> = ours
  local _ <close> = theirs
  assert(theirs:write("a message") == 9 and ours:read(100) == "a message")
end)

case("listen", function()
  local listen, net, file = require "sys.listen", require "sys.net", require "sys.file"
  local path = dir .. "/socket"
  file.remove(path)
  local server <close> = assert(listen.unix(path, "stream", 5, 384, -1, -1))
  local client <close> = assert(net.connect_unix(path))
  local connection <close> = assert(listen.accept(server))
  assert(client and connection)
  assert(file.remove(path))
  local fifo <close> = assert(listen.fifo(path, 384, -1, -1))
  assert(fifo and file.remove(path))
  assert(not listen.inet("localhost", 80, "stream", 5))
  assert(not listen.adopt(server:number()))
end)

case("cred", function()
  local cred = require "sys.cred"
  assert(cred.user("root").groups[1] and cred.user("0").name == "root")
  assert(cred.group("root") == 0 and not cred.user("nobody-of-this-name"))
  assert(cred.caps() and cred.bounding() and cred.uid() and cred.gid())
end)

case("proc", function()
  local proc = require "sys.proc"
  assert(proc.find("sh", "/bin:/usr/bin") and not proc.find("no-such-program", "/bin"))
  assert(select(2, proc.signal("RTMIN+3")) == "RTMIN+3" and proc.signal(15) == 15)
  assert(not proc.signal("NOSUCH"))
  assert(not proc.owner(1) and proc.environ().PATH and proc.pid() > 0)
end)

case("spawn", function()
  local loop, net, proc = require "sys.loop", require "sys.net", require "sys.proc"
  local log = require "sys.log"
  local r, w = net.pipe()
  local null <close> = net.null("r")
  local child = assert(proc.spawn {
    name = "echo", path = "/bin/echo", argv = { "echo", 12 }, env = { "A=B" }, cwd = "/", umask = 18,
    nice = 1, limits = { nofile = { 64, 64 } }, caps = {}, no_new_privs = true,
    fds = { [0] = null, [1] = w }, own_pid = { "LISTEN_PID", "WATCHDOG_PID" },
    log = "name", tail = log.tail(),
  })
  w:close()
  assert(child:pid() > 0 and child:kill("CONT") and child:kill_all(18))
  local _, id, how, number = wait_for(loop, "child")
  assert(id == child:id() and how == "exited" and number == 0)
  assert(not child:kill("TERM"))
  assert(r:read(10) == "12\n")
end)

case("family", function()
  local loop, net, proc = require "sys.loop", require "sys.net", require "sys.proc"
  local r <close>, w = net.pipe()
  local _ <close> = w -- its end is the end of the process that is left
  local child = assert(proc.spawn { path = "/bin/sh", argv = { "sh", "-c", "cat <&3 & exit 0" }, sweep = true,
    fds = { [3] = r } })
  local _, id, _, _, left = wait_for(loop, "child")
  assert(id == child:id() and left)
  local heir = assert(child:heir())
  assert(proc.owner(heir) == id and child:members()[1] == heir)
  assert(select(3, child:usage()) == 1)
  assert(not child:follow(1) and child:follow(heir) and child:pid() == heir)
  assert(child:kill("KILL"))
  assert(select(3, wait_for(loop, "child")) == "killed")
end)

case("spawn fails", function()
  local proc = require "sys.proc"
  local child, reason, errno, stage = proc.spawn { path = "/bin/true", argv = { "true" }, cwd = "/no/such" }
  assert(not child and reason and errno == 2 and stage == "chdir")
end)

case("exec fails", function()
  local net, proc = require "sys.net", require "sys.proc"
  local null <close> = net.null("r")
  assert(select("#", proc.exec { path = "/no/such", argv = { "none" }, env = { "A=B" }, fds = { [20] = null } }) == 3)
end)

case("log", function()
  local loop, net, log = require "sys.loop", require "sys.net", require "sys.log"
  local r, w = net.pipe()
  log.line("debug", "nobody reads this")
  log.serve(dir .. "/nowhere")
  local relay <close> = log.relay(r, "name", "stdout", log.tail())
  local id = relay:watch()
  assert(w:write("text\n") == 5)
  w:close()
  local _, got, text = wait_for(loop, "line")
  assert(got == id and text == "text")
  relay:unwatch()
  while not relay:drained() and not has_failed() do loop.wait(0.01) end
  assert(relay:tail() == "text\n" and relay:drained())
end)

case("tail", function()
  local loop, net, log = require "sys.loop", require "sys.net", require "sys.log"
  local r, w = net.pipe()
  local tail = log.tail()
  local _ <close> = log.relay(r, "name", "stderr", tail)
  tail:wake(7)
  assert(w:write("text\n") == 5)
  local _, id = wait_for(loop, "tail")
  local text, position, stream, is_first, is_cut = tail:read(0)
  assert(id == 7 and text == "text\n" and stream == "stderr" and is_first and not is_cut)
  assert(position == tail:finish() and not tail:read(position) and not tail:time(position))
  assert(log.format(tail:time(0), "name", stream, text):find('"name":"name","stream":"stderr"', 1, true))
end)

case("log elsewhere", function()
  local net, log, file = require "sys.net", require "sys.log", require "sys.file"
  local path = dir .. "/log"
  assert(log.level("<3>text") == "text" and select(2, log.level("<3>text")) == "error")
  assert(select("#", log.to_file(dir .. "/none/log", 0, 0, "plain")) == 3)
  local output = assert(log.to_file(path, 100, 1, "plain"))
  local reader <close>, writer = net.pipe()
  local pipe = assert(log.to_pipe(writer, "json"))
  local r, w = net.pipe()
  local relay <close> = log.relay(r, "name", "stdout", log.tail(), output)
  assert(w:write("text\n") == 5)
  w:close()
  while not relay:drained() and not has_failed() do require("sys.loop").wait(0.01) end
  assert(pipe:flush() and not reader:read(10))
  pipe:close()
  output:close()
  file.remove(path)
end)

case("log follow", function()
  local loop, log, file = require "sys.loop", require "sys.log", require "sys.file"
  local path, tail = dir .. "/followed", log.tail()
  file.remove(path)
  local follow = assert(log.follow(dir .. "/f*d", "name", tail))
  assert(file.write(path, "text\n"))
  while tail:finish() == 0 and not has_failed() do loop.wait(0.01) end
  assert(has_failed() or tail:read(0) == "text\n")
  follow:close()
  file.remove(path)
end)

case("log journal", function()
  local listen, log, net, file = require "sys.listen", require "sys.log", require "sys.net", require "sys.file"
  local path = dir .. "/journal"
  file.remove(path)
  assert(select("#", log.to_journal(path)) == 3)
  local journal <close> = assert(listen.unix(path, "datagram", 5, 384, -1, -1))
  local output = assert(log.to_journal(path))
  local r, w = net.pipe()
  local relay <close> = log.relay(r, "name", "stdout", log.tail(), output)
  assert(w:write("text\n") == 5)
  w:close()
  while not relay:drained() and not has_failed() do require("sys.loop").wait(0.01) end
  assert(has_failed() or journal:read(200):find("MESSAGE=text\n"))
  file.remove(path)
end)

case("control", function()
  local loop, net, control = require "sys.loop", require "sys.net", require "sys.control"
  local path = dir .. "/control"
  assert(control.places()[1])
  assert(control.listen(path))
  local client <close> = assert(net.connect_unix(path))
  assert(client:write("R\0\0\0\6status") == 11)
  local _, conn, kind, payload = wait_for(loop, "control")
  assert(kind == "R" and payload == "status")
  assert(control.peer(conn))
  assert(control.send(conn, "O", "text"))
  control.close(conn)
  assert(not control.send(conn + 1000, "O", "text"))
end)

case("notify", function()
  local loop, notify = require "sys.loop", require "sys.notify"
  assert(notify.listen(dir .. "/notify"))
  send_message(dir .. "/notify", "FDSTORE=1")
  local _, text, pid, _, fds = wait_for(loop, "notify")
  assert(text == "FDSTORE=1" and pid == require("sys.proc").pid() and #fds == 2)
  assert(notify.same(fds[1], fds[2]) and notify.strerror(2))
end)

case("names and addresses", function()
  local net = require "sys.net"
  assert(net.addresses() and net.hostname() and not net.set_hostname(("x"):rep(1000)))
end)

case("file", function()
  local file = require "sys.file"
  local path = dir .. "/text"
  for _, name in ipairs(assert(file.list(dir))) do file.remove(dir .. "/" .. name) end
  assert(file.write(path, "one\n"))
  assert(file.append(path, "two\n"))
  assert(file.read(path) == "one\ntwo\n" and not file.read(path, 3))
  local watcher <close> = file.watcher()
  local number = assert(file.watch(assert(watcher), dir))
  file.unwatch(watcher, number)
  assert(file.chmod(path, 384) and file.stat(path).mode == 384)
  assert(file.move(path, path .. "2") and file.link("text2", path))
  assert(file.stat(path).type == "link" and file.stat(path, true).type == "file")
  assert(file.mkdir(dir .. "/folder") and file.can_write(dir) and file.space(dir))
  local a, b = file.open_read(path .. "2"), file.open_append(path .. "2")
  assert(a and b and #file.list(dir) == 3 and file.fenced() and file.lock(b))
  assert(file.remove(path) and file.remove(path .. "2") and file.remove(dir .. "/folder"))
  assert(not file.read(path))
end)

case("host", function()
  local host = require "sys.host"
  assert(host.args[2] == "two" and host.memory())
  local co = coroutine.create(function(a)
    local _ <close> = setmetatable({}, { __close = function() end })
    return coroutine.yield(a)
  end)
  local status, value = host.resume(co, 1)
  assert(status == "yield" and value == 1)
  assert(select("#", host.raw_resume(co, 1, 2, 3)) == 4)
  assert(host.close(co) == true)
  assert(host.resume(coroutine.create(error)) == "error")
end)

case("files of Lua", function()
  local path = dir .. "/lua"
  local f <close> = assert(io.open(path, "w"))
  assert(f:write("return ..."))
  f:close()
  assert(loadfile(path)(1) == 1)
  assert(load("return 2")() == 2)
  dofile(path)
  assert(require("sys.file").remove(path))
end)

return cases
