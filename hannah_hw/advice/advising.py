"""The front door of advice: a model or a candidate on a target."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.advice.changes import changes
from hannah_hw.advice.choosing import choose, figures_of
from hannah_hw.advice.elastic import ElasticNetwork
from hannah_hw.advice.hardware import other_chips
from hannah_hw.advice.insight import Insight, largest
from hannah_hw.advice.neighbours import neighbours
from hannah_hw.cost import price
from hannah_hw.cost.peak import peak
from hannah_hw.cost.report import CostReport
from hannah_hw.estimation import estimate, estimate_population
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.lowering.reader import read_onnx
from hannah_hw.spaces import Candidate
from hannah_hw.targets import Accelerator, Host, Target, load_target

if TYPE_CHECKING:
    from onnx import ModelProto

#: Figures that a chip's advice is about; energy of a microcontroller follows the latency.
_ON_CHIPS: Final = ("ram_bytes", "latency_s", "flash_bytes")
_ON_ACCELERATORS: Final = ("latency_s", "energy_j", "ram_bytes")


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
    input. Where the description of an accelerator has params, chips with another value of one are tried too. The advice
    ignores the accuracy.

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
    known = largest([(row.name, row.latency_s or 0.0) for row in report.kernels])
    if not report.supported:
        return Insight(known, None, (), "no advice: the target cannot run all of it")
    if isinstance(chip, Host):
        return Insight(known, None, (), "no advice on a host: a change needs a profile of its own")
    metrics = _ON_ACCELERATORS if isinstance(chip, Accelerator) else _ON_CHIPS
    if isinstance(model, Candidate):
        rows, tried = neighbours(model)
        costs, macs = estimate_population(model.space, rows, chip), model.space.mac_counts(rows)
        own = model.workload()
    else:
        network = ElasticNetwork(read_onnx(model, shapes=shapes))
        tried = changes(network)
        workload = network.workload([{}, *(change.values for change in tried)])
        costs, macs, own = price(workload, chip), workload.macs, network.workload([{}])
    chips = list(other_chips(chip))
    tried += [change for change, _ in chips]
    priced = [(costs, macs), *((price(own, other), own.macs) for _, other in chips)]
    found = [figures_of(*one) for one in priced]
    figures = {key: np.concatenate([part[key] for part in found]) for key in found[0]}
    possible = np.concatenate([part.supported for part, _ in priced])
    advice = choose(tried, figures, possible, metrics)
    return Insight(known, peak(report), advice, f"{len(tried)} changes were priced; accuracy is ignored")
