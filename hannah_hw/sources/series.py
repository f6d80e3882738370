"""CSV files of time series as windows that do not leak from one part into another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import DataError
from hannah_hw.sources.folders import files_by_class
from hannah_hw.sources.reading import Reading
from hannah_hw.sources.table import header, read_table

if TYPE_CHECKING:
    from hannah_hw.sources.section import SeriesSource

#: Columns that hold the class where none is named, in the order in which they are looked for.
LABELS: Final = ("label", "class", "target", "activity", "y")
#: The same of the recording or the subject, and of what orders the rows, which is no channel.
GROUPS: Final = ("subject", "recording", "session", "user", "person", "participant", "group", "file")
TIMES: Final = ("time", "timestamp", "datetime", "date", "index")
#: Most bytes of all windows.
MAX_BYTES: Final = 4 << 30
#: Blocks that the stretch of one class in a file without recordings is cut into, at most.
_BLOCKS: Final = 10
#: Windows that such a block holds at least.
_WINDOWS: Final = 2

Floats = NDArray[np.float32]
_Words = NDArray[np.str_]


@dataclass(frozen=True)
class _Stretch:
    """Rows of one recording that follow each other.

    Attributes:
        part: ``train``, ``val`` or ``test``.
        group: Name of the recording.
        values: (rows, channels).
        labels: (rows,) class names.
    """

    part: str
    group: str
    values: Floats
    labels: _Words


def read_series(source: SeriesSource) -> Reading:
    """Windows as float32, (N, channels, window); all windows of a recording belong to one group.

    Raises:
        DataError: A file or a column cannot be used, or no window fits.
    """
    path = Path(source.path).expanduser()
    stride = source.stride or max(1, source.window // 2)
    stretches, columns, grouping = _stretches(source, path)
    windows: dict[str, list[tuple[Floats, str, str]]] = {}
    total = mixed = 0
    for stretch in stretches:
        for start in range(0, len(stretch.values) - source.window + 1, stride):
            labels = stretch.labels[start : start + source.window]
            names, counts = np.unique(labels, return_counts=True)
            if len(names) > 1:
                mixed += 1
                if source.mixed == "drop":
                    continue
            values = stretch.values[start : start + source.window]
            total += values.nbytes
            if total > MAX_BYTES:
                raise DataError(
                    f"windows are more than the limit of {MAX_BYTES} bytes; give a larger stride",
                    where=str(path),
                )
            windows.setdefault(stretch.part, []).append(
                (values.T, str(names[counts.argmax()]), stretch.group)
            )
    if "train" not in windows:
        longest = max((len(stretch.values) for stretch in stretches), default=0)
        raise DataError(
            f"no window of {source.window} rows fits: the longest stretch of one recording has {longest}; "
            "give a smaller window",
            where=str(path),
        )
    classes = sorted({name for found in windows.values() for _, name, _ in found})
    arrays: dict[str, NDArray[Any]] = {}
    for part, found in windows.items():
        arrays[f"x_{part}"] = np.stack([values for values, _, _ in found])
        arrays[f"y_{part}"] = np.array([classes.index(name) for _, name, _ in found], np.int64)
    groups = np.unique([group for _, _, group in windows["train"]], return_inverse=True)[1]
    facts: dict[str, Any] = {
        "format": "series",
        "columns": list(columns),
        "window": f"{source.window} rows, every {stride} rows",
        "grouping": grouping,
    }
    if mixed:
        what = "dropped" if source.mixed == "drop" else "of the class that most of their rows have"
        facts["mixed_windows"] = f"{mixed} windows with several classes: {what}"
    return Reading(arrays, tuple(classes), facts, groups.astype(np.int64), series=True)


def _stretches(source: SeriesSource, path: Path) -> tuple[list[_Stretch], tuple[str, ...], str]:
    """All rows in stretches, the channels, and in words what a recording is."""
    files = _files(path)
    names = header(files[0][1])
    group = source.group or _called(names, GROUPS, source.columns)
    time = source.time or _called(names, TIMES, source.columns)
    alone = len(files) == 1 and group is None
    columns = source.columns
    found: list[_Stretch] = []
    for part, file, folder_class in files:
        label = None if folder_class is not None else source.label or _label(file)
        texts = [name for name in (label, group) if name is not None]
        table = read_table(file, texts, columns, [time] if time is not None else [])
        columns = table.names
        rows = len(table.values)
        labels = np.array(table.texts[label] if label is not None else [folder_class] * rows)
        owners = np.array(table.texts[group] if group is not None else [str(file)] * rows)
        bounds = _blocks(labels, source.window) if alone else _bounds(owners)
        found += [
            _Stretch(part, str(a) if alone else str(owners[a]), table.values[a:b], labels[a:b])
            for a, b in bounds
        ]
    if alone:
        grouping = (
            f"no column tells recordings apart, so the stretches of a class were cut into up to {_BLOCKS} blocks, and "
            "windows stay within one; blocks that lie side by side are alike, so that errors may be too small"
        )
    else:
        grouping = f"recordings are told apart by the column {group!r}" if group else "a file is a recording"
    return found, columns or (), grouping


def _files(path: Path) -> list[tuple[str, Path, str | None]]:
    """Part, file and, where folders are the classes, class of each file."""
    if path.is_file():
        return [("train", path, None)]
    if not path.is_dir():
        raise DataError("there is no such file or folder", where=str(path))
    flat = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() == ".csv" and file.name[0] not in "._" and file.is_file()
    )
    if flat:
        return [("train", file, None) for file in flat]
    filed = files_by_class(path, {".csv"})
    return [
        (part, file, filed.class_names[label])
        for part, entries in filed.parts.items()
        for file, label in entries
    ]


def _label(file: Path) -> str:
    """The column of a file that holds the class."""
    names = header(file)
    found = _called(names, LABELS)
    if found is not None:
        return found
    raise DataError(
        "no column is called like a class; name it with 'label', as in data: {path: FILE, kind: series, label: COLUMN}",
        where=str(file),
        allowed=names,
    )


def _called(names: Sequence[str], wanted: Sequence[str], channels: Sequence[str] | None = None) -> str | None:
    """The first column that is called one of some names, in capitals or not, and is no channel."""
    lower = {name.lower(): name for name in reversed(names) if name not in (channels or ())}
    return next((lower[name] for name in wanted if name in lower), None)


def _bounds(names: _Words) -> Iterator[tuple[int, int]]:
    """Begin and end of every run of equal names."""
    cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
    yield from zip([0, *cuts.tolist()], [*cuts.tolist(), len(names)], strict=True)


def _blocks(labels: _Words, window: int) -> Iterator[tuple[int, int]]:
    """Begin and end of blocks of one class, of at least `_WINDOWS` windows where the stretch is long enough."""
    for begin, end in _bounds(labels):
        count = min(_BLOCKS, max(1, (end - begin) // (_WINDOWS * window)))
        edges = np.linspace(begin, end, count + 1).round().astype(int).tolist()
        yield from itertools.pairwise(edges)
