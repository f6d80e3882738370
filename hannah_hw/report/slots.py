"""Slots of a drawing in layers: their order with few crossings by barycentres, and places that are straight.

See `hannah_hw.report.layers` for the method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

#: Passes down and up of ordering, and of placing.
_SWEEPS: Final = 8
#: How much straighter a line that passes a layer is kept than one that ends in it.
_STRAIGHT: Final = 4.0


@dataclass
class Slot:
    """A place in a layer: of a vertex, or of a line that passes.

    Attributes:
        vertex: Position of the vertex; None of a line.
        width: Of the vertex; 0 of a line.
        x: Of its middle.
    """

    vertex: int | None
    width: float
    x: float = 0.0


@dataclass(frozen=True)
class Piece:
    """A piece of a line between slots of neighbouring layers, or up to one above.

    Attributes:
        net: Name of what it carries.
        tail: Where it begins.
        head: Where it ends.
        leaves: x from the middle of the tail.
        enters: x from the middle of the head.
    """

    net: str
    tail: Slot
    head: Slot
    leaves: float
    enters: float


#: Slot -> its neighbours in the next layer, with the offsets of their line there and here.
_Near: TypeAlias = dict[int, list[tuple[Slot, float, float]]]


def order(layers: Sequence[list[Slot]], pieces: Sequence[Piece]) -> None:
    """Sort each layer by the mean position of its neighbours above, then below, several times.

    Args:
        layers: The slots of each layer; sorted in place.
        pieces: The lines between them.
    """
    above, below = _neighbours(pieces)
    position = {id(slot): float(i) for layer in layers for i, slot in enumerate(layer)}
    for sweep in range(_SWEEPS):
        near = below if sweep % 2 else above
        for layer in reversed(layers) if sweep % 2 else layers:
            wanted = {id(slot): _mean_position(slot, near, position) for slot in layer}
            ranked = sorted((wanted[id(slot)], index) for index, slot in enumerate(layer))
            layer[:] = [layer[index] for _, index in ranked]
            position.update((id(slot), float(i)) for i, slot in enumerate(layer))


def _mean_position(slot: Slot, near: _Near, position: Mapping[int, float]) -> float:
    """The mean position of a slot's neighbours, or its own."""
    found = [
        position[id(other)] + offset / max(other.width, 1.0) for other, offset, _ in near.get(id(slot), ())
    ]
    return sum(found) / len(found) if found else position[id(slot)]


def _neighbours(pieces: Sequence[Piece]) -> tuple[_Near, _Near]:
    """Slot -> (slot above, its offset, own offset), and the same for those below."""
    above: _Near = {}
    below: _Near = {}
    for piece in pieces:
        above.setdefault(id(piece.head), []).append((piece.tail, piece.leaves, piece.enters))
        below.setdefault(id(piece.tail), []).append((piece.head, piece.enters, piece.leaves))
    return above, below


def place(layers: Sequence[list[Slot]], pieces: Sequence[Piece], across: float) -> None:
    """Give each slot its x: near its neighbours, in the order of its layer, without overlaps.

    Args:
        layers: The slots of each layer, in order.
        pieces: The lines between them.
        across: Least distance of neighbours in a layer.
    """
    above, below = _neighbours(pieces)
    for layer in layers:
        _settle(layer, [0.0] * len(layer), across)
    for sweep in range(_SWEEPS + 1):
        near = below if sweep % 2 else above
        for layer in reversed(layers) if sweep % 2 else layers:
            wanted = []
            for slot in layer:
                found = [other.x + offset - own for other, offset, own in near.get(id(slot), ())]
                wanted.append(sum(found) / len(found) if found else slot.x)
            _settle(layer, wanted, across)


def _settle(layer: Sequence[Slot], wanted: Sequence[float], across: float) -> None:
    """The places nearest to those wanted, by least squares, that keep the order and the distances.

    Least squares under an order: neighbours that would overlap become a block with the mean of their wishes (the
    pool-adjacent-violators algorithm).
    """
    shift, shifts = 0.0, []
    for index, slot in enumerate(layer):
        if index:
            shift += (layer[index - 1].width + slot.width) / 2 + across
        shifts.append(shift)
    blocks: list[tuple[float, float, int]] = []
    for slot, x, moved in zip(layer, wanted, shifts, strict=True):
        mean, weight, count = x - moved, _STRAIGHT if slot.vertex is None else 1.0, 1
        while blocks and blocks[-1][0] > mean:
            other, heavy, many = blocks.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight, count = weight + heavy, count + many
        blocks.append((mean, weight, count))
    means = [mean for mean, _, count in blocks for _ in range(count)]
    for slot, mean, moved in zip(layer, means, shifts, strict=True):
        slot.x = mean + moved
