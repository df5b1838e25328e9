"""In CI a test that is skipped, or expected to fail, has failed: nobody reads why it did not run.

Hooks of pytest; tests/conftest.py takes them in. They act where the variable ``CI`` is set and not empty.
"""

from __future__ import annotations

import os

import pytest

REASON = "in CI every test runs: this one was skipped, or was expected to fail"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    """Turn the report of a skipped or xfailed test into that of a failed one."""
    report = yield
    return _failed(report, item.nodeid)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector):
    """The same for a whole file that is skipped when it is collected."""
    report = yield
    return _failed(report, collector.nodeid)


def _failed(report, nodeid: str):
    if os.environ.get("CI") and (report.skipped or hasattr(report, "wasxfail")):
        report.outcome = "failed"
        report.longrepr = f"{nodeid}: {REASON}\n{report.longrepr}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail
    return report
