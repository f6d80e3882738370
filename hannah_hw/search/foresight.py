"""What a search expects of candidates before it trains them, learned from those that it has trained.

A predictor is fitted to the parameters, the free metrics and, where they are asked for and help, zero-cost proxies of
the candidates that were told, and is used only while the rank correlation of its held-out predictions is at least the
threshold. Everything follows from what was told, in its order, so a run that is continued expects the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field, field_validator

from hannah_hw.errors import ConfigError, require
from hannah_hw.scoring.predictor import FEWEST, LearnedPredictor
from hannah_hw.scoring.proxies import PROXIES, ProxyScorer, draw_batch
from hannah_hw.scoring.proxies.scorer import as_inputs, check_record
from hannah_hw.scoring.proxies.scores import check_names
from hannah_hw.search.dominance import crowding, sort_fronts
from hannah_hw.search.features import row_features
from hannah_hw.search.metrics import METRICS, Goals
from hannah_hw.search.protocols import BoolArray, Encoding, FloatArray, IntArray, Known
from hannah_hw.search.record_log import RecordLog
from hannah_hw.search.sections import Strict

if TYPE_CHECKING:
    from hannah_hw.search.pricing import SpaceProblem
    from hannah_hw.search.sections import DataChoice

#: Scores of networks by proxies, in the folder of a run; see `ProxyScorer`.
PROXY_LOG: Final = "proxies.jsonl"
#: The predictor is fitted anew when this many times as many candidates are known: a run of N fits it log(N) times.
_GROWTH: Final = 1.2


class ProxiesSection(Strict):
    """Zero-cost proxies as inputs of the predictor.

    Attributes:
        names: Which; ``hannah-hw proxies`` says what they are worth. They are left out as long as held-out predictions
            are ordered no better with them. (On 80 networks of ds_cnn for mnist5k none of the five orders networks
            better than the number of parameters, .75, but all of them raise the predictor's .79 to .84; on 220 of
            NAS-Bench-201 they raise its .73 to .85. `benchmarks/proxies.py` prints these figures.)
        batch: Samples that networks are shown.
        shortlist: Candidates that proxies are computed of, of those that an algorithm asks about at a time: the most
            promising by what is expected without them. A proxy takes 10 to 100 ms.
    """

    names: tuple[str, ...] = tuple(PROXIES)
    batch: int = Field(default=32, ge=2, le=4096)
    shortlist: int = Field(default=32, ge=1, le=10_000)

    @field_validator("names")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            check_names(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if not value or len(set(value)) < len(value):
            raise ValueError("name at least one proxy, and each once")
        return value


class PredictorSection(Strict):
    """A learned predictor of what only training shows, for algorithms that breed candidates.

    Attributes:
        threshold: Spearman's correlation of held-out predictions from which on it is used.
        candidates: Trained candidates that it needs to begin with.
    """

    threshold: float = Field(default=0.7, ge=0, le=1)
    candidates: int = Field(default=20, ge=FEWEST, le=100_000)


@dataclass(frozen=True)
class _Fit:
    """A fitted predictor of each expensive objective.

    Attributes:
        models: One an expensive objective, of inputs without proxies.
        refined: The same with proxies; none where they do not help.
        correlation: The least rank correlation of the models that are used.
        count: Candidates that it was fitted to.
    """

    models: tuple[LearnedPredictor, ...]
    refined: tuple[LearnedPredictor, ...]
    correlation: float
    count: int


class Foresight:
    """See `hannah_hw.search.outlook.Predictor`.

    Args:
        encoding: Of the rows.
        expensive: (M,) which objectives only an evaluation tells.
        section: When it is used.
        seed: Of the regressions.
        proxies: Scores networks; None: proxies are no inputs.
        shortlist: See `ProxiesSection`.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """

    def __init__(
        self,
        encoding: Encoding,
        expensive: BoolArray,
        section: PredictorSection,
        *,
        seed: int = 0,
        proxies: ProxyScorer | None = None,
        shortlist: int = 32,
    ) -> None:
        require("sklearn", "predict")
        self._encoding = encoding
        self._expensive = np.flatnonzero(expensive)
        self._section = section
        self._seed = seed
        self._proxies = proxies
        self._shortlist = shortlist
        self._rows: list[FloatArray] = []
        self._features: list[FloatArray] = []
        self._values: list[FloatArray] = []
        self._count = 0
        self._fit: _Fit | None = None

    def learn(
        self, rows: FloatArray, known: Known, objectives: FloatArray, _violation: FloatArray, /
    ) -> None:
        """Take in candidates; those that were not evaluated, or failed, teach nothing."""
        values = objectives[:, self._expensive]
        taught = np.isfinite(values).all(axis=1)
        self._rows.append(rows[taught])
        self._features.append(known.features[taught])
        self._values.append(values[taught])
        self._count += int(taught.sum())

    def expected(self, rows: FloatArray, known: Known, /) -> FloatArray | None:
        """(P, M) objectives with the expensive ones predicted; None while the predictor is not good enough."""
        fit = self._current()
        if fit is None or not fit.correlation >= self._section.threshold:
            return None
        features = self._inputs(rows, known.features)
        found = np.where(np.isnan(known.objectives), np.inf, known.objectives)
        found[:, self._expensive] = _predicted(fit.models, features)
        if fit.refined and self._proxies is not None and len(rows):
            chosen = self._promising(found, known.violation)
            scores = as_inputs(self._proxies.scores(rows[chosen]))
            refined = _predicted(fit.refined, np.concatenate([features[chosen], scores], axis=1))
            found[np.ix_(chosen, self._expensive)] = refined
        return found

    def summary(self) -> dict[str, Any] | None:
        """Where the predictor stands, ready for JSON; None before it was first fitted.

        ``rank_correlation`` is that of held-out predictions, the least over the expensive objectives.
        """
        fit = self._fit
        if fit is None:
            return None
        models = fit.refined or fit.models
        return {
            "rank_correlation": fit.correlation if math.isfinite(fit.correlation) else None,
            "threshold": self._section.threshold,
            "used": bool(fit.correlation >= self._section.threshold),
            "candidates": fit.count,
            "models": [model.model_ for model in models],
            "proxies": list(self._proxies.names) if self._proxies is not None and fit.refined else [],
        }

    def _current(self) -> _Fit | None:
        """The predictor for what is known: fitted to the first 20, 24, 29, ... candidates."""
        due = self._section.candidates
        if self._count < due:
            return None
        while (following := math.ceil(_GROWTH * due)) <= self._count:
            due = following
        if self._fit is None or self._fit.count != due:
            self._fit = self._fitted(due)
        return self._fit

    def _fitted(self, count: int) -> _Fit:
        rows, features, values = (
            np.concatenate(parts)[:count] for parts in (self._rows, self._features, self._values)
        )
        inputs = self._inputs(rows, features)
        models = self._learned(inputs, values)
        correlation = _least(models)
        if self._proxies is not None:
            scores = as_inputs(self._proxies.scores(rows))
            refined = self._learned(np.concatenate([inputs, scores], axis=1), values)
            if _least(refined) > correlation:
                return _Fit(models, refined, _least(refined), count)
        return _Fit(models, (), correlation, count)

    def _learned(self, inputs: FloatArray, values: FloatArray) -> tuple[LearnedPredictor, ...]:
        return tuple(LearnedPredictor(self._seed).fit(inputs, column) for column in values.T)

    def _inputs(self, rows: FloatArray, features: FloatArray) -> FloatArray:
        """(P, F) inputs of the regressions, without proxies."""
        return np.concatenate([row_features(self._encoding, rows), features], axis=1)

    def _promising(self, objectives: FloatArray, violation: FloatArray) -> IntArray:
        """Places of the rows that proxies are computed of, in order; none of them breaks a known constraint."""
        rank = sort_fronts(objectives, violation)
        order = np.lexsort((-crowding(objectives, rank), rank))
        chosen: IntArray = np.sort(order[violation[order] == 0][: self._shortlist])
        return chosen


def expensive(goals: Goals) -> BoolArray:
    """(M,) which objectives only an evaluation tells."""
    return np.array([not METRICS[name].estimated for name in goals.objectives])


def open_foresight(
    predictor: PredictorSection,
    proxies: ProxiesSection | None,
    problem: SpaceProblem,
    goals: Goals,
    *,
    data: DataChoice | None,
    seed: int,
    folder: Path,
    stack: ExitStack,
) -> Foresight:
    """The predictor that a run asks for.

    Args:
        predictor: When it is used.
        proxies: Which proxies are its inputs; None: none.
        problem: The space and its prices.
        goals: Objectives and constraints.
        data: The data set that proxies are shown samples of.
        seed: Of the run.
        folder: Of the run, where scores of proxies are kept.
        stack: Closes what is opened.

    Raises:
        MissingExtraError: scikit-learn, or torch for proxies, is not installed.
        RunError: The file of scores cannot be opened, or is damaged.
    """
    from hannah_hw.search.cosearch import CoSearchProblem

    scorer = None
    if proxies is not None and data is not None:
        from hannah_hw.scoring import load_data

        require("torch", "train")
        log = RecordLog(folder / PROXY_LOG, check_record)
        stack.callback(log.close)
        scorer = ProxyScorer(
            problem.space,
            draw_batch(load_data(data, seed=seed), proxies.batch),
            names=proxies.names,
            seed=seed,
            hardware=problem.axes.ids if isinstance(problem, CoSearchProblem) else (),
            records=log.records,
            keep=log.append,
        )
    return Foresight(
        problem.encoding,
        expensive(goals),
        predictor,
        seed=seed % 2**32,
        proxies=scorer,
        shortlist=proxies.shortlist if proxies is not None else 0,
    )


def describe(summary: Mapping[str, Any]) -> str:
    """A summary for people: ``.83 on 48 candidates``."""
    value = summary["rank_correlation"]
    shown = "none" if value is None else f"{value:.2f}"
    held = "used" if summary["used"] else f"not used below {summary['threshold']:g}"
    return f"rank correlation {shown} on {summary['candidates']} held-out candidates, {held}"


def _predicted(models: tuple[LearnedPredictor, ...], inputs: FloatArray) -> FloatArray:
    """(P, E) predictions."""
    return np.stack([model.predict(inputs) for model in models], axis=1)


def _least(models: tuple[LearnedPredictor, ...]) -> float:
    """The least rank correlation; that of a constant counts as 0."""
    return min(m.rank_correlation_ if math.isfinite(m.rank_correlation_) else 0.0 for m in models)
