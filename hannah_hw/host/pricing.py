"""Pricing on a host: a population of candidates, or one ONNX model."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hannah_hw import catalog
from hannah_hw.errors import ModelError
from hannah_hw.host.costs import HostCosts, check_machine, price_networks
from hannah_hw.host.model import HostModel
from hannah_hw.host.networks import HostNetwork, book_of
from hannah_hw.host.rows import HostRow, read_rows
from hannah_hw.host.work import executed_macs
from hannah_hw.lowering.open_shapes import GivenShapes
from hannah_hw.lowering.reader import read_onnx

if TYPE_CHECKING:
    from onnx import ModelProto

    from hannah_hw.spaces import SearchSpace
    from hannah_hw.targets import Host


def price_population(space: SearchSpace, rows: NDArray[np.float64], target: Host) -> HostCosts:
    """Price candidates of a space.

    Every distinct candidate is written as a model of the target's precision and optimised once; the space remembers the
    kernels. A candidate that has no ONNX form, or that ONNX Runtime cannot run, is unsupported and says why.

    Args:
        space: The space.
        rows: (P, D) canonical rows.
        target: The host.

    Raises:
        TargetError: This machine makes other kernels than the calibrated one, or the cost model cannot be used.
        CatalogError: There is no such cost model.
    """
    check_machine(target)
    model = learned(target)
    book = book_of(space, target.model.precision, target.runtime.threads)
    networks = book.networks(space, rows)
    return price_networks(networks, target, model, space.mac_counts(rows), space.parameter_counts(rows))


def price_model(
    source: ModelProto | str | os.PathLike[str],
    target: Host,
    *,
    shapes: GivenShapes | None = None,
) -> HostCosts:
    """Price one ONNX model as it is: float32 or quantised, of whatever operators ONNX Runtime runs.

    Args:
        source: The model, or the path of its file.
        target: The host.
        shapes: Shape of the only input, or shapes by input name, where the file leaves them open.

    Raises:
        ModelError: ONNX Runtime cannot run it.
        TargetError: See `price_population`.
        CatalogError: See `price_population`.
    """
    check_machine(target)
    model = learned(target)
    network = HostNetwork.of_model(source, threads=target.runtime.threads, shapes=shapes)
    macs, parameters = _counts(source, network, shapes)
    return price_networks([network], target, model, np.array([macs]), np.array([parameters]))


def learned(target: Host) -> HostModel:
    """What was learned of a host.

    Raises:
        CatalogError: There is no such cost model.
        TargetError: It cannot be used.
    """
    path = _model_path(target)
    return _loaded((path, path.stat().st_mtime_ns))


def learned_rows(target: Host) -> list[HostRow]:
    """The measurements that a host was learned from; none where the cost model has none beside it.

    Raises:
        CatalogError: There is no such cost model.
        TargetError: It cannot be used.
        DataError: The measurements cannot be read.
    """
    name = learned(target).rows
    path = _model_path(target).parent / name
    return read_rows(path) if name and path.is_file() else []


def _model_path(target: Host) -> Path:
    near = target.origin.parent if target.origin is not None else None
    return catalog.find("cost_models", target.model.coefficients, near=near).resolve()


@functools.lru_cache(maxsize=8)
def _loaded(version: tuple[Path, int]) -> HostModel:
    """The model of a file that was last changed at a time, nanoseconds."""
    return HostModel.load(version[0])


def _counts(
    source: ModelProto | str | os.PathLike[str],
    network: HostNetwork,
    shapes: GivenShapes | None,
) -> tuple[int, int]:
    """Multiply-accumulates, and elements of weights: of the model where our reader reads it, else of what runs."""
    try:
        workload = read_onnx(source, shapes=shapes).workload()
    except ModelError:
        constants = [t for kernel in network.kernels for t in kernel.inputs if t.constant]
        return sum(map(executed_macs, network.kernels)), sum(t.elements for t in constants)
    return int(workload.macs[0]), int((workload.kernels["weights"] + workload.kernels["bias"]).sum())
