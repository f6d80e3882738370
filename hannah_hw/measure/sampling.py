"""Shapes at which kernels are measured: a deterministic stratified sample of every kernel class.

Every class has a recipe that turns numbers of [0, 1) into one call of a kernel. The numbers come from Latin
hypercubes (McKay, Beckman, Conover, "A Comparison of Three Methods for Selecting Values of Input Variables",
Technometrics 21, 1979): each number falls once into every one of N equal parts, so that a small sample covers
sizes, windows and strides alike. A shape that another class of the library runs, or that is more work than a
fraction of a second on an emulator, is left out.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.classes import Library
from hannah_hw.errors import InputError
from hannah_hw.measure.sampling_recipes import MOVING, PLAIN, RECIPES, Draws, Moves, UnfitError
from hannah_hw.workload.table import KERNEL_COLUMNS, Kernels

#: Most multiply-accumulates, most elements of the first operand and of the result, and most elements that windows
#: without weights read, of one sampled kernel.
MOST_MACS: Final = 1_000_000
#: Fewest multiply-accumulates, or elements that windows read: what is smaller does not matter to any network.
LEAST_MACS: Final = 100
LEAST_READS: Final = 32
MOST_ELEMENTS: Final = 300_000
MOST_READS: Final = 50_000
#: Kernel classes whose layers have weights.
WEIGHTED: Final = tuple(name for name in RECIPES if name.startswith(("conv", "dw", "fc")))
#: Kernel class -> how much slower a multiply-accumulate is than in the others, roughly.
_SLOW: Final = {"conv_grouped": 4, "conv_transpose": 4, "dw": 2}
#: Numbers of [0, 1) that one shape is made of.
_NUMBERS: Final = 24
#: Hypercubes that are tried before a class counts as one that its recipe does not meet.
_ROUNDS: Final = 40


@dataclass(frozen=True)
class Shape:
    """One call of a kernel.

    Attributes:
        kernel_class: The class that runs it.
        kind: Kind of the Workload's kernel.
        columns: All of `KERNEL_COLUMNS`.
        moves: What the columns do not say.
    """

    kernel_class: str
    kind: str
    columns: Mapping[str, int]
    moves: Moves = field(default_factory=Moves)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the first operand."""
        return self.columns["in_h"], self.columns["in_w"], self.columns["in_channels"]

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the result."""
        return self.columns["out_h"], self.columns["out_w"], self.columns["out_channels"]


def sample_shapes(kernel_class: str, count: int, *, seed: int, library: Library) -> list[Shape]:
    """Distinct shapes of one kernel class.

    Args:
        kernel_class: One of `RECIPES`.
        count: How many are wanted; a class with fewer shapes gives fewer.
        seed: Of the sample; classes do not share numbers.
        library: Says which class runs a shape.

    Raises:
        InputError: There is no recipe for the class, or the library does not have it.
    """
    if kernel_class not in RECIPES:
        raise InputError(
            f"no shapes for the kernel class {kernel_class!r}", allowed=RECIPES, given=kernel_class
        )
    names = [entry.name for entry in library.classes]
    if kernel_class not in names:
        raise InputError(
            f"{library.title} has no kernel class {kernel_class!r}", allowed=names, given=kernel_class
        )
    generator = np.random.default_rng([seed, zlib.crc32(kernel_class.encode())])
    found: dict[tuple[object, ...], Shape] = {}
    for _ in range(_ROUNDS):
        tried = [
            shape for numbers in _hypercube(generator, count) if (shape := _shape(kernel_class, numbers))
        ]
        if tried:
            classes = library.classify(kernel_table(tried))[0].tolist()
            for shape, index in zip(tried, classes, strict=True):
                if index == names.index(kernel_class):
                    found.setdefault((*shape.columns.values(), shape.moves), shape)
        if len(found) >= count:
            break
    return list(found.values())[:count]


def _hypercube(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    """(count, numbers) of [0, 1), one in each of ``count`` parts of every axis."""
    order = np.argsort(generator.random((_NUMBERS, count)), axis=1)
    return ((order + generator.random((_NUMBERS, count))) / count).T


def _shape(kernel_class: str, numbers: NDArray[np.float64]) -> Shape | None:
    """The shape that the numbers stand for, unless it does not fit or is too much work."""
    draws = Draws(numbers)
    moves = Moves()
    try:
        if kernel_class in PLAIN:
            kind, columns = PLAIN[kernel_class](draws)
        else:
            (kind, columns), moves = MOVING[kernel_class](draws)
    except UnfitError:
        return None
    shape = Shape(kernel_class, kind, columns, moves)
    work, least, most = columns["macs"], LEAST_MACS, MOST_MACS
    if kernel_class in _SLOW:
        most //= _SLOW[kernel_class]
    if not columns["weights"]:
        window = columns["kernel_h"] * columns["kernel_w"]
        work = max(math.prod(shape.output_shape) * window, math.prod(shape.input_shape))
        least, most = LEAST_READS, MOST_READS
    elements = max(math.prod(shape.input_shape), math.prod(shape.output_shape))
    return shape if least <= work <= most and elements <= MOST_ELEMENTS else None


def kernel_table(shapes: Sequence[Shape]) -> Kernels:
    """The shapes as the kernels of one candidate, so that the rules and features of cost libraries apply."""
    table = np.array([[shape.columns[name] for shape in shapes] for name in KERNEL_COLUMNS], np.int64)
    return Kernels(
        tuple(f"shape_{number}" for number in range(len(shapes))),
        tuple(shape.kind for shape in shapes),
        np.ones((1, len(shapes)), np.bool_),
        {name: values[None, :] for name, values in zip(KERNEL_COLUMNS, table, strict=True)},
    )
