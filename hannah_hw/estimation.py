"""The front door of pricing: a candidate, an ONNX file, a Workload or a whole population, on a target."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from hannah_hw.cost import CostReport, Costs, price
from hannah_hw.errors import InputError
from hannah_hw.lowering.foreign_work import foreign_macs
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.lowering.reader import OnnxModel, read_onnx
from hannah_hw.spaces import Candidate, SearchSpace
from hannah_hw.targets import Host, Target, load_target
from hannah_hw.workload import Workload

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.lowering.tvm import Lowered, TvmWorker
    from hannah_hw.lowering.tvm.agreement import Group
    from hannah_hw.lowering.tvm.assembly import AssembledKernel
    from hannah_hw.spaces.encoding import FloatArray


def estimate(
    model: Candidate | Workload | ModelProto | str | os.PathLike[str],
    target: Target | str,
    *,
    shapes: GivenShapes | None = None,
) -> CostReport:
    """Latency, energy, RAM and flash of one network on a target.

    Args:
        model: A candidate, a Workload of one candidate, an ONNX model, or the path of one. A floating point
            ONNX model is priced as the int8 network that quantisation makes of it, a quantised one as it is; on a host
            every file is priced as it is, and a candidate with the precision of the target.
        target: A target, or its name or path.
        shapes: Input name -> shape, or that of the only input, where an ONNX file leaves it open; an open batch alone
            is taken as 1.

    Raises:
        InputError: A Workload of several candidates, or of none; or of any for a host.
        ModelError: The file is no readable ONNX.
        TargetError: The target description is wrong, or the host is not like this machine.
        CatalogError: There is no such target.
    """
    chip = _target(target)
    if isinstance(chip, Host) and not isinstance(model, Workload):
        return _on_host(model, chip, shapes).report(0)
    if isinstance(model, Candidate):
        return price(model.workload(), chip).report(0)
    if isinstance(model, Workload):
        if model.size != 1:
            raise InputError(f"the Workload has {model.size} candidates; take one: workload.candidate(index)")
        return price(model, chip).report(0)
    read = read_onnx(model, shapes=shapes)
    report = price(read.deployed(), chip).report(0)
    return _with_foreign(report, read) if read.foreign else report


def _with_foreign(report: CostReport, read: OnnxModel) -> CostReport:
    """A report that says why operators of a file are not read, and what is known of them all the same."""
    macs = foreign_macs(read)
    return replace(
        report,
        unsupported=tuple(
            replace(row, unread=read.foreign.get(row.kernel, "")) for row in report.unsupported
        ),
        kernels=tuple(
            replace(row, macs=macs[row.name]) if row.name in macs else row for row in report.kernels
        ),
        macs=report.macs + sum(work or 0 for work in macs.values()),
    )


def lower_with_tvm(
    model: ModelProto | str | os.PathLike[str],
    *,
    shapes: GivenShapes | None = None,
    features: bool = False,
    worker: TvmWorker | None = None,
) -> tuple[Lowered, tuple[Group, ...]]:
    """A float32 model as TVM lowers it, compared with our own Workload.

    Args:
        model: An ONNX model, or the path of one.
        shapes: See `estimate`.
        features: Whether kernels have what TVM's own cost models see of them; see
            `hannah_hw.lowering.tvm.features.store_features`.
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
    from hannah_hw.lowering.tvm import compare
    from hannah_hw.lowering.tvm.process import worker_or_own

    read = _read_for_tvm(model, shapes)
    with worker_or_own(worker) as used:
        lowered = used.lower(read.model, features=features)
    return lowered, compare(read, lowered)


def assemble_with_tvm(
    model: ModelProto | str | os.PathLike[str],
    processor: str,
    folder: str | os.PathLike[str],
    *,
    shapes: GivenShapes | None = None,
    worker: TvmWorker | None = None,
) -> tuple[AssembledKernel, ...]:
    """The kernels that TVM makes of a float32 model as assembly and machine code, a plain function each.

    Args:
        model: An ONNX model, or the path of one.
        processor: A name of `hannah_hw.lowering.tvm.llvm_targets.LLVM_TARGETS`.
        folder: Where the files go; made where it is missing.
        shapes: See `estimate`.
        worker: See `lower_with_tvm`.

    Raises:
        InputError: The model is quantised, there is no such processor, or the folder cannot be written to.
        ModelError: The file is no readable ONNX.
        UnsupportedError: TVM has no operator of the model.
        EvaluationError: TVM crashed or failed.
        MissingExtraError: TVM is not installed.
    """
    from hannah_hw.lowering.tvm.assembly import TIMEOUT_S, assemble
    from hannah_hw.lowering.tvm.llvm_targets import llvm_target
    from hannah_hw.lowering.tvm.process import worker_or_own

    chip = llvm_target(processor)
    read = _read_for_tvm(model, shapes)
    with worker_or_own(worker, timeout_s=TIMEOUT_S) as used:
        return assemble(read.model, chip, folder, used)


def _read_for_tvm(model: ModelProto | str | os.PathLike[str], shapes: GivenShapes | None) -> OnnxModel:
    """Read a model of float32; what TVM sees otherwise is refused before a process is started."""
    from hannah_hw.lowering.tvm.agreement import float_workload

    read = read_onnx(model, shapes=shapes)
    float_workload(read)
    return read


def estimate_population(space: SearchSpace, X: FloatArray, target: Target | str) -> Costs:
    """Latency, energy, RAM and flash of a population.

    Args:
        space: The space.
        X: (P, D) canonical rows; see `hannah_hw.spaces.Encoding`.
        target: A target, or its name or path.
    """
    chip = _target(target)
    if isinstance(chip, Host):
        from hannah_hw.host.pricing import price_population

        return price_population(space, X, chip)
    return price(space.workload(X), chip)


def _on_host(
    model: Candidate | ModelProto | str | os.PathLike[str], target: Host, shapes: GivenShapes | None
) -> Costs:
    """The prices of one network on a host."""
    from hannah_hw.host.pricing import price_model, price_population

    if isinstance(model, Candidate):
        return price_population(model.space, model.row[None], target)
    return price_model(model, target, shapes=shapes)


def _target(target: Target | str) -> Target:
    return load_target(target) if isinstance(target, str) else target
