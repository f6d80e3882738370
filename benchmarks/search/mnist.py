"""M: the ready space ds_cnn on 5,000 handwritten digits, with networks that are really trained.

Objectives: error of the float32 network on the validation part (750 digits, so one is 0.0013) and the log of its
estimated latency on an STM32L4R5ZI from `FASTEST` to the limit, which is free; RAM, flash and latency are bounded.
Training is short, two epochs within a nominal CPU second (`hannah_hw.scoring.candidate.nominal_seconds`), and
deterministic, so that its errors are kept in a file by network and shared by all engines and seeds. A network that
breaks a limit is not trained: its error counts as 1. Extras `train` and `data`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.search.problems import Formula
from hannah_hw.estimation import estimate_population
from hannah_hw.scoring import Training, load_data
from hannah_hw.scoring.candidate import train_candidate
from hannah_hw.search.protocols import FloatArray
from hannah_hw.spaces import Candidate, load_space
from hannah_hw.targets import load_target

TRAINING: Final = Training(epochs=2, budget_s=1.0)
SEED: Final = 0
#: Limits: bytes of RAM, bytes of flash, seconds.
LIMITS: Final = (32 * 1024, 128 * 1024, 0.010)
#: Seconds; about the fastest network of the space.
FASTEST: Final = 0.0003


class TrainedDigits(Formula):
    """The problem.

    Args:
        cache: Folder of the errors that are known.
    """

    name = "M"
    title = "ds_cnn on MNIST, trained"
    free = (1,)
    modes = ("free",)

    def __init__(self, cache: Path) -> None:
        self._data = load_data("mnist5k")
        self._space = load_space("ds_cnn", input_shape=self._data.input_shape, classes=self._data.classes)
        self._target = load_target("stm32l4r5zi")
        self._cache = cache
        self.columns = self._space.encoding
        self.reference = np.array([0.5, 1.0])

    def known(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(P, 2) NaN and position of the log latency; (P, 3) log of RAM, flash and latency over their limits."""
        costs = estimate_population(self._space, rows, self._target)
        used = np.stack([costs.ram_bytes, costs.flash_bytes, costs.latency_s], axis=1).astype(float)
        position = np.log(used[:, 2] / FASTEST) / np.log(LIMITS[2] / FASTEST)
        return np.stack([np.full(len(rows), np.nan), position], axis=1), np.log(used / np.array(LIMITS))

    def features(self, rows: FloatArray) -> FloatArray:
        """(P, 6) what `known` knows, and logs of MACs and of parameters."""
        objectives, excess = self.known(rows)
        macs = self._space.workload(rows).macs.astype(float)
        counts = np.stack([macs, self._space.parameter_counts(rows).astype(float)], axis=1)
        return np.concatenate([objectives[:, 1:], excess, np.log1p(counts)], axis=1)

    def values(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What `known` knows, with errors: of the training where the limits are kept, else 1."""
        objectives, excess = self.known(rows)
        objectives[:, 0] = 1.0
        for at in np.flatnonzero((excess <= 0).all(axis=1)):
            objectives[at, 0] = self._error(rows[at])
        return objectives, excess

    def _error(self, row: FloatArray) -> float:
        candidate = Candidate(self._space, row)
        path = self._cache / f"{candidate.id}.json"
        if path.exists():
            return float(json.loads(path.read_text())["error"])
        _, result, _ = train_candidate(candidate, self._data, TRAINING, SEED)
        self._cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(
            json.dumps({"error": 1 - result.accuracy, "training": TRAINING.model_dump(mode="json")})
        )
        part.replace(path)
        return 1 - result.accuracy
