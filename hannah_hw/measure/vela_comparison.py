"""Estimates for an Ethos-U against its vendor's compiler, network by network and layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hannah_hw.cost import CostReport, price
from hannah_hw.errors import EvaluationError, UnsupportedError
from hannah_hw.measure.comparison import FIGURES, Compared, KernelComparison, NetworkComparison
from hannah_hw.measure.models import int8_model
from hannah_hw.measure.validation import NETWORKS
from hannah_hw.measure.vela import VelaMeasurement, compile_network
from hannah_hw.measure.vela_compiler import system_of, vela_version

if TYPE_CHECKING:
    from hannah_hw.firmware.layers import Layer
    from hannah_hw.spaces import Candidate
    from hannah_hw.targets import Target


def compare_with_compiler(
    name: str, model: str | Path | Candidate, target: Target, *, calibration: str | Path | None = None
) -> NetworkComparison:
    """Estimate a network, compile it, and compare.

    Args:
        name: What the network is called.
        model: An ONNX file or a candidate; see `hannah_hw.measure.vela.compile_with_vela`.
        target: An Ethos-U.
        calibration: For a float32 model.

    Returns:
        The comparison. Layers that the compiler merged into others are not among its kernels. It is without figures
        and has a reason where a layer cannot be written as TFLite, or stays on the CPU.

    Raises:
        InputError: The model cannot be read, or the target is no Ethos-U.
        MissingExtraError: A package of the extra ``vela`` is not installed.
    """
    from hannah_hw.firmware.network import read_network, workload_of

    vela_version()
    system_of(target)
    given = int8_model(model, calibration)
    try:
        network = read_network(given.source)
        report = price(workload_of(network), target).report(0)
        if report.unsupported:
            row = report.unsupported[0]
            return _refused(name, f"{row.kernel} ({row.kind}): {row.rule}")
        measured = compile_network(network, target, given)
    except (UnsupportedError, EvaluationError) as error:
        return _refused(name, str(error))
    if measured.on_cpu:
        return _refused(name, f"the compiler leaves to the CPU: {', '.join(measured.on_cpu)}")
    return compared(name, report, measured, {layer.name: layer for layer in network.layers})


def compare_mlperf_tiny_compiled(target: Target) -> list[NetworkComparison]:
    """`compare_with_compiler` for the four MLPerf Tiny networks of the catalogue, with random weights."""
    from hannah_hw.spaces import load_space

    spaces = {name: load_space(f"mlperf_tiny:{function}") for name, function in NETWORKS.items()}
    return [
        compare_with_compiler(name, space.candidate(space.default()), target)
        for name, space in spaces.items()
    ]


def compared(
    name: str, report: CostReport, measured: VelaMeasurement, layers: Mapping[str, Layer]
) -> NetworkComparison:
    """The comparison of an estimate with what the compiler says of the same network."""
    figures = {}
    for key in FIGURES:
        estimated, value = getattr(report, key), measured.value(key)
        if estimated is not None and value:
            figures[key] = Compared(float(estimated), value, float(estimated) / value - 1.0)
    rows = {row.name: row for row in report.kernels}
    kernels = tuple(
        KernelComparison(
            name=kernel.name,
            kernel_class=kernel_class(layers[kernel.name]),
            function=" ".join(dict.fromkeys(kernel.operations)),
            macs=layers[kernel.name].columns["macs"],
            estimated_cycles=float(rows[kernel.name].cycles or 0.0),
            measured_cycles=float(kernel.cycles),
            error=float(rows[kernel.name].cycles or 0.0) / kernel.cycles - 1.0,
        )
        for kernel in measured.kernels
        if kernel.cycles
    )
    macs = sum(layer.columns["macs"] for layer in layers.values())
    return NetworkComparison(name, figures, kernels, macs, 0)


def kernel_class(layer: Layer) -> str:
    """A layer's kind, convolutions told apart: ``conv``, ``pointwise``, ``depthwise``, ``grouped``."""
    columns = layer.columns
    if layer.kind != "conv":
        return layer.kind
    if columns["groups"] > 1:
        return "depthwise" if columns["groups"] == columns["in_channels"] else "grouped"
    return "pointwise" if columns["kernel_h"] * columns["kernel_w"] == 1 else "conv"


def _refused(name: str, reason: str) -> NetworkComparison:
    return NetworkComparison(name, {}, (), 0, 0, reason)
