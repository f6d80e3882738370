"""The user's own trainer: a function ``score(candidate, budget) -> dict``.

::

    # trainer.py
    def score(candidate, budget):
        module = candidate.module()                      # a torch module with fresh, seeded weights
        kept = candidate.folder / "weights.pt"           # what is written here is there again for a larger budget
        ...                                              # train for `budget`, a share in (0, 1], of the full effort
        return {"error": 0.031, "f1": 0.97, "artifact": candidate.onnx(module)}

``error`` is needed where an objective or a constraint is about it; any other names are recorded as they are. A function
may raise `hannah_hw.errors.EvaluationError` with a kind of its own; any other exception is a recorded failure, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.errors import ConfigError, EvaluationError, SpaceError
from hannah_hw.scoring.candidate import candidate_seed, fresh_module
from hannah_hw.spaces.modules import execute

if TYPE_CHECKING:
    from hannah_hw.executors import BasicExecutor
    from hannah_hw.spaces import Candidate

#: Names that a run gives itself.
RESERVED: Final = frozenset(
    (
        "latency_s",
        "energy_j",
        "ram_bytes",
        "flash_bytes",
        "area_mm2",
        "macs",
        "parameters",
        "share",
        "weights",
    )
)
#: Name of the file that `Subject.onnx` writes by default.
MODEL: Final = "model.onnx"


@dataclass(frozen=True)
class Subject:
    """What a score function is given.

    Attributes:
        id: Of the candidate.
        assignment: Its active parameters, ready for JSON.
        folder: Its own; it is there already, and its files are there again when the candidate is scored with a larger
            budget, or again after an interruption.
        seed: 63 bits that depend on the run's seed and the candidate only.
        candidate: The network in its space, with its shapes, MACs and workload; None where what is searched is no
            space of networks.
    """

    id: str
    assignment: Mapping[str, Any]
    folder: Path
    seed: int
    candidate: Candidate | None = None

    def module(self) -> BasicExecutor:
        """A new torch module of the network, with weights that the seed alone decides.

        Raises:
            SpaceError: What is searched is no space of networks.
            MissingExtraError: torch is not installed.
        """
        return fresh_module(self._network(), self.seed)

    def onnx(self, module: BasicExecutor | None = None, path: str | Path | None = None) -> Path:
        """Write the network as an ONNX file in float32, with folded batch normalisation.

        Args:
            module: Trained; by default a new one.
            path: By default ``model.onnx`` in the candidate's folder.

        Returns:
            The path, for the result's ``artifact``.

        Raises:
            SpaceError: What is searched is no space of networks.
            OSError: The file cannot be written.
        """
        from hannah_hw.lowering import to_onnx

        file = self.folder / MODEL if path is None else Path(path)
        chosen = self.module() if module is None else module
        to_onnx(self._network(), file, module=chosen, fold_batch_norm=True)
        return file

    def _network(self) -> Candidate:
        if self.candidate is None:
            raise SpaceError(
                "what is searched is no space of networks, so there is no module and no ONNX file"
            )
        return self.candidate


#: A score function.
Score = Callable[[Subject, float], Mapping[str, Any]]


def find_score(reference: str, *, allow_code: bool = False) -> Score:
    """The function that ``file.py:function`` names; the file is executed.

    Args:
        reference: File and function.
        allow_code: Whether that is allowed. A configuration is data, and data may execute code only where the user
            said so, as with search spaces.

    Raises:
        ConfigError: It is not allowed, or there is no such file or function.
    """
    file, _, name = reference.rpartition(":")
    if not file.endswith(".py") or not name:
        raise ConfigError(f"{reference!r} names no function; write file.py:function", where="score")
    if not allow_code:
        raise ConfigError(
            f"{reference!r} executes Python code, which a configuration may do only if you allow it; if you trust the "
            f"file, write score: {{function: {reference!r}, allow_code: true}}",
            where="score",
        )
    try:
        module = execute(Path(file))
    except SpaceError as error:
        raise ConfigError(error.message, where=error.where or "score") from error
    function = getattr(module, name, None)
    if not callable(function):
        own = [
            k
            for k, v in vars(module).items()
            if callable(v) and getattr(v, "__module__", "") == module.__name__
        ]
        raise ConfigError(f"{file} has no function {name!r}", where="score", allowed=own, given=name)
    found: Score = function
    return found


def score_own(function: Score, subject: Subject, budget: float) -> dict[str, Any]:
    """What a score function says of a candidate, checked.

    Args:
        function: The function.
        subject: The candidate; its folder is made.
        budget: Share of the full effort, in (0, 1].

    Returns:
        Metric -> finite number; ``artifact``: the path of the model, where it gave one.

    Raises:
        EvaluationError: A value is no finite number (kind ``no-figure``), or there is no such model.
        ConfigError: The function returns no mapping, or names that a run gives itself.
        OSError: The folder cannot be made.
    """
    subject.folder.mkdir(parents=True, exist_ok=True)
    result = function(subject, budget)
    if not isinstance(result, Mapping) or not all(isinstance(name, str) for name in result):
        raise ConfigError(
            f"the score function returned {type(result).__name__}; needed: a mapping of names to numbers, with 'error'",
            where="score",
        )
    taken = sorted(name for name in result if name in RESERVED or name.startswith("error_stage_"))
    if taken:
        raise ConfigError(
            f"the score function returned {', '.join(taken)}, which a run fills in itself; choose other names",
            where="score",
        )
    metrics: dict[str, Any] = {}
    for name, value in result.items():
        if name == "artifact":
            metrics[name] = _model(value, subject)
            continue
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise EvaluationError(f"{name} is {value!r}, which is no number", kind="no-figure") from error
        if not math.isfinite(number):
            raise EvaluationError(f"{name} is {number}", kind="no-figure")
        metrics[name] = number
    return metrics


def make_subject(
    identifier: str, assignment: Mapping[str, Any], candidate: Candidate | None, seed: int, folder: Path
) -> Subject:
    """What a score function is given for one candidate.

    Args:
        identifier: Of the candidate, without a network of a space; otherwise its network's id counts.
        assignment: Its active parameters.
        candidate: Its network.
        seed: Of the run.
        folder: Where candidates have their folders.
    """
    name = identifier if candidate is None else candidate.id
    return Subject(name, dict(assignment), folder / name, candidate_seed(seed, name), candidate)


def score_assignment(
    function: Score,
    identifier: str,
    assignment: Mapping[str, Any],
    candidate: Candidate | None,
    *,
    seed: int,
    folder: Path,
    budget: float,
) -> dict[str, Any]:
    """What a score function says of a candidate, as a run records it: ``artifact`` is relative to the run.

    Args:
        function: The function.
        identifier: See `make_subject`.
        assignment: See `make_subject`.
        candidate: See `make_subject`.
        seed: Of the run.
        folder: Of the run's artifacts.
        budget: Share of the full effort, in (0, 1].

    Raises:
        EvaluationError: See `score_own`.
        ConfigError: See `score_own`.
        OSError: The folder cannot be made.
    """
    metrics = score_own(function, make_subject(identifier, assignment, candidate, seed, folder), budget)
    if "artifact" in metrics:
        file = metrics["artifact"].resolve().relative_to(folder.resolve())
        metrics["artifact"] = f"{folder.name}/{file.as_posix()}"
    return metrics


def _model(value: object, subject: Subject) -> Path:
    path = Path(str(value))
    if not path.resolve().is_relative_to(subject.folder.resolve()) or not path.is_file():
        raise EvaluationError(
            f"the artifact {path} is no file in the folder of the candidate, {subject.folder}",
            kind="artifact",
        )
    return path
