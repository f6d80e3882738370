"""Reading the files of records that a run appends to, also while it goes on or after it was killed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hannah_hw.errors import InputError

Json = dict[str, Any]


def read_records(path: Path, what: str = "a candidate") -> tuple[list[Json], list[str]]:
    """The records of a file and a warning for every line that is not one.

    A missing file is an empty run. The last line of a killed run may be torn.

    Args:
        path: The file.
        what: What a record describes, for the warnings.

    Raises:
        InputError: The file cannot be read.
    """
    if not path.is_file():
        return [], [f"{path.name} is missing: the run has no candidates yet"]
    records: list[Json] = []
    warnings = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as failure:
        raise InputError(f"cannot read the file: {failure}", where=str(path)) from failure
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            torn = number == len(lines)
            reason = "torn: the run was stopped while writing it" if torn else "not valid JSON"
            warnings.append(f"{path.name}:{number} was left out: {reason}")
            continue
        if isinstance(record, dict) and isinstance(record.get("id"), str):
            records.append(record)
        else:
            warnings.append(f"{path.name}:{number} was left out: not {what}'s record")
    return records, warnings


def finite_numbers(value: Any) -> dict[str, float]:
    """The finite numbers of a mapping."""
    return {
        str(key): float(number)
        for key, number in (value if isinstance(value, dict) else {}).items()
        if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    }
