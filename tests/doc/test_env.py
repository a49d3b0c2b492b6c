#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""moonrise-env(5) describes every type of a setting and every option."""
import re

from moonrise import ROOT


def read(name):
    with open(f"{ROOT}/{name}", encoding="utf-8") as file:
        return file.read()


PAGE = read("doc/moonrise-env.5.scd")
TYPES = read("lua/moonrise/types.lua").split("M.TYPES = {", 1)[1].split("\n}\n", 1)[0]


def described_in(section):
    """The words that a section describes: alone in bold on a line, or several of them."""
    lines = re.findall(r"^\*\w+\*(?:, \*\w+\*)*$", PAGE.split(f"# {section}\n", 1)[1].split("\n# ", 1)[0], re.M)
    return set(re.findall(r"\w+", " ".join(lines)))


def test_every_type_is_described():
    types = set(re.findall(r"^  (\w+) = \{$", TYPES, re.M))
    assert len(types) == 12
    assert described_in("TYPES") == types


def test_every_option_is_described():
    own = set(re.findall(r"(\w+) = \"", " ".join(re.findall(r"options = \{(.*)\}", TYPES))))
    assert described_in("OPTIONS OF A SETTING") == own | {"type", "default", "optional", "check", "doc", "example"}
