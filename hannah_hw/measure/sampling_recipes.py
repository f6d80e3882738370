"""Recipes of calls of every kernel class: what networks for microcontrollers contain, and its surroundings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from hannah_hw.workload.table import KERNEL_COLUMNS

T = TypeVar("T")
Pair = tuple[int, int]
#: Kind of a kernel and its `KERNEL_COLUMNS`.
Made = tuple[str, dict[str, int]]


@dataclass(frozen=True)
class Moves:
    """What the columns of a kernel that moves values do not say; axes are 0 height, 1 width, 2 channels.

    Attributes:
        axis: That of a concatenation or of a slice.
        parts: Sizes along it of the operands of a concatenation.
        begin: Where along it a slice begins.
        order: The operand's axes in the order of a permutation's result.
    """

    axis: int = 0
    parts: tuple[int, ...] = ()
    begin: int = 0
    order: tuple[int, ...] = ()


class UnfitError(Exception):
    """The numbers give no kernel of a network: a window much larger than its image, a slice of everything."""


class Draws:
    """The numbers of one shape, spent one after the other."""

    def __init__(self, numbers: NDArray[np.float64]) -> None:
        self._numbers: Iterator[float] = iter(numbers.tolist())

    def unit(self) -> float:
        """The next number."""
        return next(self._numbers)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, each as likely."""
        return options[int(self.unit() * len(options))]

    def size(self, low: int, high: int) -> int:
        """A size whose logarithm is uniform."""
        return int(low * ((high + 1) / low) ** self.unit())

    def channels(self, low: int = 1, high: int = 512) -> int:
        """As networks have them: any number, or a multiple of four or of eight."""
        count, step = self.size(low, high), self.pick((1, 1, 4, 8))
        return -(-count // step) * step

    def image(self, high: int = 112) -> Pair:
        """Height and width, half of them square."""
        height, other, square = self.size(1, high), self.size(1, high), self.unit() < 0.5
        return height, height if square else other


def _columns(**given: int) -> dict[str, int]:
    return {**KERNEL_COLUMNS, **given}


def _same(kind: str, size: Pair, channels: int, **more: int) -> tuple[str, dict[str, int]]:
    """A kernel whose result has the shape of its operand."""
    (height, width), of = size, {"in_channels": channels, "out_channels": channels}
    return kind, _columns(in_h=height, out_h=height, in_w=width, out_w=width, **of, **more)


def _window(
    draws: Draws, size: Pair, kernel: Pair, stride: Pair, dilation: Pair = (1, 1), padded: bool = True
) -> dict[str, int]:
    """Columns of a window over an image; none, TensorFlow's ``same`` or any padding."""
    columns: dict[str, int] = {}
    mode = draws.pick(("valid", "same", "same", "any")) if padded else "valid"
    loose = draws.unit(), draws.unit(), draws.unit(), draws.unit()
    for axis, (name, sides) in enumerate({"h": ("top", "bottom"), "w": ("left", "right")}.items()):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        if mode == "same":
            total = max((-(-size[axis] // stride[axis]) - 1) * stride[axis] + reach - size[axis], 0)
            before, after = total // 2, total - total // 2
        elif mode == "any":
            before, after = (int(loose[2 * axis + side] * reach) for side in (0, 1))
        else:
            before, after = 0, 0
        if size[axis] + before + after < reach:
            raise UnfitError
        columns |= {
            f"in_{name}": size[axis],
            f"out_{name}": (size[axis] + before + after - reach) // stride[axis] + 1,
            f"kernel_{name}": kernel[axis],
            f"stride_{name}": stride[axis],
            f"dilation_{name}": dilation[axis],
            f"pad_{sides[0]}": before,
            f"pad_{sides[1]}": after,
        }
    return columns


def _weighted(kind: str, window: dict[str, int], in_channels: int, out_channels: int, groups: int) -> Made:
    """A kernel with weights and biases."""
    weights = window["kernel_h"] * window["kernel_w"] * (in_channels // groups) * out_channels
    over = "in" if kind == "conv_transpose" else "out"
    return kind, _columns(
        **window,
        groups=groups,
        in_channels=in_channels,
        out_channels=out_channels,
        weights=weights,
        bias=out_channels,
        macs=weights * window[f"{over}_h"] * window[f"{over}_w"],
    )


_UNIT: Final[Pair] = (1, 1)
_SQUARES: Final = tuple((k, k) for k in (3, 3, 3, 5, 7, 2, 4))
_OBLONG: Final = ((3, 1), (1, 3), (3, 5), (10, 4), (1, 5), (5, 1))


def _conv_1x1(draws: Draws) -> Made:
    stride = draws.pick((_UNIT, _UNIT, _UNIT, (2, 2), (1, 2)))
    window = _window(draws, draws.image(), _UNIT, stride, padded=False)
    return _weighted("conv", window, draws.channels(), draws.channels(), 1)


def _conv_row(draws: Draws) -> Made:
    size, kernel = (1, draws.size(3, 128)), (1, draws.pick((3, 3, 5, 7, 9, 2, 4, 11, 15)))
    dilation = (1, draws.pick((1, 1, 1, 1, 2)))
    window = _window(draws, size, kernel, (1, draws.pick((1, 1, 2, 3))), dilation)
    return _weighted("conv", window, draws.channels(), draws.channels(), 1)


def _dense_window(draws: Draws) -> dict[str, int]:
    size, kernel = draws.image(), draws.pick((*_SQUARES, *_SQUARES, *_OBLONG))
    stride, dilation = draws.pick((_UNIT, _UNIT, (2, 2), (1, 2))), draws.pick((*[_UNIT] * 9, (2, 2)))
    # A window may be larger than a small image, but not by much.
    if any(length > max(side + 1, 3) for length, side in zip(kernel, size, strict=True)):
        raise UnfitError
    return _window(draws, size, kernel, stride, dilation)


def _conv(draws: Draws) -> Made:
    window = _dense_window(draws)
    return _weighted("conv", window, draws.channels(), draws.channels(), 1)


def _conv_grouped(draws: Draws) -> Made:
    window, groups = _dense_window(draws), draws.size(2, 64)
    inputs, outputs = draws.size(1, 32), draws.size(1, 32)
    return _weighted("conv", window, groups * inputs, groups * outputs, groups)


def _depthwise(
    kernels: Sequence[Pair], strides: Sequence[Pair], dilations: Sequence[Pair], draws: Draws
) -> Made:
    size, channels = draws.image(), draws.channels()
    window = _window(draws, size, draws.pick(kernels), draws.pick(strides), draws.pick(dilations))
    return _weighted("conv", window, channels, channels, channels)


def _square_depthwise(kernel: int, stride: int) -> Callable[[Draws], Made]:
    return functools.partial(_depthwise, ((kernel, kernel),), ((stride, stride),), (_UNIT,))


def _fully_connected(draws: Draws) -> Made:
    inputs, outputs = draws.channels(1, 2048), draws.channels()
    window = _window(draws, _UNIT, _UNIT, _UNIT, padded=False)
    return _weighted("linear", window, inputs, outputs, 1)


def _transposed(draws: Draws) -> Made:
    size, kernel, stride = draws.image(56), draws.pick((2, 3, 4)), draws.pick((1, 2, 2, 3))
    pad = min(draws.pick((0, 1)), kernel - 1)
    columns: dict[str, int] = {}
    for axis, sides in {"h": ("top", "bottom"), "w": ("left", "right")}.items():
        length = size[axis == "w"]
        result = (length - 1) * stride + kernel - 2 * pad
        if result < 1:
            raise UnfitError
        columns |= {f"in_{axis}": length, f"out_{axis}": result, f"kernel_{axis}": kernel}
        columns |= {f"stride_{axis}": stride, f"pad_{sides[0]}": pad, f"pad_{sides[1]}": pad}
    return _weighted("conv_transpose", columns, draws.channels(), draws.channels(), 1)


def _elementwise(kind: str, draws: Draws, **more: int) -> Made:
    return _same(kind, draws.image(), draws.channels(), **more)


def _product(draws: Draws) -> Made:
    size, channels = draws.image(), draws.channels()
    return _same("mul", size, channels, operands=2, groups=channels if draws.unit() < 0.5 else 1)


def _pool(kind: str, draws: Draws) -> Made:
    size, channels = draws.image(), draws.channels()
    kernel = draws.pick(
        ((2, 2), (2, 2), (3, 3), (3, 3), (4, 4), (5, 5), (7, 7), (1, 2), (2, 1), (1, 4), (3, 5))
    )
    stride = draws.pick((kernel, _UNIT, (2, 2)))
    window = _window(draws, size, kernel, stride)
    if window["pad_top"] + window["pad_bottom"] >= kernel[0] + 1:
        raise UnfitError
    return kind, _columns(**window, groups=channels, in_channels=channels, out_channels=channels)


def _global_pool(draws: Draws) -> Made:
    size, channels = draws.image(56), draws.channels()
    window = _window(draws, size, size, size, padded=False)
    return (
        "avg_pool",
        _columns(**window, groups=channels, in_channels=channels, out_channels=channels),
    )


def _softmax(draws: Draws) -> Made:
    return _same("softmax", (1, draws.pick((1, 1, 1, draws.size(1, 64)))), draws.size(2, 1000))


def _pad(draws: Draws) -> Made:
    size, channels = draws.image(), draws.channels()
    sides = {side: int(draws.unit() * 4) for side in ("pad_top", "pad_bottom", "pad_left", "pad_right")}
    height = size[0] + sides["pad_top"] + sides["pad_bottom"]
    width = size[1] + sides["pad_left"] + sides["pad_right"]
    made = _columns(in_h=size[0], in_w=size[1], out_h=height, out_w=width, in_channels=channels, **sides)
    return "pad", made | {"out_channels": channels}


def _upsample(draws: Draws) -> Made:
    size, channels, factor = (
        draws.image(56),
        draws.channels(),
        draws.pick(((2, 2), (2, 2), (3, 3), (1, 2), (4, 4))),
    )
    of = {"groups": channels, "in_channels": channels, "out_channels": channels}
    return "upsample", _columns(
        in_h=size[0], in_w=size[1], out_h=size[0] * factor[0], out_w=size[1] * factor[1], **of
    )


def _along(draws: Draws) -> tuple[int, tuple[int, int, int]]:
    """An axis, most often the channels, and a shape."""
    height, width = draws.image()
    return draws.pick((2, 2, 2, 0, 1)), (height, width, draws.channels())


_SIZES: Final = ("h", "w", "channels")


def _moved(
    kind: str, source: Sequence[int], result: Sequence[int], **more: int
) -> tuple[str, dict[str, int]]:
    sides = {"in": source, "out": result}
    named = {
        f"{side}_{name}": n for side, shape in sides.items() for name, n in zip(_SIZES, shape, strict=True)
    }
    return kind, _columns(**named, **more)


def _concat(draws: Draws) -> tuple[Made, Moves]:
    axis, first = _along(draws)
    count, total = draws.pick((2, 2, 3, 4)), list(first)
    step = draws.pick((1, 4, 8)) if axis == 2 else 1
    parts = (first[axis], *(-(-draws.size(1, 2 * first[axis]) // step) * step for _ in range(count - 1)))
    total[axis] = sum(parts)
    return _moved("concat", first, total, operands=count), Moves(axis, parts=parts)


def _slice(draws: Draws) -> tuple[Made, Moves]:
    axis, source = _along(draws)
    result = list(source)
    result[axis] = draws.size(1, source[axis])
    if result[axis] == source[axis]:
        raise UnfitError
    begin = int(draws.unit() * (source[axis] - result[axis] + 1))
    return _moved("slice", source, result), Moves(axis, begin=begin)


def _permute(draws: Draws) -> tuple[Made, Moves]:
    # Swapped rows and channels of a sequence, and what a change between channels first and last is in memory.
    order = draws.pick(((0, 2, 1), (1, 2, 0), (2, 0, 1)))
    _, source = _along(draws)
    if order == (0, 2, 1):
        source = (1, *source[1:])
    if min(source[1:] if order == (0, 2, 1) else source) == 1:
        raise UnfitError
    return _moved("permute", source, [source[axis] for axis in order]), Moves(order=order)


PLAIN: Final[Mapping[str, Callable[[Draws], Made]]] = {
    "conv_1x1": _conv_1x1,
    "conv_1xn": _conv_row,
    "conv": _conv,
    "conv_grouped": _conv_grouped,
    **{f"dw_{k}x{k}{'_s2' * (s == 2)}": _square_depthwise(k, s) for k in (3, 5, 7) for s in (1, 2)},
    "dw": functools.partial(
        _depthwise,
        (*_SQUARES, *_OBLONG, (1, 9), (9, 1), (9, 9), (6, 6)),
        (_UNIT, _UNIT, (2, 2), (1, 2), (3, 3)),
        (_UNIT, _UNIT, _UNIT, (2, 2)),
    ),
    "fc": _fully_connected,
    "conv_transpose": _transposed,
    "add": functools.partial(_elementwise, "add", operands=2),
    "mul": _product,
    "scale": functools.partial(_elementwise, "scale"),
    "batch_norm": functools.partial(_elementwise, "batch_norm"),
    "avg_pool": functools.partial(_pool, "avg_pool"),
    "global_avg_pool": _global_pool,
    "max_pool": functools.partial(_pool, "max_pool"),
    "softmax": _softmax,
    "lut": functools.partial(_elementwise, "sigmoid"),
    "pad": _pad,
    "upsample": _upsample,
}
MOVING: Final[Mapping[str, Callable[[Draws], tuple[Made, Moves]]]] = {
    "concat": _concat,
    "slice": _slice,
    "permute": _permute,
}
#: Kernel classes that can be sampled.
RECIPES: Final = (*PLAIN, *MOVING)
