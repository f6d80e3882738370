"""What one kernel of TVM does: its loops, multiply-accumulates and scratch, read off its code."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from hannah_hw.lowering.tvm.legalising import Legaliser

#: Value of ``IterVar.iter_type`` for a loop that a result is summed over.
REDUCTION = 2


def element_bits(dtype: Any) -> int:
    """Bits of an element of a TVM type, as it lies in memory; a truth value takes eight."""
    digits = re.search(r"\d+", str(dtype))
    return max(8, int(digits.group())) if digits else 8


class Remembered:
    """A function of kernels, each of which it works out once: by their signature, the structure of their code.

    Args:
        make: What is asked of a ``tvm.tirx.PrimFunc``.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self._known: dict[int, list[tuple[Any, Any]]] = {}

    def __call__(self, function: Any) -> Any:
        """What there is to say of a kernel."""
        from tvm_ffi import structural_equal, structural_hash

        alike = self._known.setdefault(structural_hash(function), [])
        for other, known in alike:
            if structural_equal(other, function):
                return known
        made = self._make(function)
        alike.append((function, made))
        return made


class Primitives:
    """What is known of kernels from models before.

    Attributes:
        legalise: TVM's pass LegalizeOps, which remembers what operations become.
        facts: ``macs``, ``scratch_bytes``, ``loops`` and ``view`` of a kernel.
        features: See `hannah_hw.lowering.tvm.features.store_features`.
    """

    def __init__(self) -> None:
        from hannah_hw.lowering.tvm.features import store_features

        self.legalise = Legaliser()
        self.facts = Remembered(examine)
        self.features = Remembered(store_features)


def examine(function: Any) -> dict[str, Any]:
    """Read a kernel's code; see `Primitives.facts`."""
    from tvm.relax.analysis import has_reshape_pattern

    visitor = _Visitor()
    visitor.visit(function.body)
    return {
        "macs": visitor.macs,
        "scratch_bytes": visitor.scratch,
        "loops": visitor.loops,
        "view": bool(has_reshape_pattern(function)),
    }


class _Visitor:
    """Walks statements; blocks are the loop nests of unscheduled kernels."""

    def __init__(self) -> None:
        self.macs = 0
        self.scratch = 0
        self.loops: list[dict[str, Any]] = []

    def visit(self, statement: Any) -> None:
        kind = type(statement).__name__
        if kind == "SeqStmt":
            for part in statement.seq:
                self.visit(part)
        elif kind == "IfThenElse":
            self.visit(statement.then_case)
            if statement.else_case is not None:
                self.visit(statement.else_case)
        elif kind == "SBlockRealize":
            self._block(statement.block)
        elif getattr(statement, "body", None) is not None:
            self.visit(statement.body)

    def _block(self, block: Any) -> None:
        for buffer in block.alloc_buffers:
            elements = math.prod(int(size) for size in buffer.shape)
            self.scratch += elements * element_bits(buffer.dtype) // 8
        if len(block.iter_vars):
            extents = [int(axis.dom.extent) for axis in block.iter_vars]
            reduced = [int(axis.dom.extent) for axis in block.iter_vars if int(axis.iter_type) == REDUCTION]
            self.loops.append({"name": str(block.name_hint), "extents": extents, "reduced": reduced})
            if reduced and accumulates_products(block.body):
                self.macs += math.prod(extents)
        self.visit(block.body)


def accumulates_products(statement: Any) -> bool:
    """Whether a statement adds a product of two tensors' elements to what it writes."""
    if type(statement).__name__ != "BufferStore" or type(statement.value).__name__ != "Add":
        return False
    return any(
        type(term).__name__ == "Mul" and len(_loaded(term.a) | _loaded(term.b)) > 1
        for term in (statement.value.a, statement.value.b)
    )


def _loaded(expression: Any) -> set[Any]:
    """The tensors that a factor is read from, through conversions and the borders of a window."""
    kind = type(expression).__name__
    if kind == "TensorLoad":
        return {expression.source}
    if kind == "Cast":
        return _loaded(expression.value)
    if kind == "Call":
        return {source for argument in expression.args for source in _loaded(argument)}
    return set()
