"""Latency of random networks on this machine, predicted from its profiled kernels, against ONNX Runtime: JSON.

    hannah-hw calibrate host --space ds_cnn --space mcunet --space resnet --precision both --out my_host.yaml
    python benchmarks/host_latency.py my_host.yaml --out FOLDER [--networks 102] [--seed 7411] [--seconds 200]

The networks of the three spaces are drawn with a seed of their own, as float32 and as QDQ int8, and measured whole, all
in turns with kernels that the calibration measured, on one scale. A call stops after --seconds and goes on where the
one before ended; FOLDER keeps what is measured. The last call prints the figures. For --summed networks all kernels are
measured too: what a sum of exact kernels would reach. A call during which other work disturbed the machine keeps
nothing; networks that are never steady are left out by --anyway.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

import hannah_hw as hw
from hannah_hw.errors import HannahError
from hannah_hw.files import write_atomically
from hannah_hw.host.candidates import candidate_model
from hannah_hw.host.graph import optimised_kernels
from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.model import HostModel
from hannah_hw.host.rows import HostRow, read_rows, write_rows
from hannah_hw.measure.host_clock import DISTURBED, LEAST_CALM
from hannah_hw.measure.host_files import HostFiles
from hannah_hw.measure.host_sweep import Sweep, measure_kernels
from hannah_hw.targets.models.learned import Precision

SPACES = ("ds_cnn", "mcunet", "resnet")
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
#: Kernels that are timed in turns with each other.
TOGETHER = 400


class Work:
    """What is drawn and measured so far, in a folder."""

    def __init__(self, files: HostFiles, folder: Path, options: argparse.Namespace) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.rows = files.previous()
        self.model = HostModel.load(files.model)
        self.folder = folder
        self.options = options
        self.deadline: float = time.monotonic() + options.seconds
        self.names = [
            f"{space}-{number}-{precision}"
            for number in range(-(-options.networks // len(SPACES)))
            for space in SPACES
            for precision in PRECISIONS
        ]
        self.times_file, self.extra_file = folder / "networks.json", folder / "kernels.csv"
        self.times: dict[str, float] = (
            json.loads(self.times_file.read_text()) if self.times_file.exists() else {}
        )
        self.extra = read_rows(self.extra_file) if self.extra_file.exists() else []
        self.sessions_file = folder / "sessions.json"
        self.sessions: list[dict[str, Any]] = (
            json.loads(self.sessions_file.read_text()) if self.sessions_file.exists() else []
        )
        self.failures: dict[str, str] = {}

    def late(self) -> bool:
        """Whether the seconds of this call are over."""
        return time.monotonic() > self.deadline

    def draw(self) -> None:
        """Write the networks and their kernels that are not there yet."""
        count = len(self.names) // (len(SPACES) * len(PRECISIONS))
        for name in SPACES:
            space = hw.load_space(name)
            for number, row in enumerate(space.sample_population(count, seed=self.options.seed)):
                for precision in PRECISIONS:
                    path = self.folder / f"{name}-{number}-{precision}.onnx"
                    if self.late() or path.with_suffix(".kernels").exists():
                        continue
                    model = candidate_model(space.candidate_of(row), precision, seed=self.options.seed)
                    path.write_bytes(model.SerializeToString())
                    lines = "\n".join(kernel.to_json() for kernel in optimised_kernels(model))
                    write_atomically(path.with_suffix(".kernels"), lines.encode())

    def kernels(self, name: str) -> list[HostKernel]:
        """Of a network, in execution order."""
        lines = (self.folder / f"{name}.kernels").read_text().splitlines()
        return [HostKernel.from_json(line) for line in lines]

    def measure(self) -> None:
        """Whole networks, then the kernels of some of them."""
        missing = [name for name in self.names if name not in self.times]
        if missing:
            found = self._sweep([], {name: (self.folder / f"{name}.onnx").read_bytes() for name in missing})
            self.times |= found.networks
            write_atomically(self.times_file, json.dumps(self.times, indent=0).encode())
        while not self.late() and (not self.waiting() or self.options.anyway) and (wanted := self.unknown()):
            found = self._sweep(wanted[:TOGETHER], {})
            self.extra += found.rows
            write_atomically(self.extra_file, write_rows(self.extra).encode())
            if found.failures or not found.rows:
                return  # what is not steady is left to the next call

    def unknown(self) -> list[HostKernel]:
        """Kernels of summed networks that are not measured, each once."""
        known = {row.kernel.key for row in (*self.rows, *self.extra)}
        found = {k.key: k for name in self.summed() for k in self.kernels(name) if k.key not in known}
        return list(found.values())

    def _sweep(self, kernels: list[HostKernel], networks: dict[str, bytes]) -> Sweep:
        """Measure until all is steady or the call is over; nothing is kept of a disturbed machine."""
        found = measure_kernels(
            kernels,
            networks=networks,
            previous=self.rows,
            run_seconds=self.model.run_seconds,
            made_on=self.model.made_on,
            seconds=max(0.0, self.deadline - time.monotonic()),
        )
        self.sessions.append({"calm": rounded(found.calm), "slow": rounded(found.slow)})
        write_atomically(self.sessions_file, json.dumps(self.sessions).encode())
        self.failures |= found.failures
        if found.calm < LEAST_CALM or found.slow > DISTURBED:
            self.failures["machine"] = (
                f"{1 - found.calm:.0%} of it was disturbed, the machine {found.slow:.2f} times as slow as when it was "
                "calibrated: nothing of this call is kept"
            )
            return replace(found, rows=(), networks={})
        return found

    def waiting(self) -> bool:
        """Whether networks are left to measure."""
        return any(name not in self.times for name in self.names)

    def summed(self) -> list[str]:
        """Networks whose kernels are all measured: as many of each space and precision."""
        return self.names[: self.options.summed * len(PRECISIONS)]

    def figures(self) -> dict[str, Any]:
        """The document."""
        names = [name for name in self.names if name in self.times]
        kernels = [self.kernels(name) for name in names]
        predicted, half = self.model.networks(kernels)
        measured = np.array([self.times[name] for name in names])
        precision = np.array([name.rpartition("-")[2] for name in names])
        space = np.array([name.partition("-")[0] for name in names])
        missing = sorted(
            set(self.model.predict([k for network in kernels for k in network]).missing.values())
        )
        return {
            "machine": self.model.made_on,
            "profiled_kernels": len(self.rows),
            "run_us": rounded(self.model.run_seconds * 1e6),
            "calibration": self.model.title or "undisturbed",
            "sessions": self.sessions,
            "never_steady": [name for name in self.names if name not in self.times],
            "seed": self.options.seed,
            **{
                p: {
                    "all": scores(predicted, half, measured, precision == p),
                    **{s: scores(predicted, half, measured, (precision == p) & (space == s)) for s in SPACES},
                    "sums_of_measured_kernels": self._sums(p),
                }
                for p in PRECISIONS
            },
            "refused": missing,
            "kernels_profiled_exactly": share(
                k.key in {row.kernel.key for row in self.rows} for network in kernels for k in network
            ),
        }

    def _sums(self, precision: str) -> dict[str, Any]:
        """How far sums of kernels, each measured alone, are from whole networks."""
        alone: dict[str, HostRow] = {row.kernel.key: row for row in (*self.rows, *self.extra)}
        errors = []
        for name in self.summed():
            if name not in self.times:
                continue
            mine = self.kernels(name)
            if name.endswith(precision) and all(kernel.key in alone for kernel in mine):
                total = self.model.run_seconds + sum(alone[kernel.key].seconds for kernel in mine)
                errors.append(total / self.times[name] - 1)
        if not errors:
            return {"networks": 0}
        sizes = np.abs(errors)
        return {
            "networks": len(errors),
            "median_error": rounded(np.median(errors)),
            "largest": rounded(sizes.max()),
            "within_10_percent": rounded((sizes <= 0.1).mean()),
        }


def rounded(value: float) -> float:
    """Four digits after the point."""
    return round(float(value), 4)


def share(flags: Any) -> float:
    """Share of what is true."""
    return rounded(np.mean(list(flags)))


def scores(predicted: Any, half: Any, measured: Any, chosen: Any) -> dict[str, Any]:
    """Figures of some networks; one that is refused counts as outside of every bound."""
    p, h, m = predicted[chosen], half[chosen], measured[chosen]
    known = np.isfinite(p)
    if not known.any():
        return {"networks": int(chosen.sum()), "refused": int((~known).sum())}
    sizes = np.where(known, np.abs(p / m - 1), np.inf)
    return {
        "networks": int(chosen.sum()),
        "refused": int((~known).sum()),
        "within_10_percent": rounded((sizes <= 0.1).mean()),
        "within_5_percent": rounded((sizes <= 0.05).mean()),
        "mean_error": rounded(sizes[known].mean()),
        "largest_error": rounded(sizes[known].max()),
        "median_bias": rounded(np.median(p[known] / m[known] - 1)),
        "interval_coverage": rounded((np.abs(m / p - 1) <= h)[known].mean()),
        "interval_half_width": rounded(np.median(h[known])),
        "milliseconds": [rounded(value * 1e3) for value in (m.min(), np.median(m), m.max())],
    }


def main() -> int:
    """Print the figures, or how far it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="of hannah-hw calibrate host")
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps what is measured")
    parser.add_argument("--networks", type=int, default=102, help="of each precision")
    parser.add_argument("--summed", type=int, default=12, help="of each precision, with all their kernels")
    parser.add_argument("--seed", type=int, default=7411)
    parser.add_argument(
        "--draw", action="store_true", help="only draw networks, which needs no quiet machine"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="the figures of what is measured, though some never was steady"
    )
    parser.add_argument("--seconds", type=float, default=200.0, help="after which a call stops")
    options = parser.parse_args()
    try:
        work = Work(HostFiles.of(options.target), options.out, options)
        work.draw()
        if not work.late() and not options.draw:
            work.measure()
        if options.draw or ((work.waiting() or work.unknown()) and not options.anyway):
            for reason in work.failures.values():
                sys.stderr.write(f"{reason}\n")
            sys.stderr.write(
                f"{len(work.times)} of {len(work.names)} networks measured, "
                f"{len(work.unknown())} kernels left; call it again\n"
            )
            return 1
        sys.stdout.write(f"{json.dumps(work.figures(), indent=1)}\n")
    except (HannahError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
