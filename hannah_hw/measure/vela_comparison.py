"""Estimates for an Ethos-U against its vendor's compiler, network by network and layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hannah_hw.cost import CostReport
from hannah_hw.measure.comparison import (
    FIGURES,
    Compared,
    KernelComparison,
    NetworkComparison,
    estimated_and,
    mlperf_tiny,
    refused,
)
from hannah_hw.measure.models import int8_model
from hannah_hw.measure.vela import VelaMeasurement, compile_network
from hannah_hw.measure.vela_compiler import system_of, vela_version

if TYPE_CHECKING:
    from hannah_hw.firmware.layers import Layer, Network
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
    vela_version()
    system_of(target)
    given = int8_model(model, calibration)

    def measured(network: Network, report: CostReport) -> NetworkComparison:
        found = compile_network(network, target, given)
        if found.on_cpu:
            return refused(name, f"the compiler leaves to the CPU: {', '.join(found.on_cpu)}")
        return compared(name, report, found, {layer.name: layer for layer in network.layers})

    return estimated_and(measured, name, given, target)


def compare_mlperf_tiny_compiled(target: Target) -> list[NetworkComparison]:
    """`compare_with_compiler` for the four MLPerf Tiny networks of the catalogue, with random weights."""
    return [compare_with_compiler(name, model, target) for name, model in mlperf_tiny()]


def compared(
    name: str, report: CostReport, measured: VelaMeasurement, layers: Mapping[str, Layer]
) -> NetworkComparison:
    """The comparison of an estimate with what the compiler says of the same network."""
    figures = {}
    for key in FIGURES:
        estimated, value = getattr(report, key), measured.value(key)
        if estimated is not None and value:
            figures[key] = Compared.of(estimated, value)
    rows = {row.name: row for row in report.kernels}
    kernels = tuple(
        KernelComparison.of(
            rows[kernel.name],
            kernel_class(layers[kernel.name]),
            " ".join(dict.fromkeys(kernel.operations)),
            layers[kernel.name].columns["macs"],
            float(kernel.cycles),
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
