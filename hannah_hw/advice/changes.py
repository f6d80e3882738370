"""What one might change of a network: one layer narrower, a window smaller, a stride earlier, a smaller input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hannah_hw.advice.elastic import SIZE, STRIDE, WIDTH, WINDOW, ElasticNetwork, Free
from hannah_hw.graph import Op

#: Most operators that a text names besides the first.
_NAMED: Final = 2


@dataclass(frozen=True)
class Change:
    """One change of a network.

    Attributes:
        kind: What is changed: ``out_channels``, ``kernel``, ``stride``, ``earlier_stride``, ``input``, ``parameter`` of
            a search space, or ``hardware``.
        kernels: Names of the operators, or ids of the parameters, that it changes.
        values: Free number or parameter -> its new value.
        text: What is done, as a person says it.
    """

    kind: str
    kernels: tuple[str, ...]
    values: Mapping[str, int]
    text: str

    @property
    def family(self) -> str:
        """What changes of much the same effect have in common, of which the best one is enough."""
        if self.kind == "parameter":
            return self.kernels[0]
        return "images" if self.kind in ("input", STRIDE) else self.kind


def changes(network: ElasticNetwork) -> list[Change]:
    """Every change that is tried; not all of them are networks."""
    by_node: dict[str, list[Free]] = {}
    for one in network.free.values():
        by_node.setdefault(one.node, []).append(one)
    found = [*_inputs(network), *_widths(network)]
    for name, numbers in by_node.items():
        found += [*_window(name, numbers), *_stride(network, name, by_node)]
    return found


def _inputs(network: ElasticNetwork) -> Iterator[Change]:
    """All inputs half as large."""
    sizes = [one for one in network.free.values() if one.kind == SIZE]
    if sizes:
        before, after = (
            " x ".join(str(value) for value in values)
            for values in ([one.value for one in sizes], [one.value // 2 for one in sizes])
        )
        yield Change(
            "input",
            tuple(dict.fromkeys(one.node for one in sizes)),
            {one.id: one.value // 2 for one in sizes},
            f"an input of {after} in place of {before}",
        )


def _widths(network: ElasticNetwork) -> Iterator[Change]:
    """Half the output channels of a layer, and of those that it shares them with."""
    for group in dict.fromkeys(network.groups.values()):
        ones = [one for name, one in network.free.items() if name in group]
        if len({one.value for one in ones}) > 1 or ones[0].value < 2:
            continue
        before, after = ones[0].value, ones[0].value // 2
        also = f", and with them those of {_listed([one.node for one in ones[1:]])}" if len(ones) > 1 else ""
        yield Change(
            WIDTH,
            tuple(one.node for one in ones),
            {one.id: after for one in ones},
            f"{after} output channels of {ones[0].node} in place of {before}{also}",
        )


def _listed(names: Sequence[str]) -> str:
    left = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {left} more" if left > 0 else "")


def _window(name: str, numbers: list[Free]) -> Iterator[Change]:
    """A window about half as large, if there is an odd one from 3 on."""
    wide = {one: (one.value // 2) | 1 for one in numbers if one.kind == WINDOW and one.value >= 5}
    if wide:
        before = " x ".join(str(one.value) for one in wide)
        after = " x ".join(map(str, wide.values()))
        values = {one.id: size for one, size in wide.items()}
        yield Change(WINDOW, (name,), values, f"a window of {after} in {name} in place of {before}")


def _stride(network: ElasticNetwork, name: str, by_node: Mapping[str, list[Free]]) -> Iterator[Change]:
    """A stride of 2 where there is none, or the stride of this operator in the window before it."""
    own = [one for one in by_node[name] if one.kind == STRIDE]
    if not own:
        return
    if all(one.value == 1 for one in own):
        if any(one.kind == WINDOW for one in by_node[name]):
            values = {one.id: 2 for one in own}
            yield Change(STRIDE, (name,), values, f"a stride of 2 in {name} in place of 1")
        return
    before = _window_before(network.nodes[name], by_node)
    earlier = [one for one in by_node.get(before, ()) if one.kind == STRIDE]
    if [one.axis for one in earlier] == [one.axis for one in own] and all(one.value == 1 for one in earlier):
        values = {one.id: other.value for one, other in zip(earlier, own, strict=True)}
        values |= {one.id: 1 for one in own}
        strides = " x ".join(dict.fromkeys(str(one.value) for one in own))
        text = f"the stride of {strides} in {before}, one layer earlier than in {name}"
        yield Change("earlier_stride", (before, name), values, text)


def _window_before(node: Op, by_node: Mapping[str, list[Free]]) -> str:
    """The nearest operator with a window that alone leads to one; empty where there is none."""
    while True:
        data = node.data_operands()
        if len(data) != 1 or not isinstance(data[0], Op):
            return ""
        node = data[0]
        if any(one.kind == STRIDE for one in by_node.get(node.id, ())):
            return node.id
