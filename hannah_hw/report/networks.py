"""The networks of a front as the page draws them: a box for each kernel, lines for values, and what each kernel is.

They are read from the exported models, so no code of a space runs. Networks that differ in sizes alone share one
layout, and kernels that are alike one row of facts: the front of a search takes a few kilobytes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hannah_hw.errors import HannahError
from hannah_hw.lowering.reader import read_onnx
from hannah_hw.report.data import ReportData
from hannah_hw.report.layers import Edge, Vertex, arrange
from hannah_hw.workload import Workload
from hannah_hw.workload.table import ACTIVATIONS

#: Networks that are drawn at most: reading one takes about 12 ms.
MAX_NETWORKS: Final = 64
#: Largest model that is read for a drawing, in bytes.
MAX_BYTES: Final = 64 * 2**20
#: Most kernels of a network that is drawn.
MAX_KERNELS: Final = 400
#: Size of a box, and the distances of boxes beside and below each other, in pixels.
WIDTH: Final = 208.0
HEIGHT: Final = 36.0
ACROSS: Final = 14.0
DOWN: Final = 16.0


@dataclass(frozen=True)
class Network:
    """A network as a graph of kernels.

    Attributes:
        names: Of the boxes: inputs of the network, then kernels in the order of execution.
        lines: Pairs of positions in `names`: where a value is made, and where it is read.
        facts: What each box is: ``kind``, ``kernel``, ``stride``, ``groups``, ``in``, ``out``, ``weights`` (elements),
            ``macs``; those that say nothing are left out.
    """

    names: tuple[str, ...]
    lines: tuple[tuple[int, int], ...]
    facts: tuple[Mapping[str, str | int], ...]


def networks(run: ReportData) -> dict[str, Any]:
    """What the script draws of the networks of the front.

    Returns:
        ``layouts``: of graphs of the same form, ``names``, ``corners`` (x, y of each box), ``lines`` (x, y of the
        start, y of the two bends, x, y of the end, position of the box that it enters or -1), ``width`` and
        ``height`` in pixels; ``box``: width and height of a box; ``facts``: what boxes are, each once; ``of``:
        candidate id -> position of its layout, and of the facts of each box; ``unread``: candidate id -> why its
        model cannot be drawn.
    """
    layouts: dict[tuple[Any, ...], int] = {}
    facts: dict[tuple[tuple[str, str | int], ...], int] = {}
    found: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for position in _chosen(run):
        candidate = run.candidates[position]
        if candidate.artifact is None:
            continue
        try:
            network = read_network(run.folder / candidate.artifact)
        except (HannahError, OSError) as failure:
            unread[candidate.id] = str(failure)
            continue
        layout = layouts.setdefault((network.names, network.lines), len(layouts))
        rows = [facts.setdefault(tuple(row.items()), len(facts)) for row in network.facts]
        found[candidate.id] = {"layout": layout, "facts": rows}
    return {
        "layouts": [_layout(names, lines) for names, lines in layouts],
        "box": [WIDTH, HEIGHT],
        "facts": [dict(row) for row in facts],
        "of": found,
        "unread": unread,
    }


def _chosen(run: ReportData) -> list[int]:
    """The members of the front that are drawn: of many an even share, and always those that stand out."""
    step = max(1, -(-len(run.front) // MAX_NETWORKS))
    return [i for place, i in enumerate(run.front) if place % step == 0 or i in (run.knee, run.preferred)]


def read_network(path: Path) -> Network:
    """The network of an ONNX file.

    Args:
        path: The file.

    Raises:
        ModelError: No readable ONNX, or more than is drawn.
        OSError: The file is not there.
    """
    state = path.stat()
    return _read(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4 * MAX_NETWORKS)
def _read(path: Path, _changed: int, size: int) -> Network:
    """The same, read once while the file is as it was: a page that follows a run is written again and again."""
    if size > MAX_BYTES:
        raise HannahError(f"the model has {size:,} bytes; up to {MAX_BYTES:,} are read for a drawing")
    work = read_onnx(path).deployed()
    if len(work.kernels) > MAX_KERNELS:
        raise HannahError(f"the model has {len(work.kernels)} kernels; up to {MAX_KERNELS} are drawn")
    return network_of(work)


def network_of(work: Workload) -> Network:
    """The graph of a Workload of one candidate."""
    inputs = [
        name for name, kind in zip(work.buffers.names, work.buffers.kinds, strict=True) if kind == "input"
    ]
    names = (*inputs, *work.kernels.names)
    at = {name: index for index, name in enumerate(names)}
    lines = tuple(
        (at[buffer], len(inputs) + kernel)
        for kernel, row in enumerate(work.reads)
        for buffer, reads in zip(work.buffers.names, row, strict=True)
        if reads
    )
    kernels = tuple(_facts(row) for row in work.rows())
    first = {tail: kernels[head - len(inputs)].get("in", "") for tail, head in reversed(lines)}
    return Network(
        names, lines, (*({"kind": "input", "out": first.get(k, "")} for k in range(len(inputs))), *kernels)
    )


def _facts(row: Mapping[str, str | int]) -> dict[str, str | int]:
    """What a kernel is, without what goes without saying."""
    flat = row["in_h"] == row["kernel_h"] == row["out_h"] == 1
    kernel = _size(row, "kernel", flat)
    facts: dict[str, str | int] = {
        "kind": row["kind"],
        "in": _shape(row, "in", flat),
        "out": _shape(row, "out", flat),
    }
    if row["kernel_h"] != 1 or row["kernel_w"] != 1 or row["kind"] == "conv":
        facts["kernel"] = kernel
    for name in ("stride", "dilation"):
        if row[f"{name}_h"] != 1 or row[f"{name}_w"] != 1:
            facts[name] = _size(row, name, flat)
    if row["groups"] != 1 and str(row["kind"]).startswith("conv"):
        facts["groups"] = row["groups"]
    if row["activation"]:
        facts["activation"] = ACTIVATIONS[int(row["activation"])]
    facts |= {name: row[name] for name in ("weights", "macs") if row[name]}
    bits = tuple(row[f"{name}_bits"] for name in ("weight", "activation", "output"))
    if bits != (8, 8, 8):
        facts["bits"] = " / ".join(map(str, bits))
    return facts


def _size(row: Mapping[str, str | int], name: str, flat: bool) -> str:
    return str(row[f"{name}_w"]) if flat else f"{row[f'{name}_h']}x{row[f'{name}_w']}"


def _shape(row: Mapping[str, str | int], side: str, flat: bool) -> str:
    """Channels and size of an input or output, as far as it has a size."""
    channels, high, wide = (row[f"{side}_{name}"] for name in ("channels", "h", "w"))
    if high == wide == 1:
        return str(channels)
    return f"{channels}x{wide}" if flat else f"{channels}x{high}x{wide}"


def _layout(names: Sequence[str], lines: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Places of boxes and lines, in whole pixels."""
    vertices = [Vertex(WIDTH, HEIGHT) for _ in names]
    placed = arrange(vertices, [Edge(a, b, names[a]) for a, b in lines], across=ACROSS, down=DOWN)
    return {
        "names": names,
        "corners": [[round(x), round(y)] for x, y in placed.corners],
        "lines": [
            [*map(round, (*line.start, *line.bend, *line.stop)), -1 if line.head is None else line.head]
            for line in placed.lines
        ],
        "width": round(placed.width),
        "height": round(placed.height),
    }
