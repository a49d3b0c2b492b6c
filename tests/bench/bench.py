# SPDX-License-Identifier: MIT
"""What the measurements share: building the helpers, taking turns, the table."""
import ctypes
import os
import shutil
import statistics
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = ROOT + "/build/bench/"
CLONE_NEWNS = 0x20000
NOISE = 1.05  # two series of one and the same init differ by as much: "equal" means within this
WARN = "-O2 -std=gnu17 -Wall -Wextra -Werror -D_GNU_SOURCE".split()


def install(peers):
    """Install the packages whose programs are missing."""
    missing = sorted({package for peer, package in peers.items() if not shutil.which(peer)})
    if missing:
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def keep_machine():
    """From here on the inits have a /run of their own, and don't lay /dev/log down: mounts are ours alone."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    for words in ("--make-rprivate /", "-t tmpfs tmpfs /run", "-o rbind,ro /dev /dev"):
        subprocess.run(["mount", *words.split()], check=True)


def build(helpers):
    os.makedirs(OUT, exist_ok=True)
    for name, compiler in helpers.items():
        subprocess.run([*compiler, *WARN, "-o", OUT + name, f"{HERE}/{name}.c"], check=True)


def call(helper, *arguments):
    done = subprocess.run([OUT + helper, *arguments], check=True, timeout=120, text=True, stdout=subprocess.PIPE)
    return [int(word) for word in done.stdout.split()]


def take_turns(pairs, inits, measure):
    """{name: [figures of each round]}; the order moves on with each round."""
    names, found = list(inits), {name: [] for name in inits}
    for number in range(pairs):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(measure(inits[name]))
    return found


class Table:
    def __init__(self):
        self.missed = 0
        print(f"{'':34}{'min':>9}{'median':>9}{'max':>9}  {'ratio':>6}  limit")

    def title(self, text):
        print(f"\n{text}")

    def row(self, name, values, scale=1, against=None, limit=None, at_least=False):
        """One line; `against` are the values of the peer that `limit` is about."""
        middle = statistics.median(values)
        figures = "".join(f"{value / scale:9.3g}" if value / scale < 1000 else f"{value / scale:9.0f}"
                          for value in (min(values), middle, max(values)))
        # Zero against zero is as good as equal.
        ratio = None if against is None else (middle or 1) / (statistics.median(against) or 1)
        verdict = ""
        if limit is not None:
            got = middle / scale if ratio is None else ratio
            slack = NOISE if limit == 1 else 1
            good = got * slack >= limit if at_least else got <= limit * slack
            self.missed += not good
            verdict = f"{'>=' if at_least else '<='} {limit:g} {'' if good else 'MISSED'}"
        print(f"  {name:32}{figures}  {'' if ratio is None else f'{ratio:.2f}':>6}  {verdict}".rstrip(), flush=True)


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    with open("/etc/os-release", encoding="utf-8") as file:
        system = next(line.split("=", 1)[1].strip().strip('"') for line in file if line.startswith("PRETTY_NAME"))
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} CPUs, Linux {os.uname().release}, {system}, load {load:.1f}"
