"""What pages may begin with: files that their first commands take."""

from __future__ import annotations

import fcntl
import gzip
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hannah_hw import load_space, to_onnx
from hannah_hw.lowering.quantise import quantise_int8
from hannah_hw.scoring import load_data
from hannah_hw.search import proxy_study, run_search, running
from hannah_hw.search.placing import make_executor

ROOT = Path(__file__).parents[2]


def in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Let searches evaluate here, as `Search(workers=0)` does: a process that they start imports torch for seconds."""

    def executor(evaluator: Any, workers: Any, timeout: float, memory: int | None = None) -> Any:
        return make_executor(evaluator, 0 if isinstance(workers, int) else workers, timeout, memory)

    for module in (running, proxy_study):
        patch.setattr(module, "make_executor", executor)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with models, measurements and a run, made once by whichever of pytest's processes comes first.

    - ``float.onnx`` and ``model.onnx``: one small ds_cnn in float32 and int8, with ``samples.npy`` (8, 1, 28, 28);
      ``smaller.onnx``: another
    - ``series.onnx``: a network for series; ``my.npz``: 400 digits
    - ``board.csv``: latencies of two of them, as a user measured them; ``my_sweep.csv``: kernels of a core
    - ``table.csv.gz``: latencies of cells on four devices, sums over operations; ``ten.csv`` is written by commands
    - ``vega.yaml``: a document of another tool
    - ``runs/first``: a search of three small networks for digits
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "prepared"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = tmp_path_factory.mktemp("making")
            _prepare(making)
            making.rename(folder)
    return folder


def _prepare(folder: Path) -> None:
    samples = np.random.default_rng(0).normal(size=(8, 1, 28, 28)).astype(np.float32)
    np.save(folder / "samples.npy", samples)
    space = load_space("ds_cnn", input_shape=(1, 28, 28), classes=10)
    population = space.sample_population(40, seed=1)
    order = np.argsort(space.mac_counts(population))
    for name, index in (("model", order[8]), ("smaller", order[0])):
        to_onnx(space.candidate_of(population[index]), folder / f"{name}_float.onnx")
        quantise_int8(folder / f"{name}_float.onnx", folder / f"{name}.onnx", samples)
    (folder / "model_float.onnx").rename(folder / "float.onnx")
    (folder / "board.csv").write_text(
        "model,latency_s,energy_j\nmodel.onnx,0.0021,0.00011\nsmaller.onnx,0.0009,0.00005\n"
    )
    sweep = (ROOT / "cost_models" / "m4" / "cmsis_nn.sweep.csv").read_bytes()
    (folder / "my_sweep.csv").write_bytes(sweep)
    with gzip.open(folder / "table.csv.gz", "wt") as table:
        table.write(_latencies())
    shutil.copy(ROOT / "tests" / "fixtures" / "vega" / "coarse_resnet18.yaml", folder / "vega.yaml")
    series = load_space("tc_resnet")
    to_onnx(series.candidate(series.default()), folder / "series.onnx")
    digits = load_data("digits")
    np.savez(
        folder / "my.npz",
        x_train=digits.x_train[:300],
        y_train=digits.y_train[:300],
        x_test=digits.x_test[:100],
        y_test=digits.y_test[:100],
    )
    _quick_run(folder)


def _latencies() -> str:
    """Cells of NAS-Bench-201 without dead edges on four devices, milliseconds."""
    costs = {"pixel2": (1.0, 2.0, 0.3), "i7": (0.4, 1.1, 0.1), "gpu": (0.2, 0.3, 0.2), "rpi": (3.0, 9.0, 1.0)}
    lines = ["arch_str," + ",".join(f"lat_ms_{name}" for name in costs)]
    kinds = ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    for names in itertools.islice(itertools.product(kinds, repeat=6), 0, None, 3):
        cell = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*names)
        sums = [sum(cost[kinds.index(name)] for name in names) for cost in costs.values()]
        lines.append(",".join([cell, *(f"{1 + value:.4f}" for value in sums)]))
    return "\n".join(lines) + "\n"


def _quick_run(folder: Path) -> None:
    config = yaml.safe_load((ROOT / "examples" / "digits_quick.yaml").read_text(encoding="utf-8"))
    config["search"] = {"evaluations": 4, "seed": 0, "workers": 1}
    config["training"] = {"epochs": 1, "budget_s": 1}
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        in_this_process(patch)
        run_search(path, folder / "runs" / "first")
