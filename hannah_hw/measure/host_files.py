"""Files of a calibrated host: the target, and beside it what was learned and the measurements that it was fitted to."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from hannah_hw.errors import InputError
from hannah_hw.files import write_atomically
from hannah_hw.host.facts import this_runtime
from hannah_hw.host.rows import HostRow, read_rows, write_rows
from hannah_hw.measure.host_calibrated import HostCalibration
from hannah_hw.targets.models.learned import Precision


@dataclass(frozen=True)
class HostFiles:
    """Where a calibration is kept.

    Attributes:
        target: The target file.
        model: What was learned.
        rows: The measurements.
    """

    target: Path
    model: Path
    rows: Path

    @classmethod
    def of(cls, target: Path) -> HostFiles:
        """The files of a target: its own, and two with its name beside it.

        Raises:
            InputError: It is no .yaml file, or its folder does not exist or takes no files.
        """
        if target.suffix != ".yaml":
            raise InputError("a target is a .yaml file", where=f"--out {target}")
        if not target.parent.is_dir():
            raise InputError(f"there is no folder {str(target.parent)!r}", where=f"--out {target}")
        if not os.access(target.parent, os.W_OK):
            raise InputError(
                f"the folder {str(target.parent)!r} takes no files; name another one", where=f"--out {target}"
            )
        return cls(target, target.with_suffix(".model.yaml"), target.with_suffix(".kernels.csv"))

    def previous(self) -> list[HostRow]:
        """Measurements of an earlier calibration, finished or not.

        Raises:
            DataError: The file is there and is none of them.
        """
        return read_rows(self.rows) if self.rows.exists() else []

    def save_rows(self, rows: Sequence[HostRow]) -> None:
        """Write the measurements.

        Raises:
            OSError: They cannot be written.
        """
        write_atomically(self.rows, write_rows(rows).encode())

    def save(self, found: HostCalibration, *, threads: int, precision: Precision, source: str) -> None:
        """Write all three, the target last: it is whole once it is there.

        Args:
            found: The calibration.
            threads: Threads within an operator.
            precision: Of candidates, where a name of the target does not say.
            source: What its kernels are from, in words.

        Raises:
            OSError: A file cannot be written.
        """
        runtime = this_runtime(threads)
        measured = f"{len(found.rows)} kernels of {source}, measured by hannah-hw calibrate host"
        judged = "; ".join(filter(None, (_judged(found), found.disturbed)))
        document = {
            "format": "hannah-target/2",
            "name": _slug(self.target.stem),
            "title": f"{runtime.processor}, ONNX Runtime {runtime.version}",
            "document": f"{measured}; {judged}",
            "runtime": runtime.model_dump(),
            "model": {"kind": "learned", "coefficients": self.model.name, "precision": precision},
        }
        self.save_rows(found.rows)
        found.model.save(self.model)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
        write_atomically(self.target, text.encode())


def _judged(found: HostCalibration) -> str:
    """How wrong networks were that nothing was fitted to, in words."""
    errors = [abs(c.predicted_s / c.measured_s - 1) for c in found.checks if np.isfinite(c.predicted_s)]
    if not errors:
        return "no whole network was measured"
    return f"{len(errors)} whole networks within {np.median(errors):.1%} (median) and {max(errors):.1%} (all)"


def _slug(stem: str) -> str:
    """A name that a target may have."""
    return re.sub(r"[^a-z0-9_.-]+", "_", stem.lower()).lstrip("_.-") or "host"
