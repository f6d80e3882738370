"""Measurements of single kernels: the rows a cost model is fitted from.

A sweep is a CSV file with a header, or a JSON list of objects, with the columns of `SweepRow`. ``kernel`` is a
kernel kind of the Workload, or ``depthwise`` for a convolution of one filter a channel; sizes are elements. Columns
from ``groups`` on may be missing.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from hannah_hw.errors import DataError
from hannah_hw.workload.table import KERNEL_COLUMNS, KERNEL_KINDS, Kernels

#: Largest sweep file that is read.
MAX_BYTES: Final = 64 << 20
_KINDS: Final = ("depthwise", *KERNEL_KINDS)
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
        groups: None: as many as channels if depthwise, else 1.
        operands: Data inputs; None: 2 for an addition, else 1.
        pad_top: None: as little padding as the output's size takes, shared by both sides.
        flash_reads: Data reads from flash; None when unknown.
        stack_bytes: Deepest stack of the kernel; None when unknown.
        held_out: 1 for a shape that judges the fit and is not part of it.
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
    groups: int | None = None
    operands: int | None = None
    dilation_h: int = 1
    dilation_w: int = 1
    pad_top: int | None = None
    pad_bottom: int | None = None
    pad_left: int | None = None
    pad_right: int | None = None
    flash_reads: int | None = None
    stack_bytes: int | None = None
    held_out: int = 0


COLUMNS: Final = tuple(field.name for field in fields(SweepRow))
#: Columns that may be missing, and what is assumed then.
_OPTIONAL: Final = {field.name: field.default for field in fields(SweepRow)[COLUMNS.index("groups") :]}
_SIDES: Final = ("pad_top", "pad_bottom", "pad_left", "pad_right")
#: Columns that may be 0.
_ANY: Final = {"instructions", "scratch_bytes", "flash_reads", "stack_bytes", "held_out", *_SIDES}


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
    if kernel is None:
        raise DataError("the column 'kernel' is missing", where=where, allowed=COLUMNS)
    if kernel not in _KINDS:
        raise DataError(f"unknown kernel {kernel!r}", where=where, allowed=_KINDS, given=str(kernel))
    given = [name for name in COLUMNS[1:] if name not in _OPTIONAL or record.get(name) not in (None, "")]
    values = {name: _whole(record, name, where) for name in given}
    if min(value for name, value in values.items() if name not in _ANY) < 1:
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
    """The rows as CSV text; optional columns that say nothing are left out."""
    records = [asdict(row) for row in rows]
    names = [n for n in COLUMNS if n not in _OPTIONAL or any(r[n] != _OPTIONAL[n] for r in records)]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def sweep_kernels(rows: Sequence[SweepRow]) -> Kernels:
    """The rows as the kernel table of one candidate, so that the cost model's own features apply."""
    columns = {name: np.full((1, len(rows)), default, np.int64) for name, default in KERNEL_COLUMNS.items()}
    for name in (*COLUMNS[1:11], "dilation_h", "dilation_w"):
        columns[name][0] = [getattr(row, name) for row in rows]
    for number, row in enumerate(rows):
        groups = row.in_channels if row.kernel == "depthwise" else 1
        operands = 2 if row.kernel == "add" else 1
        columns["groups"][0, number] = groups if row.groups is None else row.groups
        columns["operands"][0, number] = operands if row.operands is None else row.operands
    for axis, sides in {"h": ("pad_top", "pad_bottom"), "w": ("pad_left", "pad_right")}.items():
        reach = columns[f"dilation_{axis}"] * (columns[f"kernel_{axis}"] - 1) + 1
        needed = (columns[f"out_{axis}"] - 1) * columns[f"stride_{axis}"] + reach
        total = np.maximum(needed - columns[f"in_{axis}"], 0)
        for side, least in zip(sides, (total // 2, total - total // 2), strict=True):
            given = [getattr(row, side) for row in rows]
            columns[side][0] = [a if b is None else b for a, b in zip(least[0].tolist(), given, strict=True)]
    return Kernels(
        tuple(f"row_{number}" for number in range(len(rows))),
        tuple("conv" if row.kernel == "depthwise" else row.kernel for row in rows),
        np.ones((1, len(rows)), np.bool_),
        columns,
    )
