"""The rules of a target as conditions over the parameters of a space.

The columns of a kernel slot of the compiled space are expressions over its parameters. A rule of the target reads
columns, so with expressions in their place it says which parameters the target can run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from hannah_hw.expressions import And, Expression, If, Max, Min, Not, Or, Scalar
from hannah_hw.spaces import SearchSpace
from hannah_hw.spaces.constraints import Rule
from hannah_hw.targets import Accelerator, Legality, Target
from hannah_hw.targets.limits import limit_names, parse_limit
from hannah_hw.targets.load import legality
from hannah_hw.workload import WorkloadProgram
from hannah_hw.workload.table import KERNEL_COLUMNS

_NO_RULE: Final = "{kind}: the target has no rule for this operator"
#: Totals of a network that are sums over its kernels, whatever runs them.
_SUMS: Final = frozenset({"layers", "weight_bytes", "biases", "macs"})


def target_rules(space: SearchSpace, target: Target) -> list[Rule]:
    """What a network of a space must satisfy for a target to run it, as far as that is not certain.

    Args:
        space: The space.
        target: The target. One with a ``cpu_fallback`` runs every operator.

    Returns:
        A rule for each condition of the target that is not plain for every network.
    """
    found: dict[Any, tuple[Scalar, str, list[str]]] = {}
    compiled = space.compiled
    if _refuses(target):
        rules = legality(target.ops)
        for name, kind, slot in zip(compiled.names, compiled.kinds, compiled.slots, strict=True):
            active, columns = slot[0], dict(zip(KERNEL_COLUMNS, slot[1:], strict=True))
            for condition, text in kernel_conditions(rules, kind, columns):
                holds = Or(Not(active), condition)
                key = (id(holds) if isinstance(holds, Expression) else holds, text)
                found.setdefault(key, (holds, text, []))[2].append(name)
    if isinstance(target, Accelerator):
        for text in _limits(target):
            if _summed(text):
                whole = _scalar(parse_limit(text)(_Totals(compiled)))
                found[text] = (whole, f"limits: {text}", ["network"])
    return [Rule(holds, text, tuple(kernels)) for holds, text, kernels in found.values() if holds is not True]


def unread_limits(target: Target) -> list[Rule]:
    """The limits of a target on a whole network that only pricing can check, such as one on its live activations."""
    texts = _limits(target) if isinstance(target, Accelerator) else []
    unread = [text for text in texts if not _summed(text)]
    return [Rule(True, f"limits: {text}", ("network",)) for text in unread]


def _limits(target: Accelerator) -> list[str]:
    layers = target.limits.layers
    return ([] if layers is None else [f"layers <= {layers}"]) + list(target.limits.when)


def _summed(text: str) -> bool:
    """Whether a limit on a whole network reads nothing but sums over kernels."""
    return limit_names(text) <= _SUMS


class _Totals(dict[str, "_Symbol"]):
    """Totals of a network as expressions; those of `hannah_hw.targets.limits.TOTALS` that are sums over kernels."""

    def __init__(self, compiled: WorkloadProgram) -> None:
        super().__init__(macs=_Symbol(compiled.macs))
        self._compiled = compiled

    def __missing__(self, name: str) -> _Symbol:
        total: Scalar = 0
        for active, *values in self._compiled.slots:
            columns = dict(zip(KERNEL_COLUMNS, values, strict=True))
            part: Scalar = 1
            if name == "weight_bytes":
                part = (columns["weights"] * columns["weight_bits"] + 7) // 8
            elif name == "biases":
                part = columns["bias"]
            total = total + If(active, part, 0)
        self[name] = _Symbol(total)
        return self[name]


def _refuses(target: Target) -> bool:
    """Whether there are kernels that a target cannot run."""
    return not (isinstance(target, Accelerator) and target.unsupported == "cpu_fallback")


def kernel_conditions(rules: Legality, kind: str, columns: Mapping[str, Scalar]) -> list[tuple[Scalar, str]]:
    """What a kernel must satisfy for a target to run it, each with the text of the rule.

    Args:
        rules: The rules of the target.
        kind: Kernel kind.
        columns: `KERNEL_COLUMNS` -> value.
    """
    alternatives = rules.alternatives(kind)
    if not alternatives:
        return [(False, _NO_RULE.format(kind=kind))]
    symbols = {name: _Symbol(value) for name, value in columns.items()}
    each = [
        [(_scalar(predicate(symbols)), predicate.text) for predicate in predicates]  # type: ignore[arg-type]
        for predicates in alternatives
    ]
    if len(each) == 1:
        return [(condition, f"{kind}: {text}") for condition, text in each[0]]
    whole = Or(*(And(*(condition for condition, _ in conditions)) for conditions in each))
    texts = [" and ".join(text for _, text in conditions) for conditions in each]
    return [(whole, f"{kind}: {' or else '.join(texts)}")]


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
