"""Compare the Ethos-U model with ethos-u-vela: network cycles and SRAM peaks.

    python benchmarks/vs_vela.py vela_networks.csv
    python benchmarks/vs_vela.py vela_networks.csv --run 5

Columns of the file: ``net``, ``accel`` (``ethos-u55-128``), ``memmode`` (``def``: weights in flash or DRAM, as our
targets have it; ``sramonly``: everything in SRAM), ``sum_op_cycles``, ``sram_KiB``, and ``flash_KiB`` or ``dram_KiB``.
Networks are those of search_spaces/mlperf_tiny.py by the names of the file, or ``SPACE:SEED``. Weights of the reference
networks are compressed, how well only those who have them know: every row is priced twice, as the model assumes it
(``assumed``) and with as many bits for each weight as make the encoded weights as large as the row says they are
(``given_size``).

``--run N`` writes N random candidates of each of our spaces as .tflite files with random weights, compiles them with
vela itself and compares the same figures, so that networks nobody has looked at are among them. Prints one JSON
document.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from agreement import agreement

import hannah_hw
from hannah_hw.cost.block.encoding import Encoding
from hannah_hw.cost.block.network import NetworkCosts, price_networks
from hannah_hw.errors import HannahError
from hannah_hw.measure.vela import compile_with_vela
from hannah_hw.targets import Accelerator, load_target
from hannah_hw.workload.table import Workload

#: Networks of the reference file -> those of search_spaces/mlperf_tiny.py.
_NAMES: Final = {
    "resnet8": "mlperf_tiny.py:resnet8",
    "dscnn": "mlperf_tiny.py:ds_cnn_kws",
    "dscnn_kws": "mlperf_tiny.py:ds_cnn_kws",
    "mobilenetv1_025": "mlperf_tiny.py:mobilenet_v1_025",
    "mobilenetv1_025_96": "mlperf_tiny.py:mobilenet_v1_025",
    "ad01": "mlperf_tiny.py:fc_autoencoder",
}
_SPACES: Final = (
    "ds_cnn.py",
    "tc_resnet.py",
    "resnet.py",
    "micronets_ds_cnn.py",
    "mcunet.py",
    "nas_bench_201.py",
)
_FOLDER: Final = Path(__file__).resolve().parent.parent / "search_spaces"
#: Steps of the bisection for bits of a weight.
_STEPS: Final = 16


def _workload(net: str) -> Workload | None:
    space, _, seed = _NAMES.get(net, net).partition(":")
    if net in _NAMES:
        named = hannah_hw.load_space(f"{_FOLDER / space}:{seed}")
        return named.candidate(named.default()).workload()
    if not seed.isdigit() or not (_FOLDER / space).is_file():
        return None
    sampled = hannah_hw.load_space(str(_FOLDER / space))
    return sampled.candidate(sampled.sample(seed=int(seed))).workload()


def _target(accel: str, mode: str) -> Accelerator | None:
    """The target of a row; its networks average by pooling, as the files of MLPerf Tiny do."""
    try:
        target = load_target(accel.replace("-", "_"))
    except HannahError:
        return None
    if not isinstance(target, Accelerator) or mode not in ("def", "sramonly"):
        return None
    changed: dict[str, Any] = {"global_average": "pool"}
    if mode == "sramonly":
        changed |= {"feature_maps": "sram", "constants": "sram", "staging_bytes": None}
    return target.model_copy(update={"model": target.model.model_copy(update=changed)})


def _outside(workload: Workload) -> int:
    """Bytes of inputs and outputs."""
    buffers = workload.buffers
    mine = [kind == "input" or bool(buffers.output[0, b]) for b, kind in enumerate(buffers.kinds)]
    return int(buffers.bytes[0, mine].sum())


def _with_size(workload: Workload, target: Accelerator, size: float) -> NetworkCosts:
    """Costs with encoded weights of a size, of which every weight takes the same part."""
    low, high = 0.1, 12.0
    for _ in range(_STEPS):
        bits = (low + high) / 2
        costs = price_networks(workload, target, Encoding(bits, bits), as_listed=True)
        low, high = (bits, high) if costs.flash_bytes[0] < size else (low, bits)
    return costs


def _reference(path: Path) -> dict[str, Any]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names, left_out = [], []
    found: dict[str, dict[str, list[float]]] = {
        way: {"cycles": [], "sram": []} for way in ("assumed", "given_size", "reference")
    }
    for row in rows:
        name = f"{row['net']} {row['accel']} {row['memmode']}"
        workload, target = _workload(row["net"]), _target(row["accel"], row["memmode"])
        if workload is None or target is None:
            left_out.append(name)
            continue
        names.append(name)
        # Constants share DRAM with inputs and outputs.
        size = float(row["flash_KiB"] or 0) * 1024 or float(row["dram_KiB"]) * 1024 - _outside(workload)
        for way, costs in (
            ("assumed", price_networks(workload, target, as_listed=True)),
            ("given_size", _with_size(workload, target, size)),
        ):
            found[way]["cycles"].append(float(costs.cycles[0]))
            found[way]["sram"].append(float(costs.ram_bytes[0]))
        found["reference"]["cycles"].append(float(row["sum_op_cycles"]))
        found["reference"]["sram"].append(float(row["sram_KiB"]) * 1024)
    return {"left_out": left_out} | {
        way: {
            figure: agreement(names, found[way][figure], found["reference"][figure])
            for figure in ("cycles", "sram")
        }
        for way in ("given_size", "assumed")
    }


def _candidates(count: int, targets: list[str]) -> Iterator[tuple[str, Any, Accelerator]]:
    for space in _SPACES:
        loaded = hannah_hw.load_space(str(_FOLDER / space))
        for seed in range(count):
            candidate = loaded.candidate(loaded.sample(seed=seed))
            for name in targets:
                target = load_target(name)
                assert isinstance(target, Accelerator)
                yield f"{space}:{seed} {name}", candidate, target


def _run(count: int, targets: list[str]) -> dict[str, Any]:
    """Random candidates, compiled by vela."""
    names, refused = [], {}
    own: dict[str, list[float]] = {"cycles": [], "sram": []}
    stated: dict[str, list[float]] = {"cycles": [], "sram": []}
    for name, candidate, target in _candidates(count, targets):
        try:
            measured = compile_with_vela(candidate, target)
        except HannahError as failure:
            refused[name] = str(failure)
            continue
        costs = price_networks(candidate.workload(), target)
        names.append(name)
        own["cycles"].append(float(costs.cycles[0]))
        own["sram"].append(float(costs.ram_bytes[0]))
        stated["cycles"].append(measured.value("cycles"))
        stated["sram"].append(measured.value("ram_bytes"))
    return {"refused": refused} | {
        figure: agreement(names, own[figure], stated[figure]) for figure in ("cycles", "sram")
    }


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path)
    parser.add_argument("--run", type=int, default=0, metavar="N")
    parser.add_argument("--targets", nargs="+", default=["ethos_u55_128", "ethos_u65_256"])
    given = parser.parse_args()
    result = _reference(given.reference)
    if given.run:
        result["random"] = _run(given.run, given.targets)
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
