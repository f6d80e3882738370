"""The front door of advice: a model or a candidate on a target."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.advice.changes import changes
from hannah_hw.advice.choosing import Advice, choose
from hannah_hw.advice.elastic import ElasticNetwork
from hannah_hw.advice.neighbours import neighbours
from hannah_hw.cost import price
from hannah_hw.cost.peak import Peak, peak
from hannah_hw.cost.report import CostReport
from hannah_hw.estimation import estimate, estimate_population
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.lowering.reader import read_onnx
from hannah_hw.spaces import Candidate
from hannah_hw.targets import Accelerator, Host, Target, load_target

if TYPE_CHECKING:
    from onnx import ModelProto

#: Kernels that are named.
_NAMED: Final = 3
#: Figures that a chip's advice is about; energy of a microcontroller follows the latency.
_ON_CHIPS: Final = ("ram_bytes", "latency_s", "flash_bytes")
_ON_ACCELERATORS: Final = ("latency_s", "energy_j", "ram_bytes")


@dataclass(frozen=True)
class Insight:
    """What costs most, and what would help.

    Attributes:
        largest: The kernels that take most of the time: name, seconds, share of the network's latency.
        peak: Where the RAM goes; None where it is not known.
        advice: Changes that lower figures; see `hannah_hw.advice.Advice`.
        note: What the advice rests on, or why there is none.
    """

    largest: tuple[tuple[str, float, float], ...]
    peak: Peak | None
    advice: tuple[Advice, ...]
    note: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data."""
        return {
            "largest": [
                {"kernel": name, "latency_s": latency, "share": share}
                for name, latency, share in self.largest
            ],
            "peak": None if self.peak is None else self.peak.to_dict(),
            "changes": [advice.to_dict() for advice in self.advice],
            "note": self.note,
        }


def advise(
    model: Candidate | ModelProto | str | os.PathLike[str],
    target: Target | str,
    *,
    shapes: GivenShapes | None = None,
    report: CostReport | None = None,
) -> Insight:
    """What costs most of a network on a target, and what would help.

    Every change is priced as the network that it leads to, all at once. Changes of a candidate are those of one
    parameter of its space; those of a file are fewer output channels, smaller windows, earlier strides and a smaller
    input. The advice ignores the accuracy.

    Args:
        model: A candidate, an ONNX model, or the path of one.
        target: A target, or its name or path.
        shapes: See `hannah_hw.estimate`.
        report: What `hannah_hw.estimate` gave for the same, if that is there.

    Raises:
        ModelError: The file is no readable ONNX.
        TargetError: The target description is wrong.
        CatalogError: There is no such target.
    """
    chip = load_target(target) if isinstance(target, str) else target
    report = estimate(model, chip, shapes=shapes) if report is None else report
    total = report.latency_s or 0.0
    timed = [(row.name, row.latency_s) for row in report.kernels if row.latency_s]
    largest = sorted(timed, key=lambda item: -item[1])[:_NAMED]
    known = tuple((name, latency, latency / total) for name, latency in largest) if total else ()
    if not report.supported:
        return Insight(known, None, (), "no advice: the target cannot run all of it")
    if isinstance(chip, Host):
        return Insight(known, None, (), "no advice on a host: a change needs a profile of its own")
    metrics = _ON_ACCELERATORS if isinstance(chip, Accelerator) else _ON_CHIPS
    if isinstance(model, Candidate):
        rows, tried = neighbours(model)
        costs, macs = estimate_population(model.space, rows, chip), model.space.mac_counts(rows)
    else:
        network = ElasticNetwork(read_onnx(model, shapes=shapes))
        tried = changes(network)
        workload = network.workload([{}, *(change.values for change in tried)])
        costs, macs = price(workload, chip), workload.macs
    advice = tuple(choose(tried, costs, macs, metrics))
    return Insight(known, peak(report), advice, f"{len(tried)} changes were priced; accuracy is ignored")
