"""A pytest plug-in for CI: a test that is skipped there has not been run, so it fails."""

import pytest


def _fail(report, what: str) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{what} was skipped, and CI skips nothing: {report.longrepr}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item):
    report = yield
    _fail(report, item.nodeid)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector):
    report = yield
    _fail(report, collector.nodeid)
    return report
