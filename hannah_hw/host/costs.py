"""Prices on a host: sums over the kernels that ONNX Runtime makes of networks here, each as calibration learned it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost import CostReport, Costs
from hannah_hw.errors import TargetError
from hannah_hw.host.facts import nchwc_block
from hannah_hw.host.model import HostModel
from hannah_hw.host.networks import HostNetwork
from hannah_hw.host.regression import SIGMAS
from hannah_hw.host.table import KernelTable
from hannah_hw.targets import Host

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HostCosts(Costs):
    """Prices of P networks on a host.

    Energy and RAM are NaN: a calibration measures time alone.

    Attributes:
        target: The host.
        model: What was learned.
        table: The kernels of all networks, M of them distinct; a candidate that cannot run has none.
        kernel_latency_s: (M,) seconds; NaN of a kernel without a price.
        kernel_band: (M,) relative half width of their 90 % intervals.
        rules: Index of a distinct kernel without a price -> why.
        refusals: Why each of the P candidates cannot run at all; empty where it can.
        macs: (P,) multiply-accumulates of one inference.
        parameters: (P,) weights and biases, elements.
    """

    target: Host
    model: HostModel
    table: KernelTable
    kernel_latency_s: FloatArray
    kernel_band: FloatArray
    rules: dict[int, str]
    refusals: tuple[str, ...]
    macs: NDArray[np.int64]
    parameters: NDArray[np.int64]
    band: FloatArray

    @property
    def latency_band(self) -> FloatArray:
        """(P,) relative half width of the 90 % interval of each candidate's latency."""
        return self.band

    def report(self, index: int = 0) -> CostReport:
        """Everything about one candidate, by kernel."""
        from hannah_hw.host.explain import explain

        return explain(self, index)


def price_networks(
    networks: Sequence[HostNetwork],
    target: Host,
    model: HostModel,
    macs: NDArray[np.int64],
    parameters: NDArray[np.int64],
) -> HostCosts:
    """Price P networks at once.

    Args:
        networks: As ONNX Runtime runs them here.
        target: The host.
        model: What was learned of it.
        macs: (P,) multiply-accumulates.
        parameters: (P,) weights and biases, elements.
    """
    table = KernelTable.of([network.kernels for network in networks])
    refusals = tuple(network.refusal for network in networks)
    runs = np.array([not refusal for refusal in refusals], bool)
    prediction = model.predict(table.kernels)
    unpriced = np.zeros(len(table.kernels))
    unpriced[list(prediction.missing)] = 1.0
    supported: NDArray[np.bool_] = runs & (table.sums(unpriced) == 0)
    latency, band = (
        np.where(supported, _settled(column), np.nan) for column in model.totals(table, prediction)
    )
    stored = np.array([network.weight_bytes for network in networks], float)
    nothing = np.full(len(networks), np.nan)
    return HostCosts(
        target=target,
        latency_s=latency,
        energy_j=nothing,
        ram_bytes=nothing,
        flash_bytes=np.where(supported, stored, np.nan),
        supported=supported,
        model=model,
        table=table,
        kernel_latency_s=_settled(prediction.seconds),
        kernel_band=_settled(SIGMAS * prediction.deviation),
        rules=dict(prediction.missing),
        refusals=refusals,
        macs=macs,
        parameters=parameters,
        band=band,
    )


def _settled(values: FloatArray) -> FloatArray:
    """Values with 9 digits.

    Matrix products of NumPy differ in the last bits with the number of rows, and a candidate must not differ from
    itself among others.
    """
    known = np.isfinite(values) & (values != 0)
    exponent = np.floor(np.log10(np.abs(values), where=known, out=np.zeros(len(values))))
    scale = 10.0 ** (8 - exponent)
    rounded: FloatArray = np.where(known, np.rint(np.where(known, values, 0.0) * scale) / scale, values)
    return rounded


def check_machine(target: Host) -> None:
    """Refuse a target whose networks become other kernels than they do here.

    Raises:
        TargetError: ONNX Runtime lays channels out in other blocks here than on the machine that was calibrated.
    """
    here, there = nchwc_block(), target.runtime.nchwc_block
    if here != there:
        raise TargetError(
            f"ONNX Runtime lays channels out in blocks of {there} on {target.runtime.processor}, which was calibrated, "
            f"and in blocks of {here} on this machine, so that networks become other kernels; estimate on the machine "
            "that was calibrated, or calibrate this one: `hannah-hw calibrate host`",
            where=target.label,
        )
