"""Sliding windows: the arithmetic that convolution and pooling share, in one and two dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hannah_hw.errors import ModelError, SpaceError
from hannah_hw.expressions import Max, Scalar
from hannah_hw.graph import Op
from hannah_hw.graph.numbers import required, whole, whole_conditions

#: What may be given for padding: None (the default rule), ``"same"``, ``"valid"``, one number for all sides,
#: one a dimension, or (begin, ..., end, ...) as ONNX orders them.
Padding = Any


def per_dimension(value: Any, rank: int, name: str, least: int = 1) -> tuple[Scalar, ...]:
    """One whole number a spatial dimension, from one for all or from a sequence.

    Args:
        value: As given.
        rank: Number of dimensions.
        name: What it is, for messages.
        least: The smallest that a plain number may be.

    Raises:
        SpaceError: A sequence of another length, or something else.
    """
    if isinstance(value, tuple | list):
        if len(value) != rank:
            raise SpaceError(f"{name} is {value!r}; give one number, or {rank}, one a dimension")
        return tuple(whole(item, name, least) for item in value)
    return (whole(value, name, least),) * rank


def default_padding(kernel: Scalar, stride: Scalar, dilation: Scalar) -> Scalar:
    """Padding on both sides where none is given: ``ceil((d (k - 1) - s + 1) / 2)``, at least 0.

    An odd kernel keeps the size at stride 1 and halves it (rounded up) at stride 2.
    """
    # The integer form of rounding half of x up is adding 1 before the division.
    return Max((dilation * (kernel - 1) - stride + 2) // 2, 0)


def resolve_padding(
    padding: Padding,
    sizes: tuple[Scalar, ...],
    kernel: tuple[Scalar, ...],
    stride: tuple[Scalar, ...],
    dilation: tuple[Scalar, ...],
) -> tuple[tuple[Scalar, ...], tuple[Scalar, ...]]:
    """Padding before and after each spatial dimension.

    Args:
        padding: See `Padding`. ``"same"`` gives ``ceil(size / stride)`` outputs and puts the odd element at
            the end, as TensorFlow does.
        sizes: Spatial sizes of the input.
        kernel: Kernel sizes.
        stride: Strides.
        dilation: Dilations.

    Raises:
        SpaceError: Padding of another form.
    """
    rank = len(sizes)
    if padding is None:
        both = tuple(default_padding(k, s, d) for k, s, d in zip(kernel, stride, dilation, strict=True))
        return both, both
    if isinstance(padding, str):
        if padding == "valid":
            return (0,) * rank, (0,) * rank
        if padding != "same":
            raise SpaceError(f"padding is {padding!r}", allowed=["same", "valid"], given=padding)
        begin, end = [], []
        for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
            outputs = (size + s - 1) // s
            total = Max((outputs - 1) * s + d * (k - 1) + 1 - size, 0)
            begin.append(total // 2)
            end.append(total - total // 2)
        return tuple(begin), tuple(end)
    if not isinstance(padding, tuple | list):
        return (whole(padding, "padding"),) * rank, (whole(padding, "padding"),) * rank
    sides = tuple(whole(side, "padding") for side in padding)
    if len(sides) not in (rank, 2 * rank):
        raise SpaceError(
            f"padding is {padding!r}; give None, 'same', 'valid', a number, {rank} numbers (one a dimension) "
            f"or {2 * rank} (all beginnings, then all ends)"
        )
    return sides[:rank], sides[-rank:]


def output_sizes(
    sizes: tuple[Scalar, ...],
    kernel: tuple[Scalar, ...],
    stride: tuple[Scalar, ...],
    dilation: tuple[Scalar, ...],
    begin: tuple[Scalar, ...],
    end: tuple[Scalar, ...],
) -> tuple[Scalar, ...]:
    """``floor((size + padding - d (k - 1) - 1) / s) + 1`` for each dimension."""
    return tuple(
        (size + b + e - d * (k - 1) - 1) // s + 1
        for size, k, s, d, b, e in zip(sizes, kernel, stride, dilation, begin, end, strict=True)
    )


def padding_requirements(begin: tuple[Scalar, ...], end: tuple[Scalar, ...]) -> list[tuple[Scalar, str]]:
    """Padding that was given adds to its data and cuts nothing off.

    Args:
        begin: Padding before each spatial dimension.
        end: Padding behind it.
    """
    sides = (*begin, *end)
    conditions: list[Scalar] = [side >= 0 for side in sides if isinstance(side, int)]
    conditions += whole_conditions(sides, 0)
    return required(conditions, lambda: f"its padding is {sides}; no side may be negative")


def window_columns(
    sizes: tuple[Scalar, ...],
    outputs: tuple[Scalar, ...],
    kernel: tuple[Scalar, ...],
    stride: tuple[Scalar, ...],
    dilation: tuple[Scalar, ...],
    begin: tuple[Scalar, ...],
    end: tuple[Scalar, ...],
) -> dict[str, Scalar]:
    """Workload columns of a window; one dimension is a width, with height 1.

    Raises:
        SpaceError: Neither one nor two dimensions.
    """
    if len(sizes) not in (1, 2):
        raise SpaceError(f"windows have one or two dimensions; these have {len(sizes)}")
    columns: dict[str, Scalar] = {}
    for names, values in (
        (("in_h", "in_w"), sizes),
        (("out_h", "out_w"), outputs),
        (("kernel_h", "kernel_w"), kernel),
        (("stride_h", "stride_w"), stride),
        (("dilation_h", "dilation_w"), dilation),
        (("pad_top", "pad_left"), begin),
        (("pad_bottom", "pad_right"), end),
    ):
        columns.update(zip(names[-len(values) :], values, strict=True))
    return columns


def torch_pads(begin: tuple[Any, ...], end: tuple[Any, ...]) -> list[int]:
    """Padding in the order of ``torch.nn.functional.pad``: last dimension first."""
    return [side for b, e in zip(reversed(begin), reversed(end), strict=True) for side in (b, e)]


class WindowOp(Op):
    """Base of the operators that slide a window over data (N, C, spatial...).

    Args:
        stride: One number, or one a dimension.
        dilation: One number, or one a dimension.
        padding: See `Padding`.
    """

    inputs = 1

    def __init__(self, stride: Any, dilation: Any, padding: Padding) -> None:
        super().__init__()
        self.stride = stride
        self.dilation = dilation
        self.padding = padding

    def _kernel(self, rank: int) -> tuple[Scalar, ...]:
        """Sizes of the window, one a spatial dimension."""
        raise NotImplementedError

    def _outputs(self, *window: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        """Output sizes, from the arguments of `output_sizes`."""
        return output_sizes(*window)

    def _window(self) -> tuple[tuple[Scalar, ...], ...]:
        """Input sizes, output sizes, kernel, stride, dilation, padding before and after."""
        if "window" not in self._cache:
            sizes = self.operands[0].shape()[2:]
            rank = len(sizes)
            kernel = self._kernel(rank)
            stride = per_dimension(self.stride, rank, "stride")
            dilation = per_dimension(self.dilation, rank, "dilation")
            begin, end = resolve_padding(self.padding, sizes, kernel, stride, dilation)
            outputs = self._outputs(sizes, kernel, stride, dilation, begin, end)
            self._cache["window"] = sizes, outputs, kernel, stride, dilation, begin, end
        window: tuple[tuple[Scalar, ...], ...] = self._cache["window"]
        return window

    def requirements(self) -> list[tuple[Scalar, str]]:
        """The window fits into its padded input at least once in each dimension, and its steps are steps."""
        sizes, outputs, kernel, stride, dilation, begin, end = self._window()
        fits = required(
            [output >= 1 for output in outputs],
            lambda: f"a window of {kernel} does not fit into {sizes} with padding {(*begin, *end)}",
        )
        steps = required(
            whole_conditions((*kernel, *stride, *dilation), 1),
            lambda: (
                f"its kernel {kernel}, stride {stride} and dilation {dilation} must be whole numbers from 1 on"
            ),
        )
        if self.padding is None or isinstance(self.padding, str):
            return [*fits, *steps]
        return [*fits, *steps, *padding_requirements(begin, end)]


def onnx_window(attributes: Mapping[str, Any], rank: int) -> dict[str, Any]:
    """Stride, dilation and padding of an ONNX node, as arguments of a `WindowOp`.

    Args:
        attributes: The node's attributes.
        rank: Number of spatial dimensions.

    Raises:
        ModelError: Automatic padding that puts the odd element at the beginning.
    """
    padding: Padding = tuple(attributes.get("pads", (0,) * (2 * rank)))
    automatic = attributes.get("auto_pad", "NOTSET")
    if automatic not in ("NOTSET", ""):
        padding = {"SAME_UPPER": "same", "VALID": "valid"}.get(automatic)
        if padding is None:
            raise ModelError(f"it has auto_pad {automatic!r}; write explicit pads instead")
    return {
        "stride": tuple(attributes.get("strides", (1,) * rank)),
        "dilation": tuple(attributes.get("dilations", (1,) * rank)),
        "padding": padding,
    }
