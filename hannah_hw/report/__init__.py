"""Runs: in Python (`Run`), their data (`read_run`), and one offline HTML file drawn from it (`write_page`)."""

from hannah_hw.report.axes import Axis
from hannah_hw.report.data import Budget, Candidate, ReportData, read_run
from hannah_hw.report.page import render_page, write_page
from hannah_hw.report.pick import pick_candidates
from hannah_hw.report.run import Run, load_run

__all__ = [
    "Axis",
    "Budget",
    "Candidate",
    "ReportData",
    "Run",
    "load_run",
    "pick_candidates",
    "read_run",
    "render_page",
    "write_page",
]
