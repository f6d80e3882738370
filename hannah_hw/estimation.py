"""The front door of pricing: a candidate, an ONNX file, a Workload or a whole population, on a target."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hannah_hw.cost import CostReport, Costs, price
from hannah_hw.errors import InputError
from hannah_hw.lowering.reader import read_onnx
from hannah_hw.spaces import Candidate, SearchSpace
from hannah_hw.targets import Target, load_target
from hannah_hw.workload import Workload

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.spaces.encoding import FloatArray


def estimate(
    model: Candidate | Workload | ModelProto | str | os.PathLike[str],
    target: Target | str,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> CostReport:
    """Latency, energy, RAM and flash of one network on a target.

    Args:
        model: A candidate, a Workload of one candidate, an ONNX model, or the path of one. A floating point
            ONNX model is priced as the int8 network that quantisation makes of it, a quantised one as it is.
        target: A target, or its name or path.
        shapes: Input name -> shape, where an ONNX file leaves it open.

    Raises:
        InputError: A Workload of several candidates, or of none.
        ModelError: The file is no readable ONNX.
        TargetError: The target description is wrong.
        CatalogError: There is no such target.
    """
    if isinstance(model, Candidate):
        return price(model.workload(), _target(target)).report(0)
    if isinstance(model, Workload):
        if model.size != 1:
            raise InputError(f"the Workload has {model.size} candidates; take one: workload.candidate(index)")
        return price(model, _target(target)).report(0)
    read = read_onnx(model, shapes=shapes)
    report = price(read.deployed(), _target(target)).report(0)
    unsupported = (
        replace(row, rule=f"{row.rule}; {read.foreign[row.kernel]}") if row.kernel in read.foreign else row
        for row in report.unsupported
    )
    return replace(report, unsupported=tuple(unsupported))


def estimate_population(space: SearchSpace, X: FloatArray, target: Target | str) -> Costs:
    """Latency, energy, RAM and flash of a population.

    Args:
        space: The space.
        X: (P, D) canonical rows; see `hannah_hw.spaces.Encoding`.
        target: A target, or its name or path.
    """
    return price(space.workload(X), _target(target))


def _target(target: Target | str) -> Target:
    return load_target(target) if isinstance(target, str) else target
