"""The axes of a target that are searched together with networks.

A target's ``params`` become parameters like those of a space, with ids such as ``target.pe``. A candidate of a
co-search is a network and a value of each of them; `HardwareAxes.target` is the chip that its values describe.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from hannah_hw.errors import TargetError
from hannah_hw.parameters import Parameter
from hannah_hw.targets import Accelerator, Target
from hannah_hw.targets.amounts import Amount
from hannah_hw.targets.params import Param
from hannah_hw.targets.resolution import params_read, resolved_value

#: What the ids of a target's parameters begin with.
PREFIX: Final = "target."

#: Targets that are kept once they were read from their file with some values; each takes tens of kibibytes.
_KEPT: Final = 1 << 11


class AxisParameter(Parameter):
    """One of a target's ``params``; values are in the base unit of its dimension.

    Args:
        name: Its name in the target's file.
        param: What the file says of it.
        default: The declared starting point.

    Attributes:
        dimension: Of its values: ``count``, ``bytes``, ..., or ``word``.
    """

    def __init__(self, name: str, param: Param, default: Any) -> None:
        self._param = param
        self.dimension = param.dimension
        levels = param.values
        ordered = not any(isinstance(level, str) for level in levels)
        super().__init__(name, default, sorted(levels, key=float) if ordered else levels, ordered=ordered)
        self.id = PREFIX + name

    def new(self, rng: np.random.Generator | int | None = None) -> AxisParameter:
        """An independent parameter with the same name and values."""
        return AxisParameter(self.name, self._param, self.default)

    def _describe(self) -> str:
        return f"levels = {list(self.levels)}"

    def text(self, value: Any) -> str:
        """A value as a person reads it: ``64 KiB``."""
        return str(Amount(value, self.dimension))


class HardwareAxes:
    """The params of a target that are searched.

    Args:
        target: The target.
        fixed: Param -> the value of one that is not searched, as a file writes it or in the base unit.

    Attributes:
        base: The target with the fixed values, all others at their defaults.
        parameters: The searched ones.

    Raises:
        TargetError: An unknown param, or a value that it does not have; the target has no params.
    """

    def __init__(self, target: Target, fixed: Mapping[str, Any]) -> None:
        if not isinstance(target, Accelerator):
            if fixed:
                raise TargetError(f"the target {target.label} has no params, so no {', '.join(fixed)}")
            self.base: Target = target
            self.parameters: tuple[AxisParameter, ...] = ()
            return
        self._given = {**target.assignment, **fixed} if fixed else dict(target.assignment)
        base = target.with_params(self._given)
        self.base = base
        self.parameters = tuple(
            AxisParameter(name, param, base.assignment[name])
            for name, param in target.params.items()
            if name not in fixed and len(param.values) > 1
        )
        self._targets: dict[tuple[Any, ...], Accelerator | TargetError] = {}

    def __bool__(self) -> bool:
        return bool(self.parameters)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the parameters."""
        return tuple(parameter.id for parameter in self.parameters)

    def target(self, values: Sequence[Any]) -> Target:
        """The chip of some values, one a parameter.

        Raises:
            TargetError: The description cannot be with these values.
        """
        key = tuple(values)
        if not isinstance(self.base, Accelerator) or not key:
            return self.base
        if key not in self._targets:
            if len(self._targets) >= _KEPT:
                self._targets.clear()
            chosen = {p.name: value for p, value in zip(self.parameters, key, strict=True)}
            try:
                self._targets[key] = self.base.with_params({**self._given, **chosen})
            except TargetError as failure:
                self._targets[key] = failure
        found = self._targets[key]
        if isinstance(found, TargetError):
            raise found
        return found

    def section(self, name: str) -> Any:
        """A section of the target's file as it is written, with its ``${...}``; None where there is none."""
        document = self.base.written if isinstance(self.base, Accelerator) else None
        return None if document is None else document.data.get(name)

    def following(self, written: Any) -> tuple[AxisParameter, ...]:
        """The parameters that a text of the target's file, or the texts of a section, follow."""
        if not isinstance(self.base, Accelerator):
            return ()
        names = params_read(written, self.base.params)
        return tuple(parameter for parameter in self.parameters if parameter.name in names)

    def variants(
        self, path: tuple[str | int, ...], written: Any
    ) -> Iterator[tuple[dict[AxisParameter, Any], Any]]:
        """A part of the target's file for all combinations of the parameters that it follows.

        Args:
            path: Where it stands, for messages.
            written: The part with its ``${...}``.

        Returns:
            Pairs of parameter -> value and the part with these values in place.
        """
        target = self.base
        if not isinstance(target, Accelerator) or target.written is None:
            return
        others = {name: Amount(v, target.params[name].dimension) for name, v in target.assignment.items()}
        follows = self.following(written)
        for values in itertools.product(*(p.levels for p in follows)):
            chosen = {p.name: Amount(v, p.dimension) for p, v in zip(follows, values, strict=True)}
            filled = resolved_value(target.written, path, written, {**others, **chosen})
            yield dict(zip(follows, values, strict=True)), filled

    def described(self, assignment: Mapping[str, Any]) -> dict[str, str]:
        """Param -> value as a person reads it, of the searched ones."""
        return {p.name: p.text(assignment[p.id]) for p in self.parameters if p.id in assignment}
