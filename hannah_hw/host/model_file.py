"""The format ``hannah-host-model/1``: laws of kernel classes of a host, their data, and how wrong they are.

One YAML file, with the measurements as CSV beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import yaml
from pydantic import Field, model_validator

from hannah_hw.documents import parse_document, read_document
from hannah_hw.errors import TargetError
from hannah_hw.host.regression import Law
from hannah_hw.targets.fields import Strict

FORMAT: Final = "hannah-host-model/1"

#: Most kernels of a law: matrices have as many rows and columns.
_MOST_KERNELS: Final = 4096
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LawError(Strict):
    """How wrong a law is: relative errors of profiled kernels in laws of the others.

    Attributes:
        median: Median of their sizes.
        p90: 90th percentile.
        n: How many kernels.
        method: How they were taken.
    """

    median: _Amount
    p90: _Amount
    n: Annotated[int, Field(ge=1)]
    method: Literal["leave one kernel out"] = "leave one kernel out"


class LawEntry(Strict):
    """A law; see `hannah_hw.host.regression.Law`.

    Attributes:
        error: Its error.
        rates: Name of a term -> seconds of a unit of it.
        length: Of the process of its residuals.
        share: Of their variance that the process explains.
        deviation: Of a residual.
        calibration: Of the deviation.
        seconds: Of the profiled kernels.
        work: Of each, the amounts of the terms in their order.
    """

    error: LawError
    rates: dict[str, _Amount]
    length: _Positive
    share: Annotated[float, Field(ge=0, lt=1)]
    deviation: _Amount
    calibration: _Positive
    seconds: Annotated[tuple[_Positive, ...], Field(min_length=1, max_length=_MOST_KERNELS)]
    work: tuple[tuple[_Amount, ...], ...]

    @model_validator(mode="after")
    def _of_one_size(self) -> LawEntry:
        if len(self.work) != len(self.seconds):
            raise ValueError(f"work of {len(self.work)} kernels, but seconds of {len(self.seconds)}")
        if any(len(row) != len(self.rates) for row in self.work):
            raise ValueError(f"a row of work does not have the {len(self.rates)} terms of the rates")
        return self

    @classmethod
    def of(cls, law: Law) -> LawEntry:
        """The entry of a law."""
        sizes = np.abs(np.expm1(law.left_out[0]))
        error = LawError(
            median=_short(np.median(sizes)), p90=_short(np.quantile(sizes, 0.9)), n=len(law.seconds)
        )
        return cls(
            error=error,
            rates={name: _short(rate) for name, rate in zip(law.names, law.rates, strict=True)},
            length=law.residual.length,
            share=law.residual.share,
            deviation=_short(law.residual.deviation),
            calibration=_short(law.calibration),
            seconds=tuple(_short(value) for value in law.seconds),
            work=tuple(tuple(float(value) for value in row) for row in law.work),
        )

    def law(self, block: int) -> Law:
        """The law of an entry."""
        return Law.restored(
            block,
            self.rates,
            np.array(self.work),
            np.array(self.seconds),
            length=self.length,
            share=self.share,
            deviation=self.deviation,
            calibration=self.calibration,
        )


class IntervalEntry(Strict):
    """How wide intervals of networks are.

    Attributes:
        coverage: Probability with which they hold the measured latency.
        additivity: Relative standard deviation of a network against the sum of its kernels.
        factor: What widths are multiplied with, from measured networks.
        networks: How many those were.
        median_error: Median of their relative errors; None without any.
        largest_error: The largest; likewise.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)]
    additivity: _Amount
    factor: _Positive
    networks: Annotated[int, Field(ge=0)]
    median_error: _Amount | None = None
    largest_error: _Amount | None = None


class HostModelFile(Strict):
    """The document; see `hannah_hw.host.model.HostModel`. The file of rows lies beside it, and nowhere else."""

    format: Literal["hannah-host-model/1"]
    title: str = ""
    made_on: str = ""
    rows: Annotated[str, Field(pattern=r"^[^/\\]*$")] = ""
    block: Annotated[int, Field(ge=1)]
    run_s: _Amount
    interval: IntervalEntry
    laws: Annotated[dict[str, LawEntry], Field(min_length=1)]


def parse_host_model(text: str, path: str) -> HostModelFile:
    """A model from YAML text.

    Args:
        text: The document.
        path: Its file name, for messages.

    Raises:
        TargetError: The text is no host model: file, line, field and what is allowed.
    """
    return parse_document(text, path, TargetError).validate(HostModelFile, TargetError)


def read_host_model(path: Path) -> HostModelFile:
    """A model from its file; see `parse_host_model`."""
    return read_document(path, TargetError).validate(HostModelFile, TargetError)


def text_of(laws: Mapping[str, Law], run_seconds: float, interval: IntervalEntry, **words: str) -> str:
    """The text of a file; `parse_host_model` reads it.

    Args:
        laws: Name -> law, at least one.
        run_seconds: Of a run of nothing.
        interval: How wide intervals are.
        words: The other fields.
    """
    file = HostModelFile(
        format=FORMAT,
        block=next(iter(laws.values())).block,
        run_s=_short(run_seconds),
        interval=interval,
        laws={name: LawEntry.of(law) for name, law in sorted(laws.items())},
        **words,
    )
    data = file.model_dump(mode="json", exclude_none=True)
    for entry in data["laws"].values():
        entry["work"] = [_Line(row) for row in entry["work"]]
        entry["seconds"] = _Line(entry["seconds"])
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return text


class _Line(list[Any]):
    """A list that is written in one line."""


class _Dumper(yaml.SafeDumper):
    """SafeDumper that knows `_Line`, and writes whole numbers as such."""


def _line(dumper: _Dumper, data: _Line) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


def _number(dumper: _Dumper, data: float) -> yaml.Node:
    whole = data.is_integer() and abs(data) < 1e15
    text = str(int(data)) if whole else repr(data)
    tag = "int" if whole else "float"
    # YAML 1.1 takes 1e-07 for text, and 1.0e-07 for a number.
    if not whole and "." not in text:
        text = text.replace("e", ".0e", 1)
    return dumper.represent_scalar(f"tag:yaml.org,2002:{tag}", text)


_Dumper.add_representer(_Line, _line)
_Dumper.add_representer(float, _number)


def _short(value: float) -> float:
    """A measured or fitted number, of which 6 digits say more than is known."""
    return float(f"{float(value):.6g}")
