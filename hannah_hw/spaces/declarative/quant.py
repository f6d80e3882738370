"""The process ``Quant``: bit widths of the convolutions of a network, each of which may be searched.

The convolutions are counted in the order in which blocks build them: in a block first those of the main path, then
that of the shortcut. Data is quantised as it enters a convolution, without a sign where it is never negative.
Fully connected layers and what lies between convolutions keep the bits of the deployment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from hannah_hw.blocks import MakeConvolution, convolutions_by, quantize
from hannah_hw.expressions import Expression, Scalar
from hannah_hw.graph import ChoiceOp, Node, Op, Tensor, resolve
from hannah_hw.graph.bits import FLOAT_BITS, MOST_BITS, is_width
from hannah_hw.operators import Conv1d, Conv2d, Quantize
from hannah_hw.spaces.declarative.checks import values_of
from hannah_hw.spaces.declarative.problems import Site, current_site, entered
from hannah_hw.spaces.declarative.registry import Network, Values, fail, process, warn

#: Kernel kinds whose result is negative only where an operand is.
_KEEPING_SIGN: Final = frozenset(
    {"add", "mul", "concat", "avg_pool", "max_pool", "upsample", "permute", "slice", "pad", "quantize"}
)
#: Kernel kinds whose result is never negative.
_POSITIVE: Final = frozenset({"softmax", "sigmoid", "hard_sigmoid"})


@dataclass(frozen=True)
class Widths:
    """Bit widths of a convolution.

    Attributes:
        weight: Of its weight.
        activation: Of the data that it reads.
    """

    weight: Scalar
    activation: Scalar


@process("Quant")
def quant(
    network: Network,
    *,
    nbit_w_list: Values[int] = 8,
    nbit_a_list: Values[int] = 8,
    skip_1st_layer: bool = True,
) -> Network:
    """Give the convolutions of a network bit widths.

    A list has one entry for each convolution of the default candidate, or one for each of the whole space. In the
    first case a convolution that only other candidates have takes the entry of the convolution before it.

    Args:
        network: The network.
        nbit_w_list: Bits of each weight value, 1 to 16, or 32 for none; one for all, or a list.
        nbit_a_list: Bits of each value that a convolution reads; one for all, or a list.
        skip_1st_layer: Whether the first convolution is not quantised and not counted.

    Raises:
        SpaceError: A list that is too short, or lists of different lengths (E_BITS); a number that is no bit width
            (E_BITRANGE); convolutions that have bits already (E_CONFLICT).
    """
    if quantised_convolutions(network.nodes):
        fail("E_CONFLICT", "", "another process gives convolutions their bits already; write one for all")
    site, skipped = current_site(), 1 if skip_1st_layer else 0
    lists = {"nbit_w_list": nbit_w_list, "nbit_a_list": nbit_a_list}
    lengths = [len(bits) for bits in lists.values() if isinstance(bits, list)]
    if len(set(lengths)) > 1:
        fail("E_BITS", "nbit_a_list", f"has {lengths[1]} entries, nbit_w_list has {lengths[0]}")
    declared = _convolutions(network)[skipped:]
    for field, bits in lists.items():
        _check(field, bits, declared)

    def rebuild() -> Network:
        # Another process may have given the network convolutions that only other candidates have.
        counted = _convolutions(network)[skipped:]
        pairs = zip(_spread(nbit_w_list, counted), _spread(nbit_a_list, counted), strict=True)
        widths = [None] * skipped + [Widths(weight, activation) for weight, activation in pairs]
        with convolutions_by(_Quantiser(widths, site)):
            return network.rebuild()

    return replace(rebuild(), rebuild=rebuild)


def quantised_convolutions(nodes: Iterable[Node]) -> dict[str, Widths]:
    """Convolution -> its bit widths, for those that have some, in the order of the nodes.

    Args:
        nodes: Of a network; `hannah_hw.SearchSpace.order` for a whole space.
    """
    found: dict[str, Widths] = {}
    for node in nodes:
        if isinstance(node, Conv1d | Conv2d):
            data, weight = node.operands[:2]
            if isinstance(data, Quantize) and isinstance(weight, Tensor) and weight.bits is not None:
                found[node.id] = Widths(weight.bits, data.bits)
    return found


class _Quantiser:
    """Builds the convolutions of one network with their bit widths.

    Convolutions that read the same data with the same bits share its quantisation.

    Args:
        widths: Of each convolution, in the order in which they are built; None for one without.
        site: The process in its document.
    """

    def __init__(self, widths: Sequence[Widths | None], site: Site) -> None:
        self._widths = iter(widths)
        self._site = site
        self._quantised: dict[tuple[str, float], Node] = {}

    def __call__(self, x: Node, make: MakeConvolution) -> Node:
        widths = next(self._widths)
        if widths is None:
            return make(x, None)
        bits = widths.activation
        key = (x.id, id(bits) if isinstance(bits, Expression) else bits)
        if key not in self._quantised:
            signed = not never_negative(x)
            with entered(self._site):
                if signed and 1 in values_of(bits, "nbit_a_list"):
                    text = f"can be 1, but {x.id} can be negative, so that one bit would be its sign; give 2 or more"
                    fail("E_BITRANGE", "nbit_a_list", text)
            self._quantised[key] = quantize(x, bits, signed=signed)
        return make(self._quantised[key], widths.weight)


def _convolutions(network: Network) -> list[bool]:
    """For each convolution in the order in which they are built, whether the default candidate has it."""
    built: list[Node] = []

    def record(x: Node, make: MakeConvolution) -> Node:
        built.append(make(x, None))
        return built[-1]

    with convolutions_by(record):
        plain = network.rebuild()
    active = {step.op.id for step in resolve(plain.nodes, [plain.output], {}).steps}
    return [node.id in active for node in built]


def _check(field: str, bits: Any, counted: Sequence[bool]) -> None:
    """Refuse numbers that are no bit widths, and a list that is too short; warn of one that is too long.

    Args:
        field: Field that holds the bits.
        bits: One for all convolutions, or a list.
        counted: For each convolution, whether the default candidate has it.
    """
    for index, value in enumerate(bits if isinstance(bits, list) else [bits]):
        place = f"{field}.{index}" if isinstance(bits, list) else field
        wrong = [width for width in values_of(value, place) if not is_width(width)]
        if wrong:
            fail(
                "E_BITRANGE",
                place,
                f"can be {wrong[0]}; allowed are 1 to {MOST_BITS}, and {FLOAT_BITS} for none",
            )
    needed = sum(counted)
    if not isinstance(bits, list) or len(bits) in (needed, len(counted)):
        return
    if len(bits) < needed:
        fail("E_BITS", field, f"has {len(bits)} entries, the network has {needed} quantisable convolutions")
    surplus = len(bits) - needed
    noun = "entry" if surplus == 1 else "entries"
    warn("W_BITS_UNUSED", f"has {surplus} trailing {noun} for {needed} quantisable convolutions", field=field)


def _spread(bits: Any, counted: Sequence[bool]) -> list[Scalar]:
    """The bits of each convolution; see `quant` for which entry of a list is whose."""
    if not isinstance(bits, list):
        return [bits] * len(counted)
    if len(bits) == len(counted):
        return bits
    positions = np.maximum(np.cumsum(counted) - 1, 0)
    return [bits[position] for position in positions]


def never_negative(node: Node) -> bool:
    """Whether no candidate has a negative value there, as is certain behind a ReLU."""
    stack, seen = [node], set()
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, ChoiceOp):
            stack.extend(current.operands)
            continue
        if not isinstance(current, Op):
            return False
        row = current.row()
        if row.part == "activation" or row.kind in _POSITIVE:
            continue
        if row.part != "view" and row.kind not in _KEEPING_SIGN:
            return False
        stack.extend(current.data_operands())
    return True
