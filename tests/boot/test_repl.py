# SPDX-License-Identifier: MIT
"""`moonrise repl`: on a terminal with its line editor, and on a pipe."""
import pexpect
import pytest
from moonrise import BINARY, DEADLINE, environment, eventually

SCRIPT = """
    local init = require "moonrise"
    counter = 5
    limits = { soft = 1, hard = 2, ["very hard"] = 3 }
    init.start { "/bin/sleep", "1000", name = "sleeper" }
"""

LEFT, RIGHT, UP, DOWN = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"
HOME, END, DELETE, RUBOUT = "\x1b[H", "\x1b[F", "\x1b[3~", "\x7f"


def control(letter):
    return chr(ord(letter) - 64)


@pytest.fixture
def container(boot):
    c = boot(SCRIPT)
    eventually(lambda: c.moonrise("health").returncode, 0)
    return c


@pytest.fixture
def repl(container):
    """A REPL on a terminal, at its first prompt."""
    terminal = pexpect.spawn(BINARY, ["repl"], timeout=DEADLINE, encoding="utf-8", dimensions=(24, 80),
                             env=environment({"MOONRISE_RUNDIR": container.rundir, "TERM": "xterm"}))
    at_prompt(terminal)
    yield terminal
    terminal.close(force=True)


def at_prompt(terminal, prompt="> "):
    """The prompt for an empty line has been drawn: now keys go to the editor."""
    terminal.expect_exact(f"\r{prompt}\x1b[K\r\x1b[{len(prompt)}C")


def enter(terminal, keys):
    """Type a line, and wait for the next prompt: what was shown in between."""
    terminal.send(keys + "\r")
    terminal.expect_exact("\r\n")
    at_prompt(terminal)
    return terminal.before.replace("\r\n", "\n")


# ---- at a terminal


@pytest.mark.parametrize("line, shown", [
    ("1 + 1", "2\n"),
    ("nil", "nil\n"),
    ("'text'", '"text"\n'),
    ("1, 'a', nil", '1, "a", nil\n'),
    ("limits", '{ hard = 2, soft = 1, ["very hard"] = 3 }\n'),
    ("print(1, 2)", "1\t2\n"),
    ("counter = counter + 1", ""),
    ("-- nothing", ""),
    ("", ""),
    ("nosuch.field", "repl:1: attempt to index a nil value (global 'nosuch')\n"),
    ("x = = 1", "repl:1: unexpected symbol near '='\n"),
])
def test_a_line(repl, line, shown):
    assert enter(repl, line) == shown


def test_services_show_what_they_are(repl):
    assert enter(repl, "services").startswith("{ sleeper = service sleeper (ready, pid ")


def test_it_reads_and_changes_the_world_of_the_script(repl, container):
    assert enter(repl, "counter") == "5\n"
    enter(repl, "counter = 6")
    assert container.moonrise("eval", "counter").stdout == "6\n"


def test_locals_live_as_long_as_the_session(repl):
    enter(repl, "local a, b = 1, 2; local function sum() return a + b end")
    assert enter(repl, "a, b, sum()") == "1, 2, 3\n"
    enter(repl, "for i = 1, 3 do last = i end")
    assert enter(repl, "i, last") == "nil, 3\n"


def test_a_chunk_of_several_lines(repl):
    repl.send("for i = 1, 2 do\r")
    at_prompt(repl, ">> ")
    repl.send("print(i)\r")
    at_prompt(repl, ">> ")
    assert enter(repl, "end") == "1\n2\n"
    repl.send("1 +\r")
    at_prompt(repl, ">> ")
    assert enter(repl, "2") == "3\n"


def test_interrupt_gives_up_a_line_and_what_came_before(repl):
    repl.send("if true then\r")
    at_prompt(repl, ">> ")
    repl.send("rubbish" + control("C"))
    repl.expect_exact("^C\r\n")
    at_prompt(repl)
    assert enter(repl, "1") == "1\n"


@pytest.mark.parametrize("chunk", ["while true do end", "init.sleep(1000)"])
def test_interrupt_ends_a_chunk(repl, chunk):
    repl.send(f"print 'begun'; {chunk}\r")
    repl.expect_exact("begun\r\n")
    repl.sendintr()
    repl.expect_exact("interrupted\r\n")
    at_prompt(repl)
    assert enter(repl, "1 + 1") == "2\n"


def test_end_of_file_ends_it(repl):
    repl.send(control("D"))
    repl.expect(pexpect.EOF)
    repl.close()
    assert repl.exitstatus == 0


def test_it_ends_with_the_init(repl, container):
    container.stop()
    repl.send("1\r")
    repl.expect_exact("moonrise: the connection to the init is lost")
    repl.expect(pexpect.EOF)
    repl.close()
    assert repl.exitstatus == 69


def test_a_paste_of_many_lines(repl):
    repl.send("sum = 0\r" + "".join(f"sum = sum + {i}\r" for i in range(1, 31)) + "sum\r")
    repl.expect_exact("\r\n465\r\n")


