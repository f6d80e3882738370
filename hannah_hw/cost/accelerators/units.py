"""Which unit of an accelerator runs a kernel, and which rule refuses it where none does.

The rules of a target are tried in order; the first one whose conditions all hold allows a kernel, and may say what runs
it. Otherwise the array does, if the target's cost model prices kernels of that kind on it, else the vector unit. What
no rule allows, and what would need a vector unit that the target does not have, runs on the processor beside the
accelerator if the target says ``unsupported: cpu_fallback``; else it cannot run.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.book import Book
from hannah_hw.cost.accelerators.layers import MAC_KINDS
from hannah_hw.cost.accelerators.models import priced_kinds
from hannah_hw.targets import Accelerator
from hannah_hw.targets.load import legality
from hannah_hw.workload.table import KERNEL_COLUMNS, KERNEL_KINDS

IntArray = NDArray[np.int64]

#: What runs kernels, as rules name it and as reports do.
UNITS: Final = ("array", "vector", "cpu")
TITLES: Final = {"array": "array", "vector": "vector unit", "cpu": "cpu"}
ARRAY, VECTOR, CPU = range(3)

_NO_RULE: Final = "{kind}: the target has no rule for this operator"
_NO_KIND: Final = "{kind}: no cost model knows this operator"
_NO_VECTOR: Final = "{kind}: the target has no vector unit to run this operator"
_NO_CPU: Final = "{kind}: the target has no cpu_fallback to run this operator"


def settle(book: Book, rows: IntArray, target: Accelerator) -> None:
    """Decide for distinct kernels what runs them.

    Args:
        book: Its table of kernels is filled: ``unit``, an index into `UNITS` or -1, and ``refused``, the rule that kept
            a kernel from running, or from running on the accelerator; -1 where there was none.
        rows: The kernels, by their rows.
        target: The target.
    """
    kinds = book.kernels["kind"][rows]
    for number in np.unique(kinds).tolist():
        mine = rows[kinds == number]
        units, refused = _settled(book, mine, book.names[number], target)
        book.kernels["unit"][mine] = units
        book.kernels["refused"][mine] = refused
    book.kernels["bytes"][rows] = weight_bytes(
        book.kernels["weights"][rows], book.kernels["weight_bits"][rows], book.kernels["bias"][rows]
    )


def weight_bytes(weights: IntArray, bits: IntArray, bias: IntArray) -> IntArray:
    """Bytes of weights and of biases, of which each takes 4."""
    size: IntArray = (weights * bits + 7) // 8 + 4 * bias
    return size


def _settled(book: Book, rows: IntArray, kind: str, target: Accelerator) -> tuple[IntArray, IntArray]:
    """Units of kernels of one kind, and the rules that refused them."""
    units, refused = np.full((2, len(rows)), -1, np.int64)
    if kind not in KERNEL_KINDS:
        # Nothing is known of its columns, so that no processor can be priced either.
        refused[:] = book.rule(_NO_KIND.format(kind=kind))
        return units, refused
    rules = legality(target.ops)
    if not rules.covers(kind):
        refused[:] = book.rule(_NO_RULE.format(kind=kind))
    else:
        columns = {name: book.kernels[name][rows] for name in KERNEL_COLUMNS}
        failed = rules.failed(kind, columns)
        if failed is not None:
            texts = np.array([book.rule(text) for text in rules.rules], np.int64)
            refused = np.where(failed >= 0, texts[failed], -1)
        units = np.where(refused < 0, _first(kind, columns, target), -1)
    for unit, there, text in (
        (VECTOR, target.vector is not None, _NO_VECTOR),
        (CPU, target.cpu_fallback is not None, _NO_CPU),
    ):
        if not there and (units == unit).any():
            refused = np.where(units == unit, book.rule(text.format(kind=kind)), refused)
            units = np.where(units == unit, -1, units)
    if target.unsupported == "cpu_fallback":
        units = np.where(units < 0, CPU, units)
    return units, refused


def _first(kind: str, columns: dict[str, IntArray], target: Accelerator) -> IntArray:
    """(M,) the unit that the first rule names which holds."""
    usual = ARRAY if kind in MAC_KINDS or kind in priced_kinds(target) else VECTOR
    rules = [rule for rule in target.ops if kind in rule.kinds]
    conditions = legality(target.ops).alternatives(kind)
    units = np.full(len(columns["macs"]), -1)
    for rule, predicates in zip(rules, conditions, strict=True):
        holds = units < 0
        for predicate in predicates:
            holds = holds & predicate(columns)
        units[holds] = usual if rule.unit is None else UNITS.index(rule.unit)
    return units
