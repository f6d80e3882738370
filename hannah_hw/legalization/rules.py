"""The rules of a target as conditions over the parameters of a space.

The columns of a kernel slot of the compiled space are expressions over its parameters. A rule of the target reads
columns, so with expressions in their place it says which parameters the target can run. Where a rule follows params of
the target that are searched too, it is a condition over both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from hannah_hw.cost.accelerators.layers import MAC_KINDS
from hannah_hw.cost.accelerators.models import NETWORKS
from hannah_hw.expressions import And, Expression, If, Max, Min, Not, Or, Scalar
from hannah_hw.hardware import AxisParameter, HardwareAxes
from hannah_hw.quantities import parse_quantity
from hannah_hw.spaces import SearchSpace
from hannah_hw.spaces.constraints import Rule
from hannah_hw.targets import Accelerator, Host, Legality, OperatorRule, Target
from hannah_hw.targets.limits import limit_names, parse_limit
from hannah_hw.targets.load import legality
from hannah_hw.targets.rules import Rules
from hannah_hw.workload import WorkloadProgram
from hannah_hw.workload.table import KERNEL_COLUMNS

_NO_RULE: Final = "{kind}: the target has no rule for this operator"
#: Totals of a network that are sums over its kernels, whatever runs them.
_SUMS: Final = frozenset({"layers", "mac_layers", "weight_bytes", "biases", "macs", "flash_bytes"})
#: Bytes of a bias as accelerators store it.
_BIAS_BYTES: Final = 4
#: Most combinations of a target's params that a rule may follow to become a condition.
_VARIANTS: Final = 256
_RULES: Final[TypeAdapter[tuple[OperatorRule, ...]]] = TypeAdapter(Rules)


@dataclass
class TargetRules:
    """What a network must satisfy for a target to run it.

    Attributes:
        rules: Conditions that some network may fail.
        priced: Those that nothing but pricing can check, because they read what is no sum over kernels or follow too
            many params of the target.
    """

    rules: list[Rule] = field(default_factory=list)
    priced: list[Rule] = field(default_factory=list)


def target_rules(space: SearchSpace, target: Target, axes: HardwareAxes | None = None) -> TargetRules:
    """What a network of a space must satisfy for a target to run it.

    Args:
        space: The space.
        target: The target. A host, and one with a ``cpu_fallback``, run every operator.
        axes: The params of the target that are parameters of the space.
    """
    found = TargetRules()
    if not _runs_every_operator(target):
        _operator_rules(found, space.compiled, target, axes)
    if isinstance(target, Accelerator):
        _limits(found, space.compiled, target, axes)
    return found


def _runs_every_operator(target: Target) -> bool:
    return isinstance(target, Host) or (
        isinstance(target, Accelerator) and target.unsupported == "cpu_fallback"
    )


def _operator_rules(
    found: TargetRules, compiled: WorkloadProgram, target: Target, axes: HardwareAxes | None
) -> None:
    """Conditions on single kernels."""
    written = _written(target, "ops")
    variants = _variants(axes, ("ops",), written)
    if variants is None:
        found.priced.append(Rule(True, "ops: they follow too many params", ("network",)))
        return
    #: Condition and text -> kernels, and what must be otherwise for the condition not to count.
    entries: dict[Any, tuple[Scalar, str, dict[str, None], list[Scalar]]] = {}
    for guard, ops in variants:
        rules = legality(target.ops if ops is None else _RULES.validate_python(ops))
        seen = set()
        for name, kind, slot in zip(compiled.names, compiled.kinds, compiled.slots, strict=True):
            columns = dict(zip(KERNEL_COLUMNS, slot[1:], strict=True))
            for condition, text in kernel_conditions(rules, kind, columns):
                holds = Or(Not(slot[0]), condition)
                if holds is True:
                    continue
                key = (id(holds) if isinstance(holds, Expression) else holds, text)
                entry = entries.setdefault(key, (holds, text, {}, []))
                entry[2][name] = None
                if key not in seen:
                    seen.add(key)
                    entry[3].append(guard)
    for holds, text, kernels, guards in entries.values():
        # What counts for all values of the params counts whatever they are.
        whole = holds if len(guards) == len(variants) else And(*(Or(guard, holds) for guard in guards))
        found.rules.append(Rule(whole, text, tuple(kernels)))


def failed_by_samples(space: SearchSpace, target: Target, count: int = 64) -> list[str]:
    """Which rules keep random networks of a space from running, to say why none can.

    Args:
        space: The space, with conditions that some network satisfies.
        target: The target, with its params as they are.
        count: How many networks.

    Returns:
        Rules with their kernels, and how many of the networks fail each: those that fail the most first, until every
        network is told of that fails any. None of a target that runs every operator.
    """
    if _runs_every_operator(target):
        return []
    compiled, rules = space.compiled, legality(target.ops)
    kernels = space.workload(space.sample_population(count, 0)).kernels
    fails: dict[str, NDArray[np.bool_]] = {}
    nodes: dict[str, list[str]] = {}
    for slot, (name, kind) in enumerate(zip(compiled.names, compiled.kinds, strict=True)):
        columns = {column: kernels[column][:, slot] for column in KERNEL_COLUMNS}
        texts: tuple[str, ...] = (_NO_RULE.format(kind=kind),)
        failed = np.zeros(count, np.int16)
        if rules.covers(kind):
            texts, found = rules.rules, rules.failed(kind, columns)
            failed = np.full(count, -1, np.int16) if found is None else found
        failed = np.where(kernels.active[:, slot], failed, -1)
        for index in np.unique(failed[failed >= 0]).tolist():
            text = texts[index]
            fails[text] = fails.get(text, np.zeros(count, np.bool_)) | (failed == index)
            nodes.setdefault(text, []).append(name)
    told, shown = np.zeros(count, np.bool_), []
    while fails and (text := max(fails, key=lambda text: int((fails[text] & ~told).sum()))):
        if not (fails[text] & ~told).any():
            break
        told |= fails[text]
        shown.append(
            f"{Rule(True, text, tuple(nodes[text]))} ({fails[text].sum()} of {count} random networks)"
        )
    return shown


def _limits(
    found: TargetRules, compiled: WorkloadProgram, target: Accelerator, axes: HardwareAxes | None
) -> None:
    """Conditions on the whole network."""
    totals = _Totals(compiled)
    written = _written(target, "limits")
    written = written if isinstance(written, Mapping) else {}
    layers = target.limits.layers
    texts = [] if layers is None else [("layers", written.get("layers", layers), f"layers <= {layers}")]
    whens = written.get("when", target.limits.when)
    texts += [
        (f"when.{i}", raw, text) for i, (raw, text) in enumerate(zip(whens, target.limits.when, strict=True))
    ]
    for place, raw, text in texts:
        shown = f"limits: layers <= {raw}" if place == "layers" else f"limits: {raw}"
        variants = _variants(axes, ("limits", *place.split(".")), raw)
        if variants is None or not limit_names(text) <= _SUMS:
            found.priced.append(Rule(True, shown, ("network",)))
            continue
        parts = []
        for guard, given in variants:
            own = text if given is None else f"layers <= {given}" if place == "layers" else str(given)
            parts.append(Or(guard, _scalar(parse_limit(own)(totals))))
        whole = And(*parts)
        if whole is not True:
            found.rules.append(Rule(whole, shown, ("network",)))
    if axes is not None:
        # What is priced as a whole network stores other bytes than its weights have, such as compressed ones.
        counted = _SUMS - ({"flash_bytes"} if target.kind in NETWORKS else set())
        _capacities(found, totals, written, axes, counted)


def _capacities(
    found: TargetRules, totals: _Totals, written: Mapping[str, Any], axes: HardwareAxes, counted: Set[str]
) -> None:
    """Conditions that a network fits a chip whose memories are searched; on what is ``counted``, else left to pricing.

    Where they are not searched, capacities are constraints of a search, which may be replaced.
    """
    for name in ("flash_bytes", "ram_bytes"):
        raw = written.get(name)
        if raw is None or not axes.following(raw):
            continue
        text = f"limits: {name} <= {raw}"
        variants = _variants(axes, ("limits", name), raw)
        if variants is None or name not in counted:
            found.priced.append(Rule(True, text, ("network",)))
            continue
        total = _scalar(totals[name])
        fits = (Or(guard, total <= parse_quantity(size, "bytes")) for guard, size in variants)
        found.rules.append(Rule(And(*fits), text, ("network",)))


def _written(target: Target, section: str) -> Any:
    document = target.written if isinstance(target, Accelerator) else None
    return None if document is None else document.data.get(section)


def _variants(
    axes: HardwareAxes | None, path: tuple[str | int, ...], written: Any
) -> list[tuple[Scalar, Any]] | None:
    """A part of a target's file for all values of the params that it follows.

    Returns:
        Pairs of a condition that holds for all other values, and the part, or None in its place where it follows none;
        None where there are too many.
    """
    follows: tuple[AxisParameter, ...] = () if axes is None else axes.following(written)
    if axes is None or not follows:
        return [(False, None)]
    if math.prod(len(parameter.levels) for parameter in follows) > _VARIANTS:
        return None
    return [
        (Or(*(parameter != value for parameter, value in given.items())), part)
        for given, part in axes.variants(path, written)
    ]


def kernel_conditions(
    rules: Legality, kind: str, columns: Mapping[str, Scalar]
) -> Iterator[tuple[Scalar, str]]:
    """What a kernel must satisfy for a target to run it, each with the text of the rule.

    Args:
        rules: The rules of the target.
        kind: Kernel kind.
        columns: `KERNEL_COLUMNS` -> value.
    """
    alternatives = rules.alternatives(kind)
    if not alternatives:
        yield False, _NO_RULE.format(kind=kind)
        return
    symbols: Any = {name: _Symbol(value) for name, value in columns.items()}
    each = [
        [(_scalar(predicate(symbols)), predicate.text) for predicate in predicates]
        for predicates in alternatives
    ]
    if len(each) == 1:
        for condition, text in each[0]:
            yield condition, f"{kind}: {text}"
        return
    whole = Or(*(And(*(condition for condition, _ in conditions)) for conditions in each))
    texts = [" and ".join(text for _, text in conditions) for conditions in each]
    yield whole, f"{kind}: {' or else '.join(texts)}"


class _Totals(dict[str, "_Symbol"]):
    """Totals of a network as expressions: what its kernels add up to."""

    def __init__(self, compiled: WorkloadProgram) -> None:
        super().__init__(macs=_Symbol(compiled.macs))
        self._compiled = compiled

    def __missing__(self, name: str) -> _Symbol:
        total: Scalar = 0
        for kind, (active, *values) in zip(self._compiled.kinds, self._compiled.slots, strict=True):
            columns = dict(zip(KERNEL_COLUMNS, values, strict=True))
            part: Scalar = 1
            if name == "mac_layers":
                part = int(kind in MAC_KINDS)
            elif name == "weight_bytes":
                part = (columns["weights"] * columns["weight_bits"] + 7) // 8
            elif name == "biases":
                part = columns["bias"]
            elif name == "flash_bytes":
                part = (columns["weights"] * columns["weight_bits"] + 7) // 8 + _BIAS_BYTES * columns["bias"]
            total = total + If(active, part, 0)
        self[name] = _Symbol(total)
        return self[name]


class _Symbol:
    """A number or an expression that NumPy's functions can be applied to, as the programs of conditions do."""

    def __init__(self, value: Scalar) -> None:
        self.value = value

    def __array_ufunc__(self, function: np.ufunc, _method: str, *operands: Any) -> _Symbol:
        return _Symbol(_MEANINGS[function](*map(_scalar, operands)))


def _scalar(value: Any) -> Scalar:
    if isinstance(value, _Symbol):
        return value.value
    plain: Scalar = value.item() if isinstance(value, np.generic) else value
    return plain


def _compared(left: Scalar, right: Scalar) -> Scalar:
    return left == right


#: NumPy's function -> the same on numbers and expressions.
_MEANINGS: Final[Mapping[np.ufunc, Callable[..., Scalar]]] = {
    np.equal: _compared,
    np.not_equal: lambda left, right: left != right,
    np.less: lambda left, right: left < right,
    np.less_equal: lambda left, right: left <= right,
    np.greater: lambda left, right: left > right,
    np.greater_equal: lambda left, right: left >= right,
    np.add: lambda left, right: left + right,
    np.subtract: lambda left, right: left - right,
    np.multiply: lambda left, right: left * right,
    np.floor_divide: lambda left, right: left // right,
    np.remainder: lambda left, right: left % right,
    np.negative: lambda value: -value,
    np.maximum: Max,
    np.minimum: Min,
    np.logical_and: And,
    np.logical_or: Or,
    np.logical_not: Not,
}
