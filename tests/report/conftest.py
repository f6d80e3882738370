"""Fixtures of the tests of reports."""

from tests.report.browser import browser, open_report

__all__ = ["browser", "open_report"]
