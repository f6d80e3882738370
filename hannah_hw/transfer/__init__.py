"""Latency of a new device from a few measurements of it and tables of devices that are known.

`FewShot` chooses the samples and predicts the rest; `read_table` reads latencies, `Cell` and `describe` make
features of cells; `Evaluation` judges it on a device whose latencies are all known, `NewDevice` is what a person with
a new device does.
"""

from __future__ import annotations

from hannah_hw.transfer.cells import Cell
from hannah_hw.transfer.evaluation import DeviceResult, Evaluation
from hannah_hw.transfer.features import CellFeatures, describe, duplicates, representatives
from hannah_hw.transfer.fewshot import FewShot, Prediction, Predictor
from hannah_hw.transfer.table import LatencyTable, join, read_table
from hannah_hw.transfer.workflow import NewDevice

__all__ = [
    "Cell",
    "CellFeatures",
    "DeviceResult",
    "Evaluation",
    "FewShot",
    "LatencyTable",
    "NewDevice",
    "Prediction",
    "Predictor",
    "describe",
    "duplicates",
    "join",
    "read_table",
    "representatives",
]
