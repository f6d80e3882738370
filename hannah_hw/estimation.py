"""The front door of pricing: a candidate, an ONNX file, a Workload or a whole population, on a target."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from hannah_hw.cost import CostReport, Costs, price
from hannah_hw.errors import InputError
from hannah_hw.lowering.open_shapes import Given
from hannah_hw.lowering.reader import read_onnx
from hannah_hw.spaces import Candidate, SearchSpace
from hannah_hw.targets import Target, load_target
from hannah_hw.workload import Workload

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.lowering.tvm import Lowered, TvmWorker
    from hannah_hw.lowering.tvm.agreement import Group
    from hannah_hw.spaces.encoding import FloatArray


def estimate(
    model: Candidate | Workload | ModelProto | str | os.PathLike[str],
    target: Target | str,
    *,
    shapes: Given | None = None,
) -> CostReport:
    """Latency, energy, RAM and flash of one network on a target.

    Args:
        model: A candidate, a Workload of one candidate, an ONNX model, or the path of one. A floating point
            ONNX model is priced as the int8 network that quantisation makes of it, a quantised one as it is.
        target: A target, or its name or path.
        shapes: Input name -> shape, or that of the only input, where an ONNX file leaves it open; an open batch alone
            is taken as 1.

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
    unsupported = (replace(row, unread=read.foreign.get(row.kernel, "")) for row in report.unsupported)
    return replace(report, unsupported=tuple(unsupported))


def lower_with_tvm(
    model: ModelProto | str | os.PathLike[str],
    *,
    shapes: Given | None = None,
    worker: TvmWorker | None = None,
) -> tuple[Lowered, tuple[Group, ...]]:
    """A float32 model as TVM lowers it, compared with our own Workload.

    Args:
        model: An ONNX model, or the path of one.
        shapes: See `estimate`.
        worker: TVM's process, kept warm between models; without one, it is started and ended here.

    Returns:
        TVM's kernels, and the same beside ours, in the smallest groups that fuse alike on both sides.

    Raises:
        InputError: The model is quantised.
        ModelError: The file is no readable ONNX.
        UnsupportedError: TVM has no operator of the model.
        EvaluationError: TVM crashed or failed, or it disagrees with our Workload, which names the kernel.
        MissingExtraError: TVM is not installed.
    """
    from hannah_hw.lowering.tvm import TvmWorker, compare
    from hannah_hw.lowering.tvm.agreement import float_workload

    read = read_onnx(model, shapes=shapes)
    float_workload(read)  # refuses what TVM sees otherwise before a process is started
    if worker is not None:
        lowered = worker.lower(read.model)
    else:
        with TvmWorker() as own:
            lowered = own.lower(read.model)
    return lowered, compare(read, lowered)


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
