local cgroup = require "moonrise.cgroup"

local function limits(files)
  return cgroup.limits(function(path) return files[path] end)
end

local V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

describe("cgroup.limits", function()
  it("finds none where there are none", function()
    assert.same({}, { limits {} })
    assert.same({}, { limits { ["/proc/self/mountinfo"] = V2, ["/proc/self/cgroup"] = "0::/\n" } })
    assert.same({}, { limits {
      ["/proc/self/mountinfo"] = V2, ["/proc/self/cgroup"] = "0::/\n",
      ["/sys/fs/cgroup/cpu.max"] = "max 100000\n", ["/sys/fs/cgroup/memory.max"] = "max\n",
    } })
  end)

  it("reads version 2", function()
    local cpus, memory = limits {
      ["/proc/self/mountinfo"] = V2, ["/proc/self/cgroup"] = "0::/\n",
      ["/sys/fs/cgroup/cpu.max"] = "150000 100000\n", ["/sys/fs/cgroup/memory.max"] = "67108864\n",
    }
    assert.same({ 1.5, 64 << 20 }, { cpus, memory })
  end)

  it("takes the smallest on the way up", function()
    local cpus, memory = limits {
      ["/proc/self/mountinfo"] = V2, ["/proc/self/cgroup"] = "0::/pod/one\n",
      ["/sys/fs/cgroup/pod/one/cpu.max"] = "400000 100000\n",
      ["/sys/fs/cgroup/pod/cpu.max"] = "200000 100000\n",
      ["/sys/fs/cgroup/pod/one/memory.max"] = "1000\n",
      ["/sys/fs/cgroup/memory.max"] = "2000\n",
    }
    assert.same({ 2.0, 1000 }, { cpus, memory })
  end)

  it("reads version 1, below the mount's root", function()
    local cpus, memory = limits {
      ["/proc/self/mountinfo"] =
        "32 31 0:29 /docker/one /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" ..
        "35 31 0:32 /docker/one /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" ..
        "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
      ["/proc/self/cgroup"] = "4:memory:/docker/one\n3:cpu,cpuacct:/docker/one/sub\n0::/\n",
      ["/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"] = "50000\n",
      ["/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us"] = "100000\n",
      ["/sys/fs/cgroup/cpu,cpuacct/sub/cpu.cfs_quota_us"] = "-1\n",
      ["/sys/fs/cgroup/cpu,cpuacct/sub/cpu.cfs_period_us"] = "100000\n",
      ["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "33554432\n",
    }
    assert.same({ 0.5, 32 << 20 }, { cpus, memory })
  end)

  it("takes version 1's largest number for no limit", function()
    assert.same({}, { limits {
      ["/proc/self/mountinfo"] = "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n",
      ["/proc/self/cgroup"] = "4:memory:/../elsewhere\n",
      ["/cg/memory/memory.limit_in_bytes"] = "9223372036854771712\n",
    } })
  end)
end)
