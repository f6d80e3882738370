"""ONNX files of other tools: what `estimate`, `profile` and `measure` make of each.

    python benchmarks/foreign_models.py FOLDER_OR_FILE ... [--targets stm32l4r5zi eyeriss] [--shapes SHAPES.json]
        [--measure nrf5340] [--macs 20e6] [--runs 5]

Shapes of inputs that a file leaves open come from a JSON file, {"FILE.onnx": {"INPUT": [1, 3, 224, 224]}}. A cell of an
estimate is the latency, or how many of the kernels cannot run and the most frequent of their types. Models of more MACs
than `--macs` are not measured, since an emulated core takes a second for some ten million. What is refused is listed
below the table with its message. Exits with 1 after an error that is none of the package's own: a message was missing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import onnx
from google.protobuf.message import DecodeError

from hannah_hw import estimate
from hannah_hw.cost import CostReport
from hannah_hw.errors import HannahError
from hannah_hw.measure.emulated import measure_model
from hannah_hw.measure.profile import profile_model
from hannah_hw.quantities import format_si

#: Column widths: model, producer and operator set, and one for each verb.
WIDTHS = (44, 18)
CELL = 34


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="FOLDER_OR_FILE", type=Path)
    parser.add_argument("--targets", nargs="*", default=["stm32l4r5zi", "eyeriss"])
    parser.add_argument("--shapes", type=Path)
    parser.add_argument("--measure", default="nrf5340", metavar="TARGET")
    parser.add_argument("--macs", type=float, default=20e6)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    shapes = json.loads(options.shapes.read_text()) if options.shapes else {}
    heads = [*(f"estimate {name}" for name in options.targets), "profile", f"measure {options.measure}"]
    row(["model", "from"], heads)
    refused: list[str] = []
    crashes = 0
    for path in files(options.models):
        given = {name: tuple(sizes) for name, sizes in shapes.get(path.name, {}).items()} or None
        cells, priced, calls = [], None, verbs(path, options, given)
        for name, call in zip(heads, calls, strict=True):
            if name == heads[-1] and (priced is None or priced.macs > options.macs):
                cells.append("too large" if priced is not None else "-")
                continue
            try:
                found = call()
            except HannahError as error:
                cells.append("refused")
                refused.append(f"{path.name}: {name}: {error}")
            except Exception:  # noqa: BLE001  the point of this script: a crash is counted, its place shown
                cells.append("CRASH")
                refused.append(f"{path.name}: {name}: {traceback.format_exc(limit=-3)}")
                crashes += 1
            else:
                priced = found if isinstance(found, CostReport) else priced
                cells.append(text(found))
        row([path.name[: WIDTHS[0] - 2], origin(path)], cells)
    print()
    for message in refused:
        print(message)
    return int(crashes > 0)


def files(paths: Sequence[Path]) -> list[Path]:
    """The ONNX files of folders and files."""
    return sorted(found for path in paths for found in ([path] if path.is_file() else path.rglob("*.onnx")))


def verbs(
    path: Path, options: argparse.Namespace, shapes: Mapping[str, tuple[int, ...]] | None
) -> list[Callable[[], Any]]:
    """One call for each column."""

    def priced(target: str) -> Callable[[], CostReport]:
        return lambda: estimate(path, target, shapes=shapes)

    return [
        *map(priced, options.targets),
        lambda: profile_model(path, shape=shapes, runs=options.runs),
        lambda: measure_model(path, options.measure, calibration="random", shapes=shapes),
    ]


def text(found: Any) -> str:
    """A result as a cell."""
    if isinstance(found, CostReport):
        if found.latency_s is not None:
            return format_si(found.latency_s, "s")
        kinds = ", ".join(f"{kind.count} {kind.kind}" for kind in found.unsupported_kinds)
        return f"{len(found.unsupported)}/{len(found.kernels)}: {kinds}"[: CELL - 2]
    seconds = found.latency_s if hasattr(found, "latency_s") else found.value("latency_s")
    return str(format_si(seconds, "s"))


def origin(path: Path) -> str:
    """The tool that a file says it is from, and its operator set."""
    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError):
        return "-"
    version = max((entry.version for entry in model.opset_import if not entry.domain), default=0)
    return f"{(model.producer_name or '-')[:12]} {version}"


def row(left: Sequence[str], cells: Sequence[str]) -> None:
    """A line of the table."""
    start = "".join(f"{name:{width}}" for name, width in zip(left, WIDTHS, strict=True))
    print(start + "".join(f"{cell:{CELL}}" for cell in cells).rstrip(), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
