"""Time by operator and the memory arena, from the profile that ONNX Runtime writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

#: Ends the names of events that say how long a node took.
_KERNEL: Final = "_kernel_time"
#: The event that follows the nodes of a graph, or of the body of a Loop, If or Scan.
_GRAPH: Final = "SequentialExecutor::Execute"
#: The event that follows a whole run.
_RUN: Final = "model_run"


@dataclass(frozen=True)
class OperatorTime:
    """Time of one node of the graph that the runtime executed (after its fusions).

    Attributes:
        name: Node name in the optimised graph.
        op_type: Its operator.
        latency_s: Median over the profiled runs. A Loop, If or Scan counts with all that its body does.
        share: Of the sum over all operators.
        provider: The execution provider that ran it.
    """

    name: str
    op_type: str
    latency_s: float
    share: float
    provider: str


@dataclass(frozen=True)
class Arena:
    """The memory from which a session takes its values.

    Attributes:
        held_bytes: What it took from the system (``mem_arena_held``).
        peak_bytes: The most that was in use at once (``mem_in_use_peak``), weights that the arena holds included.
    """

    held_bytes: int
    peak_bytes: int


def operator_times(events: Iterable[Mapping[str, Any]]) -> tuple[OperatorTime, ...]:
    """Median time of each node, in execution order.

    Args:
        events: The profile. Of several runs the first, which allocates memory, is left out.
    """
    runs = _runs(events)
    samples: dict[str, list[float]] = {}
    rows: dict[str, tuple[str, str, str]] = {}
    for run in runs[1:] or runs:
        for event in run:
            args = event["args"]
            name = event["name"].removesuffix(_KERNEL)
            key = str(args.get("node_index", name))
            samples.setdefault(key, []).append(event["dur"] * 1e-6)
            rows[key] = (name, args["op_name"], args.get("provider", ""))
    medians = {key: float(np.median(values)) for key, values in samples.items()}
    total = sum(medians.values())
    return tuple(
        OperatorTime(name, kind, medians[key], medians[key] / total if total > 0 else 0.0, provider)
        for key, (name, kind, provider) in rows.items()
    )


def arena(events: Iterable[Mapping[str, Any]]) -> Arena | None:
    """The memory arena; None where this version of ONNX Runtime, or this provider, does not report it."""
    reports = [args for event in events if "mem_arena_held" in (args := event.get("args") or {})]
    if not reports:
        return None
    return Arena(
        held_bytes=max(int(args["mem_arena_held"]) for args in reports),
        peak_bytes=max(int(args.get("mem_in_use_peak", 0)) for args in reports),
    )


def _runs(events: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The events of the nodes of the model's own graph, by run.

    An event is written when what it times has ended. So the nodes of a body come before the node that the body belongs
    to, and both before the event of the graph that they are in.
    """
    runs: list[list[Mapping[str, Any]]] = []
    pending: list[Mapping[str, Any]] = []
    graph: list[Mapping[str, Any]] = []
    for event in events:
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith(_KERNEL):
            pending.append(event)
        elif name == _GRAPH:
            first = len(pending)
            while first and pending[first - 1]["ts"] >= event["ts"]:
                first -= 1
            pending, graph = pending[:first], pending[first:]
        elif name == _RUN:
            runs.append(graph or pending)
            pending, graph = [], []
    return runs