# ---- the editor


@pytest.mark.parametrize("keys, shown", [
    ("123" + LEFT + RUBOUT, "13\n"),
    ("123" + LEFT + LEFT + DELETE, "13\n"),
    ("123" + control("B") + control("H"), "13\n"),
    ("23" + HOME + "1" + END + "4", "1234\n"),
    ("23" + control("A") + "1" + control("E") + "4", "1234\n"),
    ("13" + control("A") + RIGHT + "2", "123\n"),
    ("13" + control("A") + control("F") + "2", "123\n"),
    ("1 + 2" + control("A") + control("K") + "7", "7\n"),
    ("1 + 2" + control("U") + "7", "7\n"),
    ("'one two'" + control("W") + "2'", '"one 2"\n'),
    ("'one two'" + "\x1bb" + "\x1bd" + "2", '"one 2"\n'),
    ("12" + control("U") + control("Y") + control("Y"), "1212\n"),
    ("12" + control("A") + control("D"), "2\n"),
    ("'äöü€𝄞'" + LEFT + RUBOUT + RUBOUT, '"äöü"\n'),
    ("'e\u0301x'" + LEFT + LEFT + RUBOUT, '"x"\n'),  # an accent goes with its letter
    ("1\x1b[24~\x1b[1;2A2", "12\n"),  # keys without a meaning
])
def test_editing(repl, keys, shown):
    assert enter(repl, keys) == shown


def test_history(repl):
    enter(repl, "10 + 1")
    enter(repl, "10 + 2")
    assert enter(repl, UP) == "12\n"
    assert enter(repl, UP + UP + "0") == "20\n"  # 10 + 10
    assert enter(repl, "77" + UP + DOWN) == "77\n"
    assert enter(repl, control("P") + control("P") + control("N")) == "77\n"
    assert enter(repl, UP * 50) == "11\n"


def test_searching_the_history(repl):
    enter(repl, "10 + 1")
    enter(repl, "20 + 2")
    enter(repl, "10 + 3")
    assert enter(repl, control("R") + "+") == "13\n"
    assert enter(repl, control("R") + "20") == "22\n"
    assert enter(repl, control("R") + "10 +" + control("R")) == "11\n"
    assert enter(repl, control("R") + "20x" + RUBOUT) == "22\n"
    assert enter(repl, control("R") + "no such" + control("R")) == ""  # the line was empty
    assert enter(repl, "77" + control("R") + "20" + control("G")) == "77\n"
    assert enter(repl, control("R") + "20" + END + "0") == "40\n"  # 20 + 20
    assert enter(repl, control("R") + "20 + 20" + UP) == "77\n"  # on from there
    repl.send(control("R") + "+ 2")
    repl.expect_exact("(search '+ 2') 20 + 2")
    repl.send("5")
    repl.expect_exact("(not found '+ 25') ")


def test_a_line_wider_than_the_window_scrolls(repl):
    repl.setwinsize(24, 20)
    text = "'" + "x" * 100 + "'"
    assert enter(repl, text + control("A") + "#" + control("E")) == "100\n"


def test_completion(repl):
    assert enter(repl, "count\t") == "5\n"
    assert enter(repl, "services.slee\t.name") == '"sleeper"\n'
    repl.send("services.sleeper:sto\t")
    repl.expect_exact("services.sleeper:stop(")


def test_completion_of_keys_that_are_no_names(repl):
    assert enter(repl, "limits.very\t") == "3\n"


def test_completion_lists_what_there_is(repl):
    repl.send("limits.\t")
    repl.expect_exact(".hard")
    repl.expect_exact(".soft")
    repl.expect_exact("\r> limits.")
    assert enter(repl, "s\t") == "1\n"


def test_completion_of_nothing(repl):
    assert enter(repl, "nosuchname.x\t") != ""
    assert enter(repl, "\t1") == "1\n"  # at the start of a line it is indentation


# ---- on a pipe


def test_a_pipe_has_no_prompt(container):
    done = container.moonrise("repl", input="1 + 1\nfor i = 1, 2 do\nprint(i)\nend\nlocal a = 'x'\na\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, '2\n1\n2\n"x"\n', "")


def test_a_pipe_reports_failure(container):
    done = container.moonrise("repl", input="error 'no'\n1\n")
    assert (done.returncode, done.stdout, done.stderr) == (1, "1\n", "repl:1: no\n")
    done = container.moonrise("repl", input="if true then\n")
    assert (done.returncode, done.stderr) == (1, "moonrise: the input ends in the middle of a chunk\n")


def test_a_dumb_terminal_is_not_edited(container):
    terminal = pexpect.spawn(BINARY, ["repl"], timeout=DEADLINE, encoding="utf-8", echo=False,
                             env=environment({"MOONRISE_RUNDIR": container.rundir, "TERM": "dumb"}))
    terminal.expect_exact("> ")
    terminal.sendline("1 + 1")
    terminal.expect_exact("2\r\n> ")
    assert "\x1b" not in terminal.before
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
