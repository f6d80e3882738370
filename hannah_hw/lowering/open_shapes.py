"""Shapes of a model's inputs where its file leaves sizes open.

A size that has a name is the same wherever the model uses that name, so that one given shape can fix several inputs.
What nobody gives is taken as 1 where it is the batch: the first size of an input whose others are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hannah_hw.errors import ModelError

#: Sizes of an input as a file declares them: a number, or a name or nothing where it is open.
Declared = Sequence[int | str | None]
#: Shapes that a user gives: by input name, or that of the only input.
GivenShapes = Mapping[str, Sequence[int]] | Sequence[int]

#: What exporters write for a size of which they know nothing; two of them need not be the same.
_NAMELESS: Final = ("", "?", "None", "-1")
#: What the example in a message has for an open size that is no batch.
_EXAMPLE: Final = 16


def closed_shapes(
    inputs: Mapping[str, Declared], given: GivenShapes | None, *, where: str
) -> dict[str, tuple[int, ...]]:
    """Input name -> shape, every size a number.

    Args:
        inputs: Input name -> sizes; one that is no positive number is open.
        given: What the user gave; of inputs whose sizes are all known, nothing is needed.
        where: File name, for messages.

    Raises:
        ModelError: A shape of no input or one that does not fit, or a size is left open.
    """
    named = _by_name(inputs, given, where)
    sizes = {name: [_size(size) for size in declared] for name, declared in inputs.items()}
    for name, shape in named.items():
        _check(name, inputs[name], shape, where)
    bound: dict[str, int] = {}
    for name in [*named, *sizes]:
        if name in named:
            sizes[name] = list(named[name])
        _spread(inputs, sizes, bound, name)
    for name, found in sizes.items():
        if None in found[:1] and None not in found[1:]:
            found[0] = 1
            _spread(inputs, sizes, bound, name)
    left = [name for name in sizes if None in sizes[name]]
    if left:
        raise ModelError(_question(inputs, sizes, left), where=where)
    return {name: tuple(size for size in found if size is not None) for name, found in sizes.items()}


def _by_name(
    inputs: Mapping[str, Declared], given: GivenShapes | None, where: str
) -> dict[str, tuple[int, ...]]:
    """What the user gave, by input name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(inputs) != 1:
            raise ModelError(
                f"the model has the inputs {', '.join(inputs)}; give a shape for each by name", where=where
            )
        given = dict.fromkeys(inputs, given)
    unknown = next((name for name in given if name not in inputs), None)
    if unknown is not None:
        raise ModelError(f"the model has no input {unknown!r}", where=where, allowed=inputs, given=unknown)
    return {name: tuple(int(size) for size in shape) for name, shape in given.items()}


def _size(declared: int | str | None) -> int | None:
    return declared if isinstance(declared, int) and declared > 0 else None


def _check(name: str, declared: Declared, shape: tuple[int, ...], where: str) -> None:
    """Refuse a shape that contradicts what the file declares."""
    fits = len(shape) == len(declared) and min(shape, default=1) > 0
    pairs = zip(map(_size, declared), shape, strict=False)
    if not fits or any(known not in (None, size) for known, size in pairs):
        raise ModelError(
            f"the shape {shape} does not fit the input {name!r}, which is {_written(declared)}", where=where
        )


def _spread(
    inputs: Mapping[str, Declared], sizes: dict[str, list[int | None]], bound: dict[str, int], name: str
) -> None:
    """Remember what sizes the names of one input stand for, and fill them in where others have them."""
    for label, size in zip(inputs[name], sizes[name], strict=True):
        if isinstance(label, str) and label not in _NAMELESS and size is not None:
            bound.setdefault(label, size)
    for other, declared in inputs.items():
        for axis, label in enumerate(declared):
            if sizes[other][axis] is None and isinstance(label, str):
                sizes[other][axis] = bound.get(label)


def _question(
    inputs: Mapping[str, Declared], sizes: Mapping[str, Sequence[int | None]], left: Sequence[str]
) -> str:
    """Which sizes are open, and how to give them."""
    name = left[0]
    example = [
        size or (1 if axis == 0 and len(sizes[name]) > 1 else _EXAMPLE)
        for axis, size in enumerate(sizes[name])
    ]
    text = ",".join(map(str, example))
    others = f"; {', '.join(map(repr, left[1:]))} too" if len(left) > 1 else ""
    return (
        f"the input {name!r} has the dynamic shape {_written(inputs[name])}; give one with --shape, "
        f"for example --shape {text if len(inputs) == 1 else f'{name}={text}'}{others}"
    )


def _written(declared: Declared) -> str:
    """Sizes as a message shows them."""
    texts = (str(_size(size) or (size if isinstance(size, str) and size else "?")) for size in declared)
    return f"({', '.join(texts)})"
