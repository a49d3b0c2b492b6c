#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""moonrise-boot(5) describes every word of every module, every option of a process and every method of a
service, and none that there is not."""
import re

import pytest

from moonrise import ROOT, run

with open(f"{ROOT}/doc/moonrise-boot.5.scd", encoding="utf-8") as file:
    PAGE = file.read().replace("\\_", "_")

# What modules of moonrise have for each other.
INTERNAL = {
    "env": {"declared", "secrets", "child_environment"},
    "net": {"put_back"},
    "probe": {"new", "check", "pause", "reason_of"},
}


def section(title):
    return PAGE.split(f"\n# {title}\n", 1)[1].split("\n# ", 1)[0]


def names(tmp_path, expression):
    """The keys of a table of ours."""
    script = tmp_path / "boot.lua"
    script.write_text(f"for name in pairs({expression}) do print(name) end")
    done = run("check", str(script))
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return set(done.stdout.split())


def described(title, mark):
    """The words at the beginning of entries, several of them perhaps, with what stands behind each."""
    entries = "\n".join(re.findall(r"^\*.*$", section(title), re.M))
    return set(re.findall(rf"\*(\w+)\*{mark}", entries))


@pytest.mark.parametrize("module, title", [
    ("", "MODULE moonrise"), ("env", "MODULE moonrise.env"), ("fs", "MODULE moonrise.fs"),
    ("net", "MODULE moonrise.net"), ("host", "MODULES moonrise.host AND moonrise.caps"),
    ("caps", "MODULES moonrise.host AND moonrise.caps"),
])
def test_every_word_is_described(tmp_path, module, title):
    found = names(tmp_path, f'require "moonrise{module and "." + module}"') - INTERNAL.get(module, set())
    page = section(title)
    assert {name for name in found if not re.search(rf"\*(?:{module}\.)?{name}\*", page)} == set()
    if title == "MODULE moonrise.fs":  # the section has no other words
        volume = {"once", "upgrade", "changed", "path"}
        assert described(title, r"(?= ?[({])") - volume == found


def test_every_probe_is_described(tmp_path):
    words = described("MODULE moonrise.probe", r"(?= ?[({])")
    assert len(words) == 12
    known = f'{{ {", ".join(f"{word} = assert(probe.{word})" for word in words)} }}'
    assert names(tmp_path, f'(function() local probe = require "moonrise.probe" return {known} end)()') == words
    with open(f"{ROOT}/lua/moonrise/probe.lua", encoding="utf-8") as source:
        homes = source.read().split("local HOMES = {")[1].split("}")[0]
    assert words == set(re.findall(r"(\w+) =", homes)) | {"command"}


def test_every_option_of_a_process_is_described(tmp_path):
    options = names(tmp_path, 'require("moonrise.process").RUN_OPTIONS') \
        | names(tmp_path, 'require("moonrise.declaration").OPTIONS')
    page = section("OPTIONS OF PROCESSES") + section("MODULE moonrise")
    assert {name for name in options - {"argv", "sh"} if f"*{name}*" not in page} == set()
    assert described("OPTIONS OF PROCESSES", "(?=,|\n|$)") <= options


def test_every_method_of_a_service_is_described(tmp_path):
    methods = names(tmp_path, 'require "moonrise.handle"') | {"start"}
    page = section("OPTIONS OF PROCESSES")
    assert {name for name in methods - {"how_it_ended"} if f"*{name}*(" not in page} == set()
