"""Kernels and networks of a host, measured in turns, and only what a second half of the measurement confirms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hannah_hw.errors import UnsupportedError
from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.rows import HostRow
from hannah_hw.host.single import single_kernel_model
from hannah_hw.measure.host_clock import LEAST_KNOWN
from hannah_hw.measure.host_turns import (
    ANCHORS,
    EMPTY,
    RETEST,
    ROUNDS,
    SECONDS,
    Subject,
    empty_model,
    time_subjects,
)

#: A kernel that adds less than the clock can tell adds this.
_LEAST_SECONDS: Final = 1e-8
#: Longest kernel, in characters of JSON, that a file of rows holds.
_LONGEST: Final = 100_000


@dataclass(frozen=True)
class Sweep:
    """Kernels and networks, measured together.

    Attributes:
        rows: What has a time, with that of an empty run taken off.
        run_seconds: Of an empty run; None where it has no time, and no kernel one then.
        networks: Name -> seconds of whole networks.
        failures: Name of a network or key of a kernel -> why it has no time.
        calm: Share of visits that nothing disturbed.
        probe: Seconds of the probe in its fastest state.
        slow: By what factor the machine was slower than with the rows of before.
    """

    rows: tuple[HostRow, ...]
    run_seconds: float | None
    networks: dict[str, float]
    failures: dict[str, str]
    calm: float
    probe: float
    slow: float


def measure_kernels(
    kernels: Sequence[HostKernel],
    *,
    networks: Mapping[str, bytes] | None = None,
    previous: Sequence[HostRow] = (),
    run_seconds: float | None = None,
    made_on: str = "",
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    retest: float = RETEST,
    threads: int = 1,
    seed: int = 0,
) -> Sweep:
    """Measure kernels alone, and whole networks with them.

    Args:
        kernels: What to measure, each once.
        networks: Name -> content of an ONNX file.
        previous: Rows of before. Some are timed with the others, whose times become what they would have been then.
        run_seconds: Of an empty run with `previous`, where their rows do not say it.
        made_on: For the rows.
        rounds: See `time_subjects`.
        seconds: See `time_subjects`.
        retest: See `time_subjects`.
        threads: Threads within an operator.
        seed: Of weights, inputs and order.
    """
    subjects, failures = [Subject(EMPTY, empty_model())], {}
    again, known = known_subjects(previous, run_seconds or 0.0, seed)
    subjects += again
    fastest = min((row.probe_s for row in previous if row.probe_s > 0), default=np.inf)
    wanted = {kernel.key: kernel for kernel in kernels if kernel.key not in known}
    for key, kernel in wanted.items():
        try:
            subjects.append(_subject(kernel, seed))
        except UnsupportedError as error:
            failures[key] = str(error)
    subjects += [Subject(name, model) for name, model in (networks or {}).items()]
    found = time_subjects(
        subjects,
        known=known,
        rounds=rounds,
        seconds=seconds,
        fastest=fastest,
        retest=retest,
        threads=threads,
        seed=seed,
    )
    failures |= found.failures
    empty = found.seconds.get(EMPTY, run_seconds)
    if empty is not None:
        failures.pop(EMPTY, None)
    rows = []
    for key, kernel in wanted.items():
        if key in failures:
            failures[key] = f"{_label(kernel)}: {failures[key]}"
        elif empty is None:
            failures[key] = (
                f"{_label(kernel)}: nothing can be taken off, as of a run of nothing {failures[EMPTY]}"
            )
        else:
            own = max(found.seconds[key] - empty, _LEAST_SECONDS)
            state = (empty, found.probe, found.calm)
            rows.append(HostRow(kernel, own, found.spread[key] / own, made_on, *state))
    for name in networks or {}:
        if name in failures and not failures[name].startswith(name):
            failures[name] = f"{name}: {failures[name]}"
    whole = {name: found.seconds[name] for name in networks or {} if name in found.seconds}
    return Sweep(tuple(rows), empty, whole, failures, found.calm, found.probe, found.slow)


def known_subjects(
    rows: Sequence[HostRow], run_seconds: float, seed: int, most: int = ANCHORS
) -> tuple[list[Subject], dict[str, float]]:
    """Some kernels that were measured before, to be timed again as a scale for others.

    Args:
        rows: What was measured.
        run_seconds: Of an empty run, then, where a row does not say it.
        seed: Of weights.
        most: How many.

    Returns:
        Up to so many of them, and name -> seconds of a run then; none where they are too few for a scale.
    """
    scale = _spread_out(rows, most)
    if len(scale) < LEAST_KNOWN:
        return [], {}
    known = {row.kernel.key: row.seconds + (row.run_s or run_seconds) for row in scale}
    return [_subject(row.kernel, seed) for row in scale], known


def _spread_out(rows: Sequence[HostRow], most: int = ANCHORS) -> list[HostRow]:
    """Up to so many rows of steady kernels between the 30th and the 90th percentile of time."""
    ordered = sorted(
        (row for row in rows if row.retest <= RETEST), key=lambda row: (row.seconds, row.kernel.key)
    )
    inner = ordered[len(ordered) * 3 // 10 : len(ordered) * 9 // 10]
    return inner[:: max(1, len(inner) // most)][:most]


def _label(kernel: HostKernel) -> str:
    """Class and sizes of a kernel, for messages."""
    sizes = ["x".join(map(str, tensor.shape)) for tensor in kernel.inputs if len(tensor.shape) > 1]
    return f"{kernel.kernel_class} of {', '.join(sizes)}" if sizes else kernel.kernel_class


def _subject(kernel: HostKernel, seed: int) -> Subject:
    """A kernel alone.

    Raises:
        UnsupportedError: See `single_kernel_model`; or it is too long for a file of rows.
    """
    if len(kernel.to_json()) > _LONGEST:
        raise UnsupportedError(f"a kernel {kernel.op} has more attributes than a row of a file holds")
    model = single_kernel_model(kernel, seed).SerializeToString()
    return Subject(kernel.key, model, optimisation="none", in_place=kernel.is_view)
