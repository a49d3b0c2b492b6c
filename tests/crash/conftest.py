# SPDX-License-Identifier: MIT
"""Say in the end how many points were tried: what a test prints is lost where several run side by side."""


def pytest_terminal_summary(terminalreporter):
    for outcome in "passed", "failed":
        for report in terminalreporter.getreports(outcome):
            for name, points in report.user_properties if report.when == "call" else ():
                terminalreporter.write_line(f"{report.nodeid}: {points} {name}")
