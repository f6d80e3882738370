"""Run directories with the schema of a search, built without searching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

CONFIG = """\
version: 1
space: ds_cnn
target: stm32l4r5zi
data: mnist5k
objectives: {error: min, latency: min}
constraints: {ram: "<= 64 KiB", flash: "<= 256 KiB"}
search: {algorithm: nsga2, population: 32, evaluations: 200, seed: 7, workers: 2}
resolved:
  hash: 5f0c0ffee
  versions: {hannah_hw: 0.1.0, numpy: 2.4.6}
  data: {name: mnist5k, train: 3500, validation: 750, test: 750, seed: 0}
  target:
    clock_hz: {value: 120000000.0, unit: Hz, source: document, note: RM0432}
    active_power_w: {value: 0.0265, unit: W, source: measured}
"""


def cost(
    rng: np.random.Generator, latency_s: float, ram_bytes: float, flash_bytes: float, depth: int
) -> dict[str, Any]:
    """A cost report of a chain of `depth` blocks."""
    share = rng.dirichlet(np.ones(2 * depth + 2))
    kernels: list[dict[str, Any]] = []
    for k, part in enumerate(share):
        kind = "linear" if k == len(share) - 1 else "conv"
        kernels.append(
            {
                "name": "classifier"
                if kind == "linear"
                else f"block_{k // 2}.{'depthwise' if k % 2 else 'pointwise'}",
                "kind": kind,
                "kernel_class": "fully_connected"
                if kind == "linear"
                else ("depthwise_3x3" if k % 2 else "conv_1x1"),
                "macs": int(2e6 * part),
                "cycles": 120e6 * latency_s * part,
                "latency_s": latency_s * part,
                "weight_bytes": int(flash_bytes * part),
                "scratch_bytes": 512,
                "source": "estimated",
                "error": 0.03 + 0.05 * float(part),
                "weight_bits": 8,
                "activation_bits": 8,
                "output_bits": 8,
                "energy_j": None,
                "utilisation": None,
                "cycle_parts": {},
                "energy_parts_j": {},
                "detail": {},
            }
        )
    arena = 0.8 * ram_bytes
    buffers, low, high = [], 0.0, 0.0
    for k in range(len(kernels)):
        size = arena * (0.62 if k < 2 else 0.38) * (0.86**k)
        offset = 0.0 if k % 2 == 0 else arena - size
        buffers.append(
            {
                "name": "input" if k == 0 else kernels[k - 1]["name"],
                "kind": "input" if k == 0 else "activation",
                "bytes": int(size),
                "offset": int(offset),
                "first": max(0, k - 1),
                "last": k,
                "memory": None,
            }
        )
        low, high = min(low, offset), max(high, offset + size)
    scratch, stack, runtime = 512, 1024, 256
    weights, code = int(0.7 * flash_bytes), int(0.2 * flash_bytes)
    return {
        "target": "stm32l4r5zi",
        "latency_s": latency_s,
        "energy_j": latency_s * 0.0265,
        "ram_bytes": int(ram_bytes),
        "flash_bytes": int(flash_bytes),
        "cycles": 120e6 * latency_s,
        "macs": 2_000_000,
        "parameters": weights,
        "figures": {
            "latency_s": {"value": latency_s, "unit": "s", "source": "estimated", "error": 0.05, "note": ""},
            "ram_bytes": {
                "value": ram_bytes,
                "unit": "bytes",
                "source": "estimated",
                "error": None,
                "note": "",
            },
        },
        "kernels": kernels,
        "memory": {
            "arena": int(arena),
            "liveness_bound": int(0.95 * arena),
            "scratch": scratch,
            "stack": stack,
            "runtime": runtime,
            "total": int(ram_bytes),
            "planner": "greedy_best_fit",
            "buffers": buffers,
            "weights_in": None,
        },
        "flash": {
            "weights": weights,
            "requantisation": int(flash_bytes) - weights - code,
            "code": code,
            "total": int(flash_bytes),
        },
        "unsupported": [],
        "limits": {"ram_bytes": 655360, "flash_bytes": 2097152},
        "area_mm2": None,
        "notes": [],
        "partial": {},
        "unsupported_kinds": [],
        "supported": True,
    }


def write_run(
    folder: Path, count: int = 200, seed: int = 0, constraints: bool = True
) -> list[dict[str, Any]]:
    """Write a run of `count` candidates; about half of them infeasible and one in twenty failed."""
    rng = np.random.default_rng(seed)
    (folder / "artifacts").mkdir(parents=True)
    text = (
        CONFIG
        if constraints
        else CONFIG.replace('constraints: {ram: "<= 64 KiB", flash: "<= 256 KiB"}\n', "")
    )
    (folder / "config.yaml").write_text(text)
    records = []
    for index in range(count):
        name = f"{rng.integers(1 << 48):012x}"
        work = float(np.exp(rng.normal(0.0, 0.7)))
        metrics: dict[str, float] = {
            "latency_s": 0.012 * work,
            "energy_j": 0.012 * work * 0.0265,
            "ram_bytes": float(int(38_000 * work**0.8 * rng.uniform(0.7, 1.5))),
            "flash_bytes": float(int(70_000 * work**0.5 * rng.uniform(0.8, 1.3))),
        }
        record: dict[str, Any] = {
            "index": index,
            "id": name,
            "generation": index // 32,
            "status": "ok",
            "reason": None,
            "assignment": {
                "depth": int(rng.integers(2, 6)),
                "block_0.kernel": [3, 5][index % 2],
                "width": "wide",
            },
            "objectives": {"latency": metrics["latency_s"]},
            "violations": {"ram": max(0.0, metrics["ram_bytes"] / 65536 - 1)},
            "macs": int(2e6 * work),
            "parameters": int(metrics["flash_bytes"] * 0.7),
            "metrics": metrics,
            "artifact": None,
            "timestamps": {
                "started": "2026-11-21T10:00:00+00:00",
                "finished": "2026-11-21T10:00:03+00:00",
                "wall_s": 3.0,
            },
        }
        if metrics["ram_bytes"] > 65536 and constraints:
            record.update(status="infeasible", reason={"kind": "budget", "message": "ram 71.0 KiB > 64 KiB"})
        elif index % 20 == 13:
            record.update(
                status="failed",
                reason={
                    "kind": ["timeout", "diverged", "crash"][index % 3],
                    "message": f"<b>epoch {index}</b> & more",
                },
            )
        else:
            error = 0.015 + 0.05 / (1 + 2.2 * work) * float(rng.uniform(0.85, 1.5))
            metrics.update(error=error, test_error=error * 1.1, float_error=error * 0.95)
            record["objectives"]["error"] = error
            depth = record["assignment"]["depth"]
            record["cost"] = cost(
                rng, metrics["latency_s"], metrics["ram_bytes"], metrics["flash_bytes"], depth
            )
            record["artifact"] = f"artifacts/{name}.onnx"
            (folder / record["artifact"]).write_bytes(b"onnx")
        records.append(record)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "candidates.jsonl").write_text(lines)
    return records
