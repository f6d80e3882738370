"""Tables of measured latencies: a row an architecture, a column a device.

A CSV file, gzipped where its name ends in ``.gz``, with a column of architectures (``arch_str`` or
``architecture``) and a column a device (``lat_ms_DEVICE``, ``lat_us_DEVICE`` or ``lat_s_DEVICE``). A column whose
name starts with ``macs`` gives multiply-accumulate operations; other columns are not read.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError

FloatArray = NDArray[np.float64]

#: Names of the column of architectures.
ARCHITECTURE: Final = ("arch_str", "architecture")
#: Prefix of a column of latencies -> seconds a unit.
UNITS: Final[Mapping[str, float]] = {"lat_s_": 1.0, "lat_ms_": 1e-3, "lat_us_": 1e-6}


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of N architectures on some devices.

    Args:
        architectures: (N,) distinct.
        latency_s: Device -> (N,) seconds, positive; NaN where there is no usable figure.
        dropped: Device -> how many rows have no usable figure: none, not finite, zero, negative, or below the
            device's minimum.
        macs: (N,) multiply-accumulate operations, NaN where not given.
    """

    architectures: tuple[str, ...]
    latency_s: Mapping[str, FloatArray]
    dropped: Mapping[str, int]
    macs: FloatArray

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices, in the order of the columns."""
        return tuple(self.latency_s)

    def latencies(self, device: str) -> FloatArray:
        """Latencies of one device that something can be learned from.

        Returns:
            (N,) seconds, NaN where there is none.

        Raises:
            DataError: There is no such device, or its latencies are all the same.
        """
        if device not in self.latency_s:
            raise DataError(
                f"there is no device {device!r} in this table", allowed=self.devices, given=device
            )
        values = self.latency_s[device]
        usable = values[np.isfinite(values)]
        if not len(usable):
            raise DataError(
                f"device {device!r} has no usable latency; all {self.dropped[device]} were dropped"
            )
        if len(usable) > 1 and usable.min() == usable.max():
            raise DataError(
                f"device {device!r} has the same latency, {usable[0]:g} s, for all {len(usable)} architectures; "
                "nothing can be learned from it, leave it out"
            )
        return values


def read_table(path: Path, *, minimum_s: Mapping[str, float] | None = None) -> LatencyTable:
    """Read a table.

    Args:
        path: The file.
        minimum_s: Device -> latency in seconds below which a figure is taken for a failed measurement.

    Raises:
        DataError: It cannot be read, is empty or corrupt, lacks a column, or a row of it is wrong.
    """
    rows = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = next(rows, [])
        if not header:
            raise DataError(
                "the file is empty; a table has a header and a row an architecture", where=str(path)
            )
        architecture, devices, work = _columns(header, path)
        names: dict[str, int] = {}
        values: list[list[float]] = []
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if len(row) != len(header):
                raise DataError(f"{len(row)} fields where the header has {len(header)}", where=where)
            name = row[architecture]
            if not name:
                raise DataError("no architecture", where=f"{where} {header[architecture]}")
            if name in names:
                raise DataError(
                    f"the architecture {name!r} is there already, in line {names[name]}", where=where
                )
            names[name] = rows.line_num
            values.append([_number(row[at], f"{where} {header[at]}") for at in (*devices.values(), *work)])
    except csv.Error as error:
        raise DataError(f"this is no CSV: {error}", where=f"{path}:{rows.line_num}") from error
    if not values:
        raise DataError("the table has a header and no row", where=str(path))
    given = np.array(values)
    latency_s, dropped = {}, {}
    for at, (device, column) in enumerate(devices.items()):
        scale = next(unit for prefix, unit in UNITS.items() if header[column].startswith(prefix))
        seconds = given[:, at] * scale
        floor = (minimum_s or {}).get(device, 0.0)
        usable = np.isfinite(seconds) & (seconds > 0) & (seconds >= floor)
        latency_s[device] = np.where(usable, seconds, np.nan)
        dropped[device] = int((~usable).sum())
    macs = given[:, len(devices)] if work else np.full(len(given), np.nan)
    return LatencyTable(tuple(names), latency_s, dropped, macs)


def parse_minima(texts: Iterable[str]) -> dict[str, float]:
    """``DEVICE=MS`` texts as seconds by device.

    Raises:
        DataError: Not of that form.
    """
    minima = {}
    for text in texts:
        device, _, milliseconds = text.rpartition("=")
        try:
            seconds = float(milliseconds) * 1e-3
        except ValueError:
            seconds = math.nan
        if not device or not 0 <= seconds < math.inf:
            raise DataError(f"{text!r} is no minimum; write it as DEVICE=MS, for example raspi4=0.02")
        minima[device] = seconds
    return minima


def join(tables: Sequence[LatencyTable]) -> LatencyTable:
    """Tables side by side, joined by architecture; what a table does not have is NaN.

    Raises:
        DataError: Two tables have the same device.
    """
    names = {name: row for row, name in enumerate(dict.fromkeys(_names(tables)))}
    latency_s: dict[str, FloatArray] = {}
    macs = np.full(len(names), np.nan)
    for table in tables:
        rows = np.array([names[name] for name in table.architectures])
        for device, values in table.latency_s.items():
            if device in latency_s:
                raise DataError(f"device {device!r} is in two of the tables; rename it in one")
            latency_s[device] = np.full(len(names), np.nan)
            latency_s[device][rows] = values
        macs[rows] = np.where(np.isfinite(macs[rows]), macs[rows], table.macs)
    dropped = {device: count for table in tables for device, count in table.dropped.items()}
    return LatencyTable(tuple(names), latency_s, dropped, macs)


def _names(tables: Sequence[LatencyTable]) -> Iterable[str]:
    for table in tables:
        yield from table.architectures


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"this is no whole gzip file: {error}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise DataError(f"this is no text in UTF-8: {error.reason}", where=str(path)) from error
    except OSError as error:
        raise DataError(f"it cannot be read: {error.strerror}", where=str(path)) from error


def _columns(header: Sequence[str], path: Path) -> tuple[int, dict[str, int], list[int]]:
    """Columns of the architectures, of each device, and of the work, if there is one."""
    architecture = [header.index(name) for name in ARCHITECTURE if name in header]
    if not architecture:
        raise DataError(
            f"no column of architectures; it is called {' or '.join(ARCHITECTURE)}", where=f"{path}:1"
        )
    devices: dict[str, int] = {}
    for at, name in enumerate(header):
        prefix = next((prefix for prefix in UNITS if name.startswith(prefix)), None)
        if prefix is not None:
            device = name.removeprefix(prefix)
            if not device or device in devices:
                raise DataError(f"column {name!r} names no device of its own", where=f"{path}:1")
            devices[device] = at
    if not devices:
        raise DataError(
            f"no column of latencies; one is called {', '.join(f'{prefix}DEVICE' for prefix in UNITS)}",
            where=f"{path}:1",
        )
    return architecture[0], devices, [at for at, name in enumerate(header) if name.startswith("macs")][:1]


def _number(text: str, where: str) -> float:
    """A figure; NaN where the field is empty."""
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{text[:40]!r} is no number", where=where) from None
