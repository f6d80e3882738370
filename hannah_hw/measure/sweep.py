"""Measurements of single kernels: the rows a cost model is fitted from.

A sweep is a CSV file with a header, or a JSON list of objects, with the columns of `SweepRow`. ``kernel`` is one
of ``conv``, ``depthwise``, ``linear``, ``add``, ``avg_pool``, ``max_pool`` and ``softmax``; sizes are elements.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hannah_hw.errors import DataError
from hannah_hw.workload.table import KERNEL_COLUMNS, Kernels

#: Largest sweep file that is read.
MAX_BYTES: Final = 64 << 20
_KINDS: Final = {
    "conv": "conv",
    "depthwise": "conv",
    "linear": "linear",
    "add": "add",
    "avg_pool": "avg_pool",
    "max_pool": "max_pool",
    "softmax": "softmax",
    "activation": "activation",
}
#: Harness names of the kernels, with the short column names ``h w cin cout k stride px cyc scr``.
_SHORT: Final = {
    "run_conv": "conv",
    "run_dw": "depthwise",
    "run_fc": "linear",
    "run_add": "add",
    "run_avg": "avg_pool",
    "run_max": "max_pool",
    "run_softmax": "softmax",
}


@dataclass(frozen=True)
class SweepRow:
    """One kernel at one shape, measured.

    Attributes:
        kernel: What ran.
        in_h: Input height; so the other sizes.
        instructions: Executed instructions, 0 when unknown.
        cycles: Core cycles.
        scratch_bytes: Scratch memory that the kernel asked for.
    """

    kernel: str
    in_h: int
    in_w: int
    in_channels: int
    out_channels: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    out_h: int
    out_w: int
    instructions: int
    cycles: int
    scratch_bytes: int


COLUMNS: Final = tuple(SweepRow.__dataclass_fields__)


def read_sweep(path: str | Path) -> list[SweepRow]:
    """Read a sweep; rows of kernels that are not the library's (plain C baselines) are left out.

    Raises:
        DataError: Not a sweep: file, row, column.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"the file is larger than {MAX_BYTES} bytes", where=str(path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise DataError(f"cannot read the sweep: {failure}", where=str(path)) from failure
    if text.lstrip()[:1] in {"[", "{"}:
        try:
            records = json.loads(text)
        except (ValueError, RecursionError) as failure:
            raise DataError(f"not valid JSON: {failure}", where=str(path)) from failure
    else:
        records = list(csv.DictReader(io.StringIO(text)))
    if not isinstance(records, list) or not records:
        raise DataError("the sweep must hold at least one row", where=str(path))
    rows = []
    for number, record in enumerate(records, start=1):
        row = _row(record, f"{path} row {number}")
        if row is not None:
            rows.append(row)
    if not rows:
        raise DataError("no row of a known kernel", where=str(path), allowed=_KINDS)
    return rows


def _row(record: Any, where: str) -> SweepRow | None:
    if not isinstance(record, Mapping):
        raise DataError("a row must map columns to values", where=where, allowed=COLUMNS)
    if "fn" in record:
        if record["fn"] in {"run_naive", "run_im2col"}:
            return None
        record = _from_short(record, where)
    kernel = record.get("kernel")
    if kernel not in _KINDS:
        raise DataError(f"unknown kernel {kernel!r}", where=where, allowed=_KINDS, given=str(kernel))
    values = {name: _whole(record, name, where) for name in COLUMNS if name != "kernel"}
    if min(value for name, value in values.items() if name not in {"instructions", "scratch_bytes"}) < 1:
        raise DataError("sizes and cycles must be positive", where=where)
    return SweepRow(kernel=str(kernel), **values)


def _whole(record: Mapping[str, Any], name: str, where: str) -> int:
    if name not in record:
        raise DataError(f"the column {name!r} is missing", where=where, allowed=COLUMNS)
    try:
        number = float(record[name])
    except (TypeError, ValueError) as failure:
        raise DataError(f"{name} = {record[name]!r} is not a number", where=where) from failure
    if not math.isfinite(number) or number < 0 or number > 2**53:
        raise DataError(f"{name} = {record[name]!r} is not a count", where=where)
    return round(number)


def _from_short(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A row of the emulator harness: square kernels, ``px`` output pixels of a square or one-pixel image."""
    if record["fn"] not in _SHORT:
        raise DataError(f"unknown kernel {record['fn']!r}", where=where, allowed=_SHORT)
    short = {name: _whole(record, name, where) for name in ("h", "w", "cin", "cout", "k", "stride", "px")}
    out_h = math.isqrt(short["px"])
    if out_h * out_h != short["px"]:
        raise DataError(f"px = {short['px']} is not a square", where=where)
    return {
        "kernel": _SHORT[record["fn"]],
        "in_h": short["h"],
        "in_w": short["w"],
        "in_channels": short["cin"],
        "out_channels": short["cout"],
        "kernel_h": short["k"],
        "kernel_w": short["k"],
        "stride_h": short["stride"],
        "stride_w": short["stride"],
        "out_h": out_h,
        "out_w": out_h,
        "instructions": record.get("instr", 0),
        "cycles": record.get("cyc"),
        "scratch_bytes": record.get("scr", 0),
    }


def write_sweep(rows: Sequence[SweepRow]) -> str:
    """The rows as CSV text."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return out.getvalue()


def sweep_kernels(rows: Sequence[SweepRow]) -> Kernels:
    """The rows as the kernel table of one candidate, so that the cost model's own features apply."""
    columns = {name: np.full((1, len(rows)), default, np.int64) for name, default in KERNEL_COLUMNS.items()}
    for name in COLUMNS[1:11]:
        columns[name][0] = [getattr(row, name) for row in rows]
    columns["groups"][0] = [row.in_channels if row.kernel == "depthwise" else 1 for row in rows]
    columns["operands"][0] = [2 if row.kernel == "add" else 1 for row in rows]
    for axis, (before, after) in {"h": ("pad_top", "pad_bottom"), "w": ("pad_left", "pad_right")}.items():
        needed = (columns[f"out_{axis}"] - 1) * columns[f"stride_{axis}"] + columns[f"kernel_{axis}"]
        total = np.maximum(needed - columns[f"in_{axis}"], 0)
        columns[before][:] = total // 2
        columns[after][:] = total - total // 2
    return Kernels(
        tuple(f"row_{number}" for number in range(len(rows))),
        tuple(_KINDS[row.kernel] for row in rows),
        np.ones((1, len(rows)), np.bool_),
        columns,
    )
