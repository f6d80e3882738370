"""What ethos-u-vela writes about a network that it compiled: its summary, and the tables of its debug database.

Both are read strictly: what is missing, no number or contradicts itself is an error, never a figure.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hannah_hw.errors import MeasurementError

#: Memory of a target -> what vela's summary and its database call it.
AREAS: Final[Mapping[str, tuple[str, str]]] = {
    "sram": ("sram", "Sram"),
    "dram": ("dram", "Dram"),
    "on_chip_flash": ("on_chip_flash", "OnChipFlash"),
    "off_chip_flash": ("off_chip_flash", "OffChipFlash"),
}
#: What the database calls an operator that stays on the CPU.
_ON_CPU: Final = "Passthrough"
_TABLE: Final = re.compile(r'<table name="([^"]+)">\n<!\[CDATA\[\n(.*?)\]\]>\n</table>', re.DOTALL)
_KIBIBYTE: Final = 1024


@dataclass(frozen=True)
class NpuOperation:
    """One operation of the compiled network.

    Attributes:
        source: Position of the operator of the .tflite file that it is of.
        original: What that operator is, in vela's words, such as ``Softmax``.
        operation: What it became, such as ``ReduceSum``.
        name: Of the tensor that it writes.
        on_npu: Whether it runs on the NPU; what does not has no cycles.
        cycles: Of the operation: the largest of the next two.
        npu_cycles: Of the arithmetic.
        memory_cycles: Memory of `AREAS` -> cycles of its accesses.
        macs: Multiply-accumulates.
        staging_bytes: Bytes of the staging memory in use while it runs.
    """

    source: int
    original: str
    operation: str
    name: str
    on_npu: bool
    cycles: int
    npu_cycles: int
    memory_cycles: Mapping[str, int]
    macs: int
    staging_bytes: int


@dataclass(frozen=True)
class Summary:
    """The network as a whole.

    Attributes:
        accelerator: As vela writes it, such as ``Ethos_U55_128``.
        system_config: Of vela's configuration file.
        memory_mode: Of the same.
        clock_hz: Of the NPU.
        cycles: Of one inference.
        npu_cycles: Of the arithmetic alone.
        macs: Multiply-accumulates.
        memory_bytes: Memory of `AREAS` -> bytes in use.
        traffic_bytes: Memory of `AREAS` -> bytes read and written in one inference.
        weight_bytes: Of the weights before they are encoded.
        encoded_weight_bytes: Of the weights as the NPU reads them.
    """

    accelerator: str
    system_config: str
    memory_mode: str
    clock_hz: float
    cycles: int
    npu_cycles: int
    macs: int
    memory_bytes: Mapping[str, int]
    traffic_bytes: Mapping[str, int]
    weight_bytes: int
    encoded_weight_bytes: int


def read_summary(text: str) -> Summary:
    """The content of ``NAME_summary_SYSTEM.csv``.

    Raises:
        MeasurementError: It is not what vela 5.2.0 writes.
    """
    rows = _rows(text, "its summary")
    if len(rows) != 2:
        raise _unreadable(f"its summary has {len(rows)} lines, not 2")
    fields = _Row("its summary", rows[0], rows[1])
    summary = Summary(
        accelerator=fields.text("accelerator_configuration"),
        system_config=fields.text("system_config"),
        memory_mode=fields.text("memory_mode"),
        clock_hz=fields.number("core_clock"),
        cycles=fields.whole("cycles_total"),
        npu_cycles=fields.whole("cycles_npu"),
        macs=fields.whole("nn_macs"),
        memory_bytes={
            area: round(_KIBIBYTE * fields.number(f"{name}_memory_used")) for area, (name, _) in AREAS.items()
        },
        traffic_bytes={area: fields.whole(f"{name}_total_bytes") for area, (name, _) in AREAS.items()},
        weight_bytes=fields.whole("total_original_weights"),
        encoded_weight_bytes=fields.whole("total_npu_encoded_weights"),
    )
    if summary.clock_hz <= 0:
        raise _unreadable(f"the clock in its summary is {summary.clock_hz:g} Hz")
    return summary


def read_operations(text: str) -> tuple[NpuOperation, ...]:
    """The content of ``NAME_debug.xml``.

    Returns:
        The operations in the order in which they run.

    Raises:
        MeasurementError: It is not what vela 5.2.0 writes.
    """
    tables = {name: _rows(body, f"its table {name!r}") for name, body in _TABLE.findall(text)}
    sources = {}
    for row in _table(tables, "source"):
        sources[row.whole("id")] = (row.whole("ext_key"), row.text("operator"))
    operations = []
    for row in _table(tables, "perf"):
        identifier = row.whole("source_id")
        if identifier not in sources:
            raise _unreadable(
                f"its table 'perf' names a source {identifier} that its table 'source' does not have"
            )
        source, original = sources[identifier]
        operation = row.text("operator")
        operations.append(
            NpuOperation(
                source=source,
                original=original,
                operation=operation,
                name=row.text("name"),
                on_npu=operation != _ON_CPU,
                cycles=row.whole("op_cycles"),
                npu_cycles=row.whole("npu_cycles"),
                memory_cycles={
                    # A memory that the system does not have has no column.
                    area: row.whole(f"{name}_ac") if row.has(f"{name}_ac") else 0
                    for area, (_, name) in AREAS.items()
                },
                macs=row.whole("mac_count"),
                staging_bytes=row.whole("staging_usage"),
            )
        )
    return tuple(operations)


def check_agreement(summary: Summary, operations: Sequence[NpuOperation]) -> None:
    """Whether the operations add up to the summary.

    Raises:
        MeasurementError: They do not.
    """
    for what, whole, parts in (
        ("cycles", summary.cycles, sum(operation.cycles for operation in operations)),
        ("multiply-accumulates", summary.macs, sum(operation.macs for operation in operations)),
    ):
        if whole != parts:
            raise _unreadable(f"its operations have {parts:,} {what}, and its summary says {whole:,}")


class _Row:
    """A line of a table by its header."""

    def __init__(self, where: str, header: Sequence[str], cells: Sequence[str]) -> None:
        if len(header) != len(cells):
            raise _unreadable(f"a line of {where} has {len(cells)} cells, and the header {len(header)}")
        self._where, self._cells = where, dict(zip(header, cells, strict=True))

    def has(self, column: str) -> bool:
        return column in self._cells

    def text(self, column: str) -> str:
        if column not in self._cells:
            raise _unreadable(f"{self._where} has no column {column!r}")
        return self._cells[column]

    def number(self, column: str) -> float:
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < 0:
            raise _unreadable(f"{column!r} of {self._where} is {text!r}, not a number of 0 or more")
        return value

    def whole(self, column: str) -> int:
        value = self.number(column)
        if value != int(value):
            raise _unreadable(f"{column!r} of {self._where} is {self.text(column)!r}, not a whole number")
        return int(value)


def _rows(text: str, where: str) -> list[list[str]]:
    try:
        return list(csv.reader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise _unreadable(f"{where} is no table: {error}") from error


def _table(tables: Mapping[str, list[list[str]]], name: str) -> list[_Row]:
    rows = tables.get(name)
    if not rows:
        raise _unreadable(f"its database has no table {name!r}")
    return [_Row(f"its table {name!r}", rows[0], row) for row in rows[1:]]


def _unreadable(reason: str) -> MeasurementError:
    return MeasurementError(f"what ethos-u-vela wrote cannot be read: {reason}", kind="vela_output")
