"""A run directory in Python: its front, its candidates, their networks, a table of them, and its page."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hannah_hw.errors import InputError, RunError, require
from hannah_hw.report.data import CONFIG, Candidate, ReportData, read_run
from hannah_hw.report.page import render_page
from hannah_hw.report.pick import pick_candidates
from hannah_hw.showing import Shown

if TYPE_CHECKING:
    from hannah_hw import spaces
    from hannah_hw.cost import CostReport


class Run(Shown):
    """What a search left in a folder, as it was when this was made; the search may still be going on.

    Args:
        path: The folder that ``hannah-hw search --out FOLDER`` wrote.

    Attributes:
        data: Everything that the report shows.

    Raises:
        ConfigError: It is not a run directory, or its configuration cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.data: ReportData = read_run(path)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.data.folder

    @property
    def config(self) -> dict[str, Any]:
        """The configuration with every default filled in."""
        return dict(self.data.config)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All candidates in the order of evaluation, whatever became of them."""
        return self.data.candidates

    @property
    def front(self) -> tuple[Candidate, ...]:
        """The Pareto front, sorted by the first objective."""
        return tuple(self.data.candidates[i] for i in self.data.front)

    @property
    def knee(self) -> Candidate | None:
        """The knee of the front; None where the front is empty."""
        return None if self.data.knee is None else self.data.candidates[self.data.knee]

    @property
    def preferred(self) -> Candidate | None:
        """What is nearest to the preference of the configuration; None without one."""
        return None if self.data.preferred is None else self.data.candidates[self.data.preferred]

    def __len__(self) -> int:
        return len(self.data.candidates)

    def pick(self, what: str) -> list[Candidate]:
        """Candidates as ``export --pick`` names them; see `hannah_hw.report.pick.pick_candidates`.

        Raises:
            InputError: Nothing matches.
        """
        return pick_candidates(self.data, what)

    def candidate(self, name: str) -> Candidate:
        """One candidate.

        Args:
            name: Its id, whatever became of it; the beginning of the id of one that was trained; ``knee``,
                ``preferred`` or ``best``.

        Raises:
            InputError: No candidate is called that, or several are.
        """
        same = [candidate for candidate in self.data.candidates if candidate.id == name]
        found = [candidate for candidate in same if candidate.on_front] or same or self.pick(name)
        if len({candidate.id for candidate in found}) > 1:
            raise InputError(
                f"{name!r} names {len(found)} candidates; pick() gives several", where=str(self.path)
            )
        return found[0]

    def model(self, name: str) -> Path:
        """The ONNX file of a trained candidate; see `candidate`.

        Raises:
            InputError: See `candidate`.
            RunError: The run has no file of it.
        """
        candidate = self.candidate(name)
        if candidate.artifact is None:
            raise RunError(
                f"{self.path} has no ONNX file of {candidate.id}, whose status is {candidate.status!r}"
            )
        return self.path / candidate.artifact

    def cost(self, name: str) -> CostReport:
        """The cost report that the search recorded of a candidate; see `candidate`.

        Raises:
            InputError: See `candidate`.
            RunError: The run has none of it.
        """
        from hannah_hw.cost import CostReport

        candidate = self.candidate(name)
        cost = dict(candidate.cost.items())
        if not cost:
            raise RunError(
                f"{self.path} has no cost report of {candidate.id}, whose status is {candidate.status!r}; "
                "hannah_hw.estimate(run.network(ID), target) makes one"
            )
        return CostReport.from_dict(cost)

    @functools.cached_property
    def space(self) -> spaces.SearchSpace:
        """The space that was searched, of the shape of the run's data.

        Raises:
            InputError: The space or the data cannot be found any more.
        """
        from hannah_hw.search import load_config
        from hannah_hw.search.pipeline import configured_space

        return configured_space(load_config(self.path / CONFIG))

    def network(self, name: str) -> spaces.Candidate:
        """The network of a candidate, ready for `hannah_hw.estimate` and `hannah_hw.to_torch`; see `candidate`.

        Raises:
            InputError: See `candidate` and `space`.
        """
        hardware = {axis.id for axis in self.data.hardware}
        assignment = self.candidate(name).assignment.items()
        return self.space.candidate({key: value for key, value in assignment if key not in hardware})

    def to_dataframe(self, pick: str | None = None) -> Any:
        """A table of candidates.

        Args:
            pick: Which; see `pick`. None: all of them, whatever became of them.

        Returns:
            A pandas.DataFrame with a row for each candidate in the order of evaluation. Its columns: ``id``, ``index``,
            ``status``, ``reason``, ``front``, ``knee``, ``artifact``; one for each figure, its unit in the name as in
            ``latency_s``; and one for each parameter, called by its id. What a candidate does not have is missing
            there (NaN or None).

        Raises:
            InputError: See `pick`.
            MissingExtraError: pandas is not installed (extra ``notebook``).
        """
        pandas = require("pandas", "notebook")
        chosen = self.data.candidates if pick is None else self.pick(pick)
        rows = [self._row(candidate) for candidate in chosen]
        return pandas.DataFrame(rows, columns=list(dict.fromkeys(key for row in rows for key in row)))

    def _row(self, candidate: Candidate) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": candidate.id,
            "index": candidate.index,
            "status": candidate.status,
            "reason": None if candidate.reason is None else ": ".join(filter(None, candidate.reason)),
            "front": candidate.on_front,
            "knee": candidate is self.knee,
            "artifact": candidate.artifact,
        }
        row |= {axis.key: candidate.values.get(axis.key, math.nan) for axis in self.data.axes}
        return row | _columns(candidate.assignment)

    def report_html(self) -> str:
        """The text of the run's page, one HTML document that works offline; links to models are relative to the run."""
        return render_page(self.data)

    def __repr__(self) -> str:
        counts = f"{len(self)} candidates, {len(self.data.front)} on the front"
        return f"Run({self.path}: {self.data.name('space')} on {self.data.name('target')}, {counts})"


def _columns(assignment: Mapping[str, Any]) -> dict[str, Any]:
    """Parameter id -> value, one cell each."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in assignment.items()}


def load_run(path: str | Path) -> Run:
    """The run in a folder; see `Run`.

    Raises:
        ConfigError: It is not a run directory, or its configuration cannot be read.
    """
    return Run(path)
