"""From operators to kernels and buffers: what fuses, what each kernel reads, how long a buffer lives.

Works on steps whose facts may be symbolic, so that one set of rules serves a whole space, where what fuses can
depend on parameters, and one ONNX file, where every condition folds to true or false.

The rules, those of TFLite, CMSIS-NN and ONNX Runtime's integer kernels:

* a batch normalisation folds into the convolution or fully connected layer before it, and an activation into
  any kernel of `hannah_hw.workload.rows.CLAMPING`, if nothing else reads the value between; a batch
  normalisation only if it has that layer's channels;
* an activation folds once, and no batch normalisation folds behind it;
* a quantisation folds into any kernel if nothing else reads the value between: the kernel then writes as many
  bits; nothing folds behind it;
* a view writes nothing: its users read its operand's buffer.

A buffer has the bits of the quantisation that wrote it, else those of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hannah_hw.expressions import And, If, Not, Or, Scalar
from hannah_hw.workload.rows import CLAMPING, FOLDING, Row

#: Part of a row -> kernel kinds that it folds into; a quantisation folds into any.
_TAKING: Final = {"activation": CLAMPING, "affine": FOLDING}


@dataclass(frozen=True)
class Step:
    """One operator, graph input or choice, in execution order.

    Attributes:
        name: Id of the node.
        row: What the operator says of itself; None for a graph input and for a choice.
        operands: Positions of the steps that it takes data from.
        active: Whether the candidate has it.
        elements: Size of its output without the batch.
        conditions: For a choice: whether each operand is the chosen one.
        exists: What must hold for an active step to exist.
    """

    name: str
    row: Row | None
    operands: tuple[int, ...]
    active: Scalar
    elements: Scalar
    conditions: tuple[Scalar, ...] | None = None
    exists: Scalar = True


@dataclass
class _Source:
    """A buffer in which the value of a step may be.

    Attributes:
        condition: Whether it is there, given that the step is active.
        exclusive: Whether every value on the way from the buffer's kernel to the step is read only once.
        clamped: Whether an activation was folded into the kernel on the way.
        quantised: Whether a quantisation was.
    """

    condition: Scalar
    exclusive: Scalar
    clamped: Scalar = False
    quantised: Scalar = False


@dataclass
class Slot:
    """A kernel slot.

    Attributes:
        name: Id of the node.
        row: Its row.
        active: Whether the candidate has it as a kernel of its own.
        bits: Bits of a value that it writes.
        read_bits: Bits of a value of each of its data operands.
        activation: Index of the activation that it applies.
        folded: Whether an offset a channel is folded into it.
        reads: Position of a buffer's owner in `Fused.owners` -> whether the kernel reads that buffer.
    """

    name: str
    row: Row
    active: Scalar
    bits: Scalar
    read_bits: tuple[Scalar, ...] = ()
    activation: Scalar = 0
    folded: Scalar = False
    reads: dict[int, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Fused:
    """Kernels and buffers of a graph, symbolic or plain.

    Attributes:
        slots: Kernel slots in execution order.
        names: Buffers: graph inputs and kernels, in execution order.
        kinds: ``input`` or ``activation`` for each buffer.
        elements: Size of each buffer; 0 where the candidate does not have it.
        bits: Bits of a value of each buffer.
        first: First kernel slot during which each buffer is live.
        last: Last one.
        outputs: Whether each buffer is a graph output.
    """

    slots: list[Slot]
    names: list[str]
    kinds: list[str]
    elements: list[Scalar]
    bits: list[Scalar]
    first: list[Scalar]
    last: list[Scalar]
    outputs: list[Scalar]


def fuse(steps: Sequence[Step], outputs: Sequence[int], bits: int = 8) -> Fused:
    """Apply the fusion rules.

    Args:
        steps: The graph in execution order.
        outputs: Positions of the steps whose values are the graph's outputs.
        bits: Bits of a value that no quantisation wrote.
    """
    once = _read_once(steps, outputs)
    sources: list[dict[int, _Source]] = []
    slots: dict[int, Slot] = {}
    for position, step in enumerate(steps):
        if step.active is False:
            sources.append({})
            continue
        merged = _operand_sources(step, sources)
        row = step.row
        if row is None:
            own = {position: _Source(True, True)} if step.conditions is None else {}
        elif row.part == "kernel":
            slots[position] = Slot(step.name, row, step.active, bits)
            own, merged = {position: _Source(True, True)}, {}
        elif row.part == "view":
            own = {}
        else:
            folds = _folds(row, merged, slots)
            separate = And(step.active, Not(folds))
            clamps, quantises = row.part == "activation", row.part == "quantize"
            if separate is not False:
                width = row.bits if quantises else bits
                slots[position] = Slot(
                    step.name, row, separate, width, activation=row.activation if clamps else 0
                )
            _fold_into(row, merged, And(step.active, folds), slots)
            own = {} if folds is True else {position: _Source(Not(folds), True, clamps, quantises)}
            merged = {
                owner: _Source(
                    And(source.condition, folds),
                    source.exclusive,
                    clamps or source.clamped,
                    quantises or source.quantised,
                )
                for owner, source in merged.items()
                if folds is not False
            }
        values = {**merged, **own}
        for source in values.values():
            source.exclusive = And(source.exclusive, once[position])
        sources.append({owner: source for owner, source in values.items() if source.condition is not False})
    return _buffers(steps, outputs, sources, slots, bits)


def _read_once(steps: Sequence[Step], outputs: Sequence[int]) -> list[Scalar]:
    """Whether the value of each step is taken exactly once, as an operand or as an output."""
    uses: list[list[Scalar]] = [[] for _ in steps]
    for step in steps:
        for index, operand in enumerate(step.operands):
            taken = And(step.active, step.conditions[index]) if step.conditions is not None else step.active
            uses[operand].append(taken)
    for output in outputs:
        uses[output].append(True)
    result: list[Scalar] = []
    for reads in uses:
        certain = [use for use in reads if use is not False]
        if len(certain) <= 1:
            result.append(True)
            continue
        count: Scalar = 0
        for use in certain:
            count = count + If(use, 1, 0)
        result.append(count == 1)
    return result


def _operand_sources(step: Step, sources: list[dict[int, _Source]]) -> dict[int, _Source]:
    """Where the value that a view, a choice or a fused operator passes on may be."""
    merged: dict[int, _Source] = {}
    for index, operand in enumerate(step.operands):
        chosen: Scalar = True if step.conditions is None else step.conditions[index]
        for owner, source in sources[operand].items():
            condition = And(chosen, source.condition)
            if condition is False:
                continue
            if owner in merged:
                # The same buffer through several options of a choice: exactly one of them is taken.
                other = merged[owner]
                merged[owner] = _Source(
                    Or(other.condition, condition),
                    If(condition, source.exclusive, other.exclusive),
                    If(condition, source.clamped, other.clamped),
                    If(condition, source.quantised, other.quantised),
                )
            else:
                merged[owner] = _Source(condition, source.exclusive, source.clamped, source.quantised)
    return merged


def _folds(row: Row, sources: dict[int, _Source], slots: dict[int, Slot]) -> Scalar:
    """Whether an activation, a batch normalisation or a quantisation folds into whichever kernel it follows."""
    folds: Scalar = True
    for owner, source in sources.items():
        slot = slots.get(owner)
        possible: Scalar = False
        if slot is not None and (row.part == "quantize" or slot.row.kind in _TAKING[row.part]):
            possible = And(source.exclusive, row.part == "quantize" or Not(source.clamped))
            if source.quantised is not False:
                possible = And(possible, Not(source.quantised))
            if row.part == "affine":
                # A view between them may have turned the channels into other ones.
                possible = And(possible, slot.row.columns["out_channels"] == row.columns["in_channels"])
        folds = And(folds, Or(Not(source.condition), possible))
    return folds


def _fold_into(row: Row, sources: dict[int, _Source], active: Scalar, slots: dict[int, Slot]) -> None:
    for owner, source in sources.items():
        slot = slots.get(owner)
        applies = And(active, source.condition)
        if slot is None or applies is False:
            continue
        if row.part == "activation":
            slot.activation = If(applies, row.activation, slot.activation)
        elif row.part == "quantize":
            slot.bits = If(applies, row.bits, slot.bits)
        elif "bias" in row.columns:
            slot.folded = Or(slot.folded, applies)


def _buffers(
    steps: Sequence[Step],
    outputs: Sequence[int],
    sources: list[dict[int, _Source]],
    slots: dict[int, Slot],
    bits: int,
) -> Fused:
    """Lifetimes: from the kernel that writes a buffer to the last kernel that reads it."""
    order = {position: index for index, position in enumerate(slots)}
    end = max(len(order) - 1, 0)
    owners = [
        p
        for p, step in enumerate(steps)
        if p in slots or (step.row is None and step.conditions is None and step.active is not False)
    ]
    index_of = {owner: index for index, owner in enumerate(owners)}
    last: dict[int, Scalar] = {owner: order.get(owner, 0) for owner in owners}
    is_output: dict[int, Scalar] = dict.fromkeys(owners, False)
    widths: dict[int, Scalar] = {o: slots[o].bits if o in slots else bits for o in owners}
    for position, slot in slots.items():
        slot.read_bits = tuple(_width(sources[operand], widths, bits) for operand in steps[position].operands)
        for operand in steps[position].operands:
            for owner, source in sources[operand].items():
                reads = And(slot.active, source.condition)
                if reads is False:
                    continue
                known = slot.reads.get(index_of[owner], False)
                slot.reads[index_of[owner]] = Or(known, reads)
                last[owner] = _later(last[owner], reads, order[position])
    for output in outputs:
        for owner, source in sources[output].items():
            written = And(source.condition, slots[owner].active if owner in slots else steps[owner].active)
            is_output[owner] = Or(is_output[owner], written)
            last[owner] = _later(last[owner], written, end)
    return Fused(
        list(slots.values()),
        [steps[owner].name for owner in owners],
        ["activation" if owner in slots else "input" for owner in owners],
        [If(slots[o].active if o in slots else steps[o].active, steps[o].elements, 0) for o in owners],
        [widths[owner] for owner in owners],
        [order.get(owner, 0) for owner in owners],
        [last[owner] for owner in owners],
        [is_output[owner] for owner in owners],
    )


def _width(sources: dict[int, _Source], widths: dict[int, Scalar], bits: int) -> Scalar:
    """Bits of a value that is in exactly one of some buffers."""
    result: Scalar = bits
    for number, (owner, source) in enumerate(sources.items()):
        result = If(source.condition, widths[owner], result) if number else widths[owner]
    return result


def _later(last: Scalar, condition: Scalar, index: int) -> Scalar:
    """The later of a buffer's last use so far and a kernel slot that may read it; slots come in order."""
    return If(condition, index, last)
