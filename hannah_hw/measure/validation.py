"""Comparing estimates with published or measured figures of whole networks."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hannah_hw.cost import CostReport, price
from hannah_hw.errors import DataError
from hannah_hw.measure.references import Reference, published, read_reference
from hannah_hw.targets import Microcontroller, SourcedNumber, SourcedWatts
from hannah_hw.workload import Workload

#: MLPerf Tiny benchmark -> function of the space file ``mlperf_tiny``.
NETWORKS: Final[Mapping[str, str]] = {
    "ic": "resnet8",
    "kws": "ds_cnn_kws",
    "vww": "mobilenet_v1_025",
    "ad": "fc_autoencoder",
}

#: Name of the runtime that published figures are of.
PUBLISHED_RUNTIME: Final = "cmsis_nn"


@dataclass(frozen=True)
class ValidationRow:
    """One network: predicted against reference, errors relative to the reference.

    Figures are None where the network cannot run on the target or the reference does not state them.
    """

    network: str
    predicted_latency_s: float | None
    reference_latency_s: float | None
    latency_error: float | None
    predicted_energy_j: float | None
    reference_energy_j: float | None
    energy_error: float | None
    source: str
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValidationReport:
    """How well a target's estimates match.

    Attributes:
        target: Name of the target and its runtime.
        rows: One per network.
        fitted: What of the target was fitted, so that nobody takes the rows for predictions; sentences.
    """

    target: str
    rows: tuple[ValidationRow, ...]
    fitted: tuple[str, ...]

    @property
    def max_latency_error(self) -> float | None:
        """The largest absolute relative error of a latency."""
        return max((abs(r.latency_error) for r in self.rows if r.latency_error is not None), default=None)

    @property
    def max_energy_error(self) -> float | None:
        """The largest absolute relative error of an energy."""
        return max((abs(r.energy_error) for r in self.rows if r.energy_error is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data."""
        data = asdict(self)
        data["rows"] = [{**row, "unsupported": list(row["unsupported"])} for row in data["rows"]]
        data["fitted"] = list(self.fitted)
        data["max_latency_error"] = self.max_latency_error
        data["max_energy_error"] = self.max_energy_error
        return data


def validate(
    target: Microcontroller,
    reference: Path | None = None,
    *,
    networks: Mapping[str, Workload] | None = None,
) -> ValidationReport:
    """Estimates of a target against figures of whole networks.

    Args:
        target: The target; published figures are compared with its runtime `PUBLISHED_RUNTIME`, if it has that.
        reference: A CSV file with the columns ``model`` (path of an ONNX file, relative to the CSV file, or a
            key of ``networks``) and a latency, an energy or both; see `read_reference`. Without it the figures
            published for the target.
        networks: Network name -> Workload of one candidate; by default the MLPerf Tiny networks of the
            catalogue, exported to ONNX and read back.

    Raises:
        CatalogError: Nothing is published for the target and no reference is given.
        DataError: The reference cannot be used.
        ModelError: A model of the reference cannot be read.
    """
    if reference is None:
        references = published(target.name)
        if PUBLISHED_RUNTIME in target.model.runtimes:
            target = target.using(PUBLISHED_RUNTIME)
        if networks is None:
            networks = mlperf_tiny_workloads()
    else:
        references = read_reference(reference)
        networks = reference_networks(references, reference.parent, networks)
    unknown = [entry.network for entry in references if entry.network not in networks]
    if unknown:
        raise DataError(f"no network {unknown[0]!r}", allowed=networks, given=unknown[0])
    rows = tuple(_row(entry, price(networks[entry.network], target).report(0)) for entry in references)
    return ValidationReport(target.label, rows, _statement(target))


def reference_networks(
    references: Sequence[Reference], folder: Path, networks: Mapping[str, Workload] | None = None
) -> dict[str, Workload]:
    """The networks that references name.

    Args:
        references: Their networks are ONNX files, or keys of `networks`.
        folder: Where relative paths begin.
        networks: Workloads by name.

    Raises:
        ModelError: A file cannot be read.
    """
    found = dict(networks or {})
    for entry in references:
        if entry.network not in found:
            found[entry.network] = _model_workload(folder / entry.network)
    return found


def _row(entry: Reference, report: CostReport) -> ValidationRow:
    def error(predicted: float | None, stated: float | None) -> float | None:
        return None if predicted is None or stated is None else predicted / stated - 1.0

    return ValidationRow(
        network=entry.network,
        predicted_latency_s=report.latency_s,
        reference_latency_s=entry.latency_s,
        latency_error=error(report.latency_s, entry.latency_s),
        predicted_energy_j=report.energy_j,
        reference_energy_j=entry.energy_j,
        energy_error=error(report.energy_j, entry.energy_j),
        source=entry.source,
        unsupported=tuple(f"{row.kernel}: {row.rule}" for row in report.unsupported),
    )


def _statement(target: Microcontroller) -> tuple[str, ...]:
    figures: dict[str, SourcedNumber | SourcedWatts] = {
        "cycle_scale": target.model.cycle_scale,
        "flash_wait_cycles": target.model.flash_wait_cycles,
        "active_w": target.power.active_w,
    }
    sentences = [
        f"{name} = {figure.value:g} ({figure.source}): {figure.reference}" for name, figure in figures.items()
    ]
    if target.model.device_error is not None:
        sentences.append(
            f"device_error = {target.model.device_error:.1%}: the part of a latency's error band that the chip "
            "has, kernels apart, as the target states it"
        )
    return tuple(sentences)


def _model_workload(path: Path) -> Workload:
    from hannah_hw.lowering import read_onnx

    return read_onnx(path).deployed()


def mlperf_tiny_workloads() -> dict[str, Workload]:
    """The MLPerf Tiny networks of the catalogue, exported to ONNX and read back like anybody's model."""
    from hannah_hw.lowering import to_onnx
    from hannah_hw.spaces import load_space

    workloads = {}
    with tempfile.TemporaryDirectory(prefix="hannah-hw-") as folder:
        for name, function in NETWORKS.items():
            space = load_space(f"mlperf_tiny:{function}")
            path = Path(folder) / f"{name}.onnx"
            to_onnx(space.candidate(space.default()), path)
            workloads[name] = _model_workload(path)
    return workloads
