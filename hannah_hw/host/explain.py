"""From prices on a host to the report on one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from hannah_hw.cost.report import CostReport, Figure, Flash, KernelRow, UnsupportedRow
from hannah_hw.host.facts import processor
from hannah_hw.host.work import executed_macs
from hannah_hw.quantities import format_si

if TYPE_CHECKING:
    from hannah_hw.host.costs import HostCosts
    from hannah_hw.host.kernels import HostKernel, HostTensor

#: Why a report has no energy and no RAM.
_UNKNOWN: Final = (
    "energy and RAM are not known: calibration measures time; `hannah-hw profile` shows the memory arena"
)


def explain(costs: HostCosts, index: int) -> CostReport:
    """The report on candidate ``index``.

    Raises:
        IndexError: There is no such candidate.
    """
    if not 0 <= index < len(costs):
        raise IndexError(f"candidate {index} of {len(costs)}")
    distinct = costs.table.of_network(index)
    names = [f"{costs.table.kernels[k].op_type}_{position}" for position, k in enumerate(distinct)]
    rows = tuple(_row(costs, int(k), name) for k, name in zip(distinct, names, strict=True))
    unsupported = [
        UnsupportedRow(name, costs.table.kernels[k].op, costs.rules[int(k)], unpriced=True)
        for k, name in zip(distinct, names, strict=True)
        if int(k) in costs.rules
    ]
    if costs.refusals[index]:
        unsupported.append(UnsupportedRow("network", "model", costs.refusals[index]))
    supported = bool(costs.supported[index])
    stored = int(costs.flash_bytes[index]) if supported else None
    return CostReport(
        target=costs.target.label,
        latency_s=float(costs.latency_s[index]) if supported else None,
        energy_j=None,
        ram_bytes=None,
        flash_bytes=stored,
        cycles=None,
        macs=int(costs.macs[index]),
        parameters=int(costs.parameters[index]),
        figures=_figures(costs, index) if supported else {},
        kernels=rows,
        memory=None,
        flash=Flash(sum(row.weight_bytes for row in rows) if stored is None else stored, 0, None, stored),
        unsupported=tuple(unsupported),
        notes=_notes(costs),
    )


def _figures(costs: HostCosts, index: int) -> dict[str, Figure]:
    runtime = costs.target.runtime
    threads = "1 thread" if runtime.threads == 1 else f"{runtime.threads} threads"
    basis = (
        f"kernels of ONNX Runtime {runtime.version} as measured on {runtime.processor}, {threads}, "
        f"and what was learned from them ({costs.target.model.coefficients}), with "
        f"{format_si(costs.model.run_seconds, 's')} of a run without any kernel; 90 % interval"
    )
    latency, stored = float(costs.latency_s[index]), float(costs.flash_bytes[index])
    return {
        "latency_s": Figure(latency, "s", "estimated", float(costs.band[index]), basis),
        "flash_bytes": Figure(stored, "bytes", "estimated", 0.0, "weights as the ONNX file stores them"),
    }


def _notes(costs: HostCosts) -> tuple[str, ...]:
    """What is not known, and how this machine differs from the one that was calibrated."""
    import onnxruntime

    calibrated = costs.target.runtime
    notes = [_UNKNOWN]
    if onnxruntime.__version__ != calibrated.version:
        notes.append(
            f"kernels are those of ONNX Runtime {onnxruntime.__version__}, and those of {calibrated.version} were "
            "measured: they may differ"
        )
    if processor() != calibrated.processor:
        notes.append(f"times are those of {calibrated.processor}, not of this machine ({processor()})")
    return tuple(notes)


def _row(costs: HostCosts, number: int, name: str) -> KernelRow:
    """A kernel; names of nodes are lost where ONNX Runtime fuses them, so it is called by its place."""
    kernel = costs.table.kernels[number]
    priced = number not in costs.rules
    weight_bits, activation_bits, output_bits = _bits(kernel)
    return KernelRow(
        name=name,
        kind=kernel.op,
        kernel_class=kernel.kernel_class,
        macs=executed_macs(kernel),
        cycles=None,
        latency_s=float(costs.kernel_latency_s[number]) if priced else None,
        weight_bytes=sum(tensor.bytes for tensor in kernel.inputs if tensor.constant),
        scratch_bytes=None,
        source="estimated",
        error=float(costs.kernel_band[number]) if priced else None,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        output_bits=output_bits,
        detail=_shapes(kernel),
    )


def _bits(kernel: HostKernel) -> tuple[int, int, int]:
    """Bits of the elements of weights, input and output; what there is not has those of the output."""
    result = _width(kernel.outputs[:1])
    weights = [tensor for tensor in kernel.inputs if tensor.constant and len(tensor.shape) > 1]
    return _width(weights[:1]) or result, _width(kernel.computed[:1]) or result, result


def _width(tensors: Sequence[HostTensor]) -> int:
    """Bits of an element of the only tensor; 0 without one, and of texts."""
    return 8 * tensors[0].bytes // max(tensors[0].elements, 1) if tensors else 0


def _shapes(kernel: HostKernel) -> dict[str, Any]:
    return {
        "inputs": [list(tensor.shape) for tensor in kernel.computed],
        "outputs": [list(tensor.shape) for tensor in kernel.outputs],
    }
