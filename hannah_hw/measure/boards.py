"""A user's own board: from its measured networks to a target file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hannah_hw.errors import InputError, RunError
from hannah_hw.files import write_atomically
from hannah_hw.measure.device_fit import DeviceFit, FitErrors, fit_device
from hannah_hw.measure.references import Reference, read_reference
from hannah_hw.measure.validation import reference_networks
from hannah_hw.targets import Microcontroller, SourcedNumber, SourcedWatts
from hannah_hw.targets.load import parse_target


@dataclass(frozen=True)
class Board:
    """A target with the device layer of a board.

    Attributes:
        target: The target.
        fit: What was fitted.
        references: To what.
    """

    target: Microcontroller
    fit: DeviceFit
    references: tuple[Reference, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able data."""
        energy = self.fit.energy
        return {
            "target": self.target.name,
            "cycle_scale": self.fit.cycle_scale,
            "flash_wait_cycles": self.fit.flash_wait_cycles,
            "active_w": self.fit.active_w,
            "networks": [
                {
                    "network": entry.network,
                    "latency_s": entry.latency_s,
                    "latency_error": self.fit.latency.seen.get(entry.network),
                    "latency_held_out_error": self.fit.latency.held_out.get(entry.network),
                    "energy_j": entry.energy_j,
                    "power_error": energy.seen.get(entry.network) if energy is not None else None,
                    "power_held_out_error": energy.held_out.get(entry.network)
                    if energy is not None
                    else None,
                }
                for entry in self.references
            ],
            "device_error": self.fit.latency.largest,
        }


def fit_board(target: Microcontroller, measurements: Path, name: str | None = None) -> Board:
    """Fit the device layer of a target to a user's measurements of whole networks.

    Args:
        target: The chip; what is not fitted is taken from it.
        measurements: A CSV file; see `hannah_hw.measure.references.read_reference`.
        name: Of the new target; by default the chip's own.

    Raises:
        DataError: The measurements cannot be used, or are of fewer than two networks.
        ModelError: A model cannot be read.
        InputError: The name is no name for a target.
    """
    references = read_reference(measurements)
    fit = fit_device(target, references, reference_networks(references, measurements.parent))
    return Board(fitted_target(target, fit, measurements.name, len(references), name), fit, tuple(references))


def fitted_target(
    target: Microcontroller, fit: DeviceFit, source: str, count: int, name: str | None = None
) -> Microcontroller:
    """A target with a fitted device layer.

    Args:
        target: The chip.
        fit: The fit.
        source: What the measurements are called.
        count: How many networks were measured.
        name: Of the new target; by default the chip's own.
    """
    reference = (
        f"least squares of the relative error over {count} networks, {source}; {_held_out(fit.latency)}"
    )
    model = target.model.model_copy(
        update={
            "cycle_scale": _number(fit.cycle_scale, target.model.cycle_scale, reference),
            "flash_wait_cycles": SourcedNumber(
                value=round(fit.flash_wait_cycles, 4), source="measured", reference=reference
            ),
            "device_error": _rounded(fit.latency.largest),
        }
    )
    changes: dict[str, Any] = {"model": model}
    if fit.active_w is not None and fit.energy is not None:
        watts = SourcedWatts(
            value=float(f"{fit.active_w:.5g}"),
            source="measured",
            reference=f"energy over latency of the networks of {source}; {_held_out(fit.energy)}",
            error=_rounded(fit.energy.largest),
        )
        changes["power"] = target.power.model_copy(update={"active_w": watts})
    if name is not None:
        changes |= {"name": name, "title": f"{target.title} (device layer fitted to {source})"}
    return target.model_copy(update=changes)


def _number(value: float, before: SourcedNumber, reference: str) -> SourcedNumber:
    """A scale that was not fitted stays what it was."""
    if value == before.value:
        return before
    return SourcedNumber(value=float(f"{value:.5g}"), source="measured", reference=reference)


def _held_out(errors: FitErrors) -> str:
    largest = errors.largest
    if largest is None:
        return "nothing could be left out"
    return f"leaving one network out, the largest error is {largest:.1%}"


def _rounded(error: float | None) -> float | None:
    return None if error is None else float(f"{error:.3g}")


def write_target(target: Microcontroller, path: Path) -> None:
    """Write a target as a file that `hannah_hw.targets.load_target` reads.

    Raises:
        InputError: The path does not end in ``.yaml``, or its stem is no name for a target.
        RunError: It cannot be written.
    """
    if path.suffix != ".yaml":
        raise InputError("a target is a .yaml file", where=str(path))
    document = target.model_dump(mode="json", exclude_none=True)
    document["name"] = path.stem
    for runtime in document["model"]["runtimes"].values():
        beside = target.origin.parent / runtime["coefficients"] if target.origin is not None else None
        if beside is not None and beside.suffix and beside.is_file():
            # The new file may lie elsewhere than the one that the path is relative to.
            runtime["coefficients"] = str(beside.resolve())
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    parse_target(text, str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as failure:
        raise RunError(f"cannot write {path}: {failure}") from failure
