# SPDX-License-Identifier: MIT
"""Fixtures for all rings: `boot`, and the check that a test leaves nothing behind."""
import ctypes
import os
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

pytest.register_assert_rewrite("moonrise")
import moonrise  # noqa: E402  pylint: disable=wrong-import-position

# A test run that nohup or a background job has started ignores some signals; what
# the tests start must not.
for number in signal.valid_signals():
    if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGPIPE:
        signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, [])

# Orphans of what a test starts become our children, where left_since finds them.
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.fixture
def boot():
    """Start containers; at the end of the test all of them are ended."""
    started = []

    def start(*args, **options):
        started.append(moonrise.Container(*args, **options))
        return started[-1]

    yield start
    for container in reversed(started):
        container.close()


@pytest.fixture
def open_path(tmp_path):
    """tmp_path, reachable for everybody."""
    for folder in (tmp_path, *tmp_path.parents) if moonrise.IS_ROOT else ():
        if str(folder).startswith(tempfile.gettempdir() + "/"):
            folder.chmod(0o755)
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_left():
    """Whatever a test started has to be gone when it ends."""
    before = moonrise.children_of_ours()
    yield
    left = moonrise.left_since(before)
    assert not left, f"left behind: {left}"
