local notification = require "moonrise.notification"
local parse = notification.parse

describe("a message of sd_notify", function()
  it("is a table of what was understood", function()
    assert.same({ state = "ready", status = "up and running", main_pid = 42 },
      parse "READY=1\nSTATUS=up and running\nMAINPID=42\nX_UNKNOWN=1")
    assert.same({ state = "reloading", monotonic = 12.5 }, parse "RELOADING=1\nMONOTONIC_USEC=12500000")
    assert.same({ state = "stopping", errno = 2 }, parse "STOPPING=1\nERRNO=2\n")
    assert.same({ watchdog_period = 0.25, extension = 10 }, parse "WATCHDOG_USEC=250000\nEXTEND_TIMEOUT_USEC=10000000")
    assert.same({ fd_store = true, fd_name = "a b", fd_poll = false }, parse "FDSTORE=1\nFDNAME=a b\nFDPOLL=0")
    assert.equal("alive", parse("WATCHDOG=1").watchdog)
    assert.equal("hung", parse("WATCHDOG=trigger").watchdog)
  end)

  it("counts the first of a key that comes twice", function()
    assert.same({ status = "a=b" }, parse "STATUS=a=b\nSTATUS=c")
  end)

  it("counts the last of several states", function()
    assert.same({ state = "reloading" }, parse "READY=1\nRELOADING=1\nREADY=0")
  end)

  it("says nothing with a value that is none", function()
    for _, message in ipairs {
      "", "\n\n", "READY", "READY=", "READY=2", "READY=1 ", " READY=1", "=1", "MAINPID=0", "MAINPID=1", "MAINPID=-5",
      "MAINPID=99999999999", "MAINPID=0x10", "MAINPID=1e3", "ERRNO=two", "ERRNO=99999999999999999999",
      "WATCHDOG=2", "WATCHDOG_USEC=-1", "FDNAME=a:b", "FDNAME=\27[1m", "FDNAME=" .. ("x"):rep(256), "STATUS=\xff\xfe",
      "\0READY=1", "READY=1\0",
    } do
      assert.same({}, parse(message), message)
    end
  end)

  it("puts no control characters on a terminal", function()
    assert.equal(" [2Jgone", parse("STATUS=\27[2Jgone").status)
  end)
end)
