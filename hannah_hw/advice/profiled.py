"""Advice from a profile: the time of each operator, scaled by the work that a change leaves it.

A machine that was not calibrated has no cost model. What was measured of an operator is scaled by its
multiply-accumulates, or by the bytes that it writes where it has none; operators that the runtime added, such as
conversions, are left as they are. That ignores that smaller operators reach fewer multiply-accumulates a second.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.advice.changes import changes
from hannah_hw.advice.choosing import choose
from hannah_hw.advice.elastic import ElasticNetwork
from hannah_hw.advice.insight import Insight, largest
from hannah_hw.errors import ModelError
from hannah_hw.graph import Op
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.lowering.reader import read_onnx
from hannah_hw.workload import Workload

if TYPE_CHECKING:
    from onnx import ModelProto

#: What ONNX Runtime appends to the name of a node that it made of another one.
_APPENDED: Final = re.compile(r"(_nchwc|_token_\d+)+$")


def advise_profile(
    model: ModelProto | str | os.PathLike[str],
    operators: Sequence[tuple[str, float]],
    latency_s: float,
    *,
    shapes: GivenShapes | None = None,
) -> Insight:
    """What takes most of the time of a profiled model, and what would help.

    Args:
        model: An ONNX model, or the path of one.
        operators: Name in the optimised graph and seconds of each operator.
        latency_s: Of the model; changes are scaled to it.
        shapes: See `hannah_hw.estimate`.
    """
    known = largest(operators)
    try:
        read = read_onnx(model, shapes=shapes)
    except ModelError as failure:
        return Insight(known, None, (), f"no advice: {failure}")
    if read.foreign:
        name, reason = next(iter(read.foreign.items()))
        return Insight(
            known, None, (), f"no advice: {len(read.foreign)} nodes are not read, as {name}: {reason}"
        )
    network = ElasticNetwork(read)
    tried = changes(network)
    workload = network.workload([{}, *(change.values for change in tried)])
    times = _scaled(operators, network, workload)
    if times is None:
        return Insight(known, None, (), "no advice: no operator of the profile is one of the file")
    figures = {"latency_s": latency_s * times / times[0], "macs": workload.macs.astype(np.float64)}
    exists = np.ones(workload.size, np.bool_) if workload.exists is None else workload.exists
    advice = choose(tried, figures, exists, ("latency_s",), "scaled")
    note = (
        f"{len(tried)} changes; the measured times are scaled by the work that is left; accuracy is ignored"
    )
    return Insight(known, None, advice, note)


def _scaled(
    operators: Sequence[tuple[str, float]], network: ElasticNetwork, workload: Workload
) -> NDArray[np.float64] | None:
    """(P,) seconds of all operators; None where none of them is known."""
    slots = {name: slot for slot, name in enumerate(workload.kernels.names)}
    total = np.zeros(workload.size)
    found = False
    for name, seconds in operators:
        slot = _slot(_APPENDED.sub("", name), network.nodes, slots)
        share = np.ones(workload.size) if slot is None else _work(workload, slot)
        found |= slot is not None
        total += seconds * share
    return total if found else None


def _slot(name: str, nodes: Mapping[str, Op], slots: Mapping[str, int]) -> int | None:
    """The kernel of an operator; of a fused activation, that which it was fused into."""
    node = nodes.get(name)
    while node is not None and node.id not in slots:
        data = node.data_operands()
        node = data[0] if len(data) == 1 and isinstance(data[0], Op) else None
    return None if node is None else slots[node.id]


def _work(workload: Workload, slot: int) -> NDArray[np.float64]:
    """(P,) work of a kernel, as a share of that of the first network."""
    work = workload.kernels["macs"][:, slot]
    if not work[0]:
        names = workload.buffers.names
        work = workload.buffers.bytes[:, names.index(workload.kernels.names[slot])]
    share: NDArray[np.float64] = work / max(int(work[0]), 1)
    return share
