"""Tables of text: whole lines for a pipe, fitted to the width of a terminal."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

#: Between two columns.
_GAP: Final = "  "
#: A column of text is not made narrower than this.
_LEAST: Final = 12
#: A part of a long word that a line may end with.
_PIECES: Final = re.compile(r"[^._/-]*[._/-]+|[^._/-]+")


def layout(
    headers: Sequence[str],
    cells: Sequence[Sequence[str]],
    *,
    right: Collection[int] = (),
    spare: Sequence[str] = (),
    width: int | None = None,
) -> tuple[list[str], list[str]]:
    """The lines of the headers, and those of the rows.

    Args:
        headers: Titles of the columns.
        cells: Rows.
        right: Columns that are aligned to the right.
        spare: Titles of columns that are left out, one after the other, while the table is too wide.
        width: Columns of the terminal; None: as many as it takes.
    """
    kept = list(range(len(headers)))
    for title in spare:
        if width is None or _total(_natural(headers, cells, kept)) <= width:
            break
        kept = [i for i in kept if headers[i] != title]
    sizes = _natural(headers, cells, kept)
    if width is not None:
        _shrink(sizes, [_least([row[i] for row in cells], headers[i], i in right) for i in kept], width)
    head, *body = (
        _aligned([row[i] for i in kept], sizes, [i in right for i in kept]) for row in [headers, *cells]
    )
    return head, [line for lines in body for line in lines]


def _aligned(row: Sequence[str], sizes: Sequence[int], right: Sequence[bool]) -> list[str]:
    """One row, in as many lines as its longest cell takes."""
    parts = [
        [cell] if len(cell) <= size else wrapped(cell, size) for cell, size in zip(row, sizes, strict=True)
    ]
    lines = []
    for number in range(max(map(len, parts), default=0)):
        texts = [part[number] if number < len(part) else "" for part in parts]
        aligned = (
            text.rjust(size) if numeric else text.ljust(size)
            for text, size, numeric in zip(texts, sizes, right, strict=True)
        )
        lines.append(_GAP.join(aligned).rstrip())
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most a width; a line that goes on is set in by a space.

    Words stay whole where they fit a line; longer ones are broken behind dots, slashes, hyphens and underscores.
    """
    lines, line = [], ""
    for word in text.split():
        start = f"{line} " if line.strip() else line
        if len(start) + len(word) > width and line.strip() and len(word) < width:
            lines.append(line)
            start = " "
        line = start
        for piece in _pieces(word, width):
            if len(line) + len(piece) > width and line.strip():
                lines.append(line.rstrip())
                line = " "
            line += piece
    return [*lines, line]


def _pieces(word: str, width: int) -> Iterator[str]:
    """The word itself, or the parts that it can be broken into where it is longer than a line."""
    if len(word) < width:
        yield word
        return
    most = max(width - 1, 1)
    for piece in _PIECES.findall(word):
        for start in range(0, len(piece), most):
            yield piece[start : start + most]


def _natural(headers: Sequence[str], cells: Sequence[Sequence[str]], kept: Sequence[int]) -> list[int]:
    return [max(len(row[i]) for row in [headers, *cells]) for i in kept]


def _total(sizes: Sequence[int]) -> int:
    return sum(sizes) + len(_GAP) * (len(sizes) - 1)


def _least(cells: Sequence[str], header: str, numeric: bool) -> int:
    """The least width of a column: numbers and the words of its header stay whole, texts are wrapped."""
    words = max(map(len, header.split()), default=0)
    longest = max(map(len, cells), default=0)
    return max(words, longest if numeric else min(longest, _LEAST))


def _shrink(sizes: list[int], least: Sequence[int], width: int) -> None:
    """Take from the widest column that can give until the table fits, or none can."""
    while _total(sizes) > width:
        able = [position for position, size in enumerate(sizes) if size > least[position]]
        if not able:
            return
        sizes[max(able, key=lambda position: sizes[position])] -= 1
