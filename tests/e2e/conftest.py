# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for the end-to-end tests, and what a run of them must have."""

import os

import pytest

from lab import Lab
from runs import settled


def pytest_configure(config):
    program = os.environ.get("NSNTRACE")
    if not program or not os.access(program, os.X_OK):
        raise pytest.UsageError(
            "NSNTRACE must name the nsntrace program to be tested"
            f" (it is {program!r})")
    if os.geteuid() != 0:
        raise pytest.UsageError("these tests build namespaces: run them as root")


@pytest.fixture(scope="module")
def source(request):
    """What captures, where a test is run over_both_sources; else the default."""
    return getattr(request, "param", None)


@pytest.fixture
def lab(source):
    made = Lab(source)
    yield made
    made.close()


@pytest.fixture(scope="module")
def lab_module(source):
    made = Lab(source)
    yield made
    made.close()


@pytest.fixture(scope="module")
def untouched(lab_module):
    return lab_module.state()


@pytest.fixture
def same_lab(lab_module, untouched):
    """A lab shared by the file's tests; each must leave it as it was."""
    yield lab_module
    settled(lab_module, untouched)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that did not run has shown nothing."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped is failed: {report.longrepr}"


def pytest_terminal_summary(terminalreporter):
    count = {name: len(terminalreporter.stats.get(name, []))
             for name in ("passed", "failed", "error", "skipped")}
    terminalreporter.write_line(
        f"end to end: {count['passed']} passed,"
        f" {count['failed'] + count['error']} failed,"
        f" {count['skipped']} skipped")
