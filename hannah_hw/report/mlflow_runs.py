"""A run in MLflow: one parent run for the search, one nested run for each chosen candidate.

Extra `mlflow`. Everything of a candidate goes to the tracking server in one request; its ONNX file is not uploaded,
its place is a tag.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from hannah_hw.errors import InputError, RunError, require
from hannah_hw.report.data import Candidate, ReportData

#: Limits of one request (MLflow's REST API: "Log Batch") and of the length of a parameter's value.
_METRICS, _PARAMETERS, _LENGTH = 1000, 100, 6000
#: Points of the history of the hypervolume that are logged at most.
_HISTORY: Final = 1000


def to_mlflow(data: ReportData, chosen: Sequence[Candidate], uri: str, experiment: str) -> str:
    """Write a run; gives back the id of its parent run.

    Args:
        data: The run.
        chosen: Candidates that get a nested run.
        uri: Where MLflow tracks: ``http://host:port``, ``sqlite:///file.db``, or what else MLflow takes.
        experiment: Name of the experiment; it is made where there is none.

    Raises:
        MissingExtraError: MLflow is not installed.
        InputError: MLflow takes no such address.
        RunError: The server cannot be reached or refuses.
    """
    mlflow = require("mlflow", "mlflow")
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
        return _Writer(client, _experiment(client, experiment), mlflow.entities).search(data, chosen)
    except mlflow.exceptions.MlflowException as error:
        if "UnsupportedModelRegistryStoreURI" in type(error).__name__ or "Unsupported" in str(error):
            raise InputError(f"MLflow does not track there: {error}", where="--uri", given=uri) from error
        raise RunError(f"MLflow at {uri}: {error}") from error


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found is not None else client.create_experiment(name))


class _Writer:
    def __init__(self, client: Any, experiment: str, entities: Any) -> None:
        self._client, self._experiment, self._entities = client, experiment, entities
        self._now = int(time.time() * 1000)

    def search(self, data: ReportData, chosen: Sequence[Candidate]) -> str:
        """The parent run: configuration, and hypervolume over the evaluations."""
        parent = self._start(data.folder.resolve().name, {})
        steps = _thinned(list(zip(data.history.evaluations, data.history.hypervolume, strict=True)))
        metrics = [self._entities.Metric("hypervolume", value, self._now, step) for step, value in steps]
        self._log(parent, metrics, _flat(data.config))
        for candidate in chosen:
            self._candidate(candidate, parent)
        self._client.set_terminated(parent)
        return parent

    def _candidate(self, candidate: Candidate, parent: str) -> None:
        tags = {
            "mlflow.parentRunId": parent,
            "status": candidate.status,
            "on_front": str(candidate.on_front).lower(),
        }
        if candidate.artifact is not None:
            tags["artifact"] = candidate.artifact
        run = self._start(candidate.id, tags)
        metrics = [
            self._entities.Metric(key, value, self._now, candidate.index)
            for key, value in candidate.values.items()
        ]
        self._log(run, metrics, _flat(candidate.assignment))
        self._client.set_terminated(run)

    def _start(self, name: str, tags: Mapping[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags))
        return str(run.info.run_id)

    def _log(self, run: str, metrics: Sequence[Any], parameters: Mapping[str, str]) -> None:
        params = [self._entities.Param(key, value[:_LENGTH]) for key, value in parameters.items()]
        pieces = itertools.zip_longest(_pieces(metrics, _METRICS), _pieces(params, _PARAMETERS), fillvalue=())
        for some_metrics, some_params in pieces:
            self._client.log_batch(run, metrics=list(some_metrics), params=list(some_params))


def _pieces(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _thinned(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """Not more than `_HISTORY` points, the last one among them."""
    step = -(-len(points) // _HISTORY) or 1
    return points[::-1][::step][::-1]


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys and texts of a nested mapping."""
    flat: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat
