"""Measured kernels of a host: the rows that a latency model is fitted from, kept as a CSV file beside it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hannah_hw.errors import DataError
from hannah_hw.host.kernels import HostKernel

#: Largest file that is read.
MAX_BYTES: Final = 64 << 20

_COLUMNS: Final = ("kernel_class", "seconds", "retest", "run_s", "probe_s", "calm", "made_on", "kernel")


@dataclass(frozen=True)
class HostRow:
    """One kernel, measured.

    Attributes:
        kernel: What ran.
        seconds: What it adds to a run: the run of a model with this kernel alone, less that of one with none. Of the
            thread's processor time, where one thread ran.
        retest: How far two halves of the measurement lie apart, relative to `seconds`.
        made_on: Processor, runtime and threads. Rows of another are not comparable.
        run_s: Seconds of a run of nothing, then.
        probe_s: Seconds of a computation that is always the same, in its fastest state then; 0: not known.
        calm: Share of the measurement that nothing else disturbed.
    """

    kernel: HostKernel
    seconds: float
    retest: float = 0.0
    made_on: str = ""
    run_s: float = 0.0
    probe_s: float = 0.0
    calm: float = 1.0


def write_rows(rows: Iterable[HostRow]) -> str:
    """The rows as CSV text, which `read_rows` reads. Seconds keep 5 digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        numbers = (
            f"{row.seconds:.5g}",
            f"{row.retest:.3g}",
            f"{row.run_s:.5g}",
            f"{row.probe_s:.5g}",
            f"{row.calm:.3g}",
        )
        writer.writerow((row.kernel.kernel_class, *numbers, row.made_on, row.kernel.to_json()))
    return out.getvalue()


def read_rows(path: str | Path) -> list[HostRow]:
    """Rows from a file; none where it has only a header.

    Raises:
        DataError: It cannot be read, or a row is not a measured kernel: file, line, column.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"the file is larger than {MAX_BYTES} bytes", where=str(path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the measured kernels: {error}", where=str(path)) from error
    reader = csv.reader(io.StringIO(text))
    if tuple(next(reader, ())) != _COLUMNS:
        raise DataError(f"the first line is not {','.join(_COLUMNS)}", where=f"{path}:1")
    try:
        return [_row(record, f"{path}:{reader.line_num}") for record in reader]
    except csv.Error as error:  # a field that is longer than the reader takes, among others
        raise DataError(f"not CSV: {error}", where=f"{path}:{reader.line_num}") from error


def _row(record: list[str], where: str) -> HostRow:
    """One row.

    Raises:
        DataError: It is not one.
    """
    if len(record) != len(_COLUMNS):
        raise DataError(f"{len(record)} columns, not {len(_COLUMNS)}", where=where)
    seconds, retest, made_on, kernel = record[1], record[2], *record[6:]
    try:
        values = float(seconds), float(retest)
        state = [float(text) for text in record[3:6]]
        found = HostKernel.from_json(kernel)
    except (ValueError, TypeError) as error:
        raise DataError(str(error), where=where) from error
    if not (0 < values[0] < math.inf and 0 <= values[1] < math.inf):
        raise DataError(f"{seconds} seconds with a retest of {retest}: times are positive", where=where)
    if not all(0 <= value < math.inf for value in state):
        raise DataError(f"run_s, probe_s and calm are {', '.join(record[3:6])}, not at least 0", where=where)
    return HostRow(found, *values, made_on, *state)
