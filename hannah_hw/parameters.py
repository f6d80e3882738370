"""The parameters of a search space: the leaves of its expressions.

A parameter never holds a current value: values live in assignments (`hannah_hw.spaces.Assignment`). Its
``default`` is the declared starting point. The ``id`` is given when the parameter first becomes part of a
graph: the id of the node that uses it, a dot, and its name; a shared parameter belongs to its first user.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from copy import copy as shallow_copy
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import SpaceError
from hannah_hw.expressions import Expression
from hannah_hw.expressions.nodes import operation

FloatArray = NDArray[np.float64]

#: Largest number of subsets that a `SubsetParameter` may have.
MAX_SUBSETS: Final = 1 << 16

#: Decimal digits behind the first one that values of a `FloatScalarParameter` are told apart by.
_DIGITS: Final = 5


class Parameter(Expression):
    """Base class of parameters.

    Attributes:
        name: What the author called it; may be empty, then the attribute it is used for names it.
        id: Unique in its graph; empty until a node uses the parameter.
        default: The value where an assignment gives none.
        levels: All values in order; empty for a continuous parameter.
        ordered: Whether neighbouring levels are alike (a number) or not (a category).
        numeric: Whether all values are numbers; otherwise only ``==`` and ``!=`` work on the parameter.
        categories: The values where they are no numbers, else None.
        weights: Probability of each level in a sample; None where all are equally likely.
        places: Position of each level among those of the origin.
    """

    weights: FloatArray | None = None
    _origin: Parameter | None = None

    def __init__(
        self,
        name: str,
        default: Any,
        levels: Sequence[Any],
        *,
        ordered: bool,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        self.name = name
        self.id = ""
        self.default = default
        self.levels = tuple(levels)
        self.ordered = ordered
        self.numeric = all(isinstance(v, int | float) for v in self.levels)
        self.whole = bool(self.levels) and all(isinstance(v, int) for v in self.levels)
        self.categories = None if self.numeric else self.levels
        self.places: Sequence[int] = range(len(self.levels))
        self._seed = rng
        self._rng: np.random.Generator | None = None
        self.check(default)

    @property
    def rng(self) -> np.random.Generator:
        """The generator of `sample` when it is called without one; seeded with 0 if none was given."""
        if self._rng is None:
            self._rng = np.random.default_rng(0 if self._seed is None else self._seed)
        return self._rng

    @property
    def origin(self) -> Parameter:
        """The parameter that expressions hold: this one, or the one that it was narrowed from."""
        return self if self._origin is None else self._origin

    def check(self, value: Any) -> None:
        """Raise `SpaceError` if a value is not one of the parameter's."""
        if value not in self.levels:
            raise SpaceError(
                f"{self.id or self.name or 'parameter'} is {value!r}, not one of {_listing(self.levels)}"
            )

    def sample(self, rng: np.random.Generator | None = None) -> Any:
        """A random value, uniform over the levels unless they have weights."""
        rng = rng or self.rng
        if self.weights is None:
            return self.levels[int(rng.integers(len(self.levels)))]
        return self.levels[int(rng.choice(len(self.levels), p=self.weights))]

    def new(self, rng: np.random.Generator | int | None = None) -> Parameter:
        """An independent parameter with the same name and values."""
        raise NotImplementedError

    def narrowed(self, positions: Sequence[int]) -> Self:
        """The same parameter with some of its levels only; it stands for its `origin` in a matrix view.

        The default is the level that is left nearest to it. Levels keep their probabilities relative to each other.

        Args:
            positions: Of the levels that stay, ascending; at least one.
        """
        copy = shallow_copy(self)
        copy._origin = self.origin
        copy.levels = tuple(self.levels[position] for position in positions)
        copy.places = tuple(self.places[position] for position in positions)
        if self.default not in copy.levels:
            before = self.levels.index(self.default)
            nearest = min(range(len(positions)), key=lambda index: abs(positions[index] - before))
            copy.default = copy.levels[nearest if self.ordered or self.numeric else 0]
        if self.weights is not None:
            left = self.weights[list(positions)]
            copy.weights = left / left.sum()
        return copy

    def _describe(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        rng = f"{type(self.rng).__name__}({type(self.rng.bit_generator).__name__})"
        return (
            f"{type(self).__name__}(rng = {rng}, "
            f"name = {self.name}, id = {self.id or None}, {self._describe()}, current_value = {self.default})"
        )

    def __str__(self) -> str:
        return self.id or self.name or repr(self)


class IntScalarParameter(Parameter):
    """An integer ``min, min + step_size, ...`` up to ``max``; the default is ``min``.

    With ``log`` an integer is sampled with a probability proportional to its inverse, which is the density of a
    number whose logarithm is uniform: 8 to 16 is as likely as 64 to 128.
    """

    def __init__(
        self,
        min: int,
        max: int,
        step_size: int = 1,
        name: str = "",
        rng: np.random.Generator | int | None = None,
        *,
        default: int | None = None,
        log: bool = False,
    ) -> None:
        if any(isinstance(v, bool) or not isinstance(v, int) for v in (min, max, step_size)):
            raise SpaceError(
                f"min, max and step_size of the parameter {name!r} are {min!r}, {max!r} and {step_size!r}; "
                "they must be integers"
            )
        if step_size < 1 or max < min:
            raise SpaceError(
                f"the integers from {min} to {max} in steps of {step_size} are none; parameter {name!r}"
            )
        _check_log(log, min, name)
        self.min, self.max, self.step_size, self.log = min, max, step_size, log
        super().__init__(
            name, min if default is None else default, range(min, max + 1, step_size), ordered=True, rng=rng
        )
        if log:
            density = 1.0 / np.array(self.levels, np.float64)
            self.weights = density / density.sum()

    def new(self, rng: np.random.Generator | int | None = None) -> IntScalarParameter:
        """An independent parameter with the same name and values."""
        return IntScalarParameter(
            self.min, self.max, self.step_size, self.name, rng, default=self.default, log=self.log
        )

    def _describe(self) -> str:
        log = ", log = True" if self.log else ""
        return f"min = {self.min}, max = {self.max}, step_size = {self.step_size}{log}"


class FloatScalarParameter(Parameter):
    """A real number from ``min`` to ``max``; the default is ``min``.

    With ``log`` the logarithm is what is uniform, in samples and in steps of a search. Candidates have values of
    some five decimal digits, so that 1.0 stays 1.0 and equal values are equal candidates: multiples of the largest
    power of ten that is at most a hundred thousandth of the range; with ``log``, six significant digits.
    """

    def __init__(
        self,
        min: float,
        max: float,
        name: str = "",
        rng: np.random.Generator | int | None = None,
        *,
        default: float | None = None,
        log: bool = False,
    ) -> None:
        if not max >= min:
            raise SpaceError(f"there is no number from {min} to {max}; parameter {name!r}")
        _check_log(log, min, name)
        self.min, self.max, self.log = float(min), float(max), log
        self._decimals = _DIGITS - math.floor(math.log10(self.max - self.min)) if max > min else 0
        super().__init__(name, self.min if default is None else default, (), ordered=True, rng=rng)

    def check(self, value: Any) -> None:
        """Raise `SpaceError` if a value is not a number in the range."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.min <= value <= self.max:
            raise SpaceError(
                f"{self.id or self.name} is {value!r}, not a number from {self.min} to {self.max}"
            )

    def at(self, position: FloatArray) -> FloatArray:
        """The values at positions from 0 (``min``) to 1 (``max``)."""
        if self.max == self.min:
            return np.full(np.shape(position), self.min)
        if self.log:
            values = self.min * (self.max / self.min) ** np.asarray(position)
            tens = 10.0 ** np.abs(power := np.floor(np.log10(values)) - _DIGITS)
            values = np.where(power < 0, np.rint(values * tens) / tens, np.rint(values / tens) * tens)
        else:
            values = np.round(self.min + position * (self.max - self.min), self._decimals)
        return np.clip(values, self.min, self.max)

    def value_at(self, position: float) -> float:
        """The value at one position, exactly that of `at`."""
        return float(self.at(np.array([position]))[0])

    def positions(self, values: FloatArray) -> FloatArray:
        """Where values are between ``min`` (0) and ``max`` (1)."""
        if self.max == self.min:
            return np.zeros(np.shape(values))
        if self.log:
            return np.asarray(np.log(values / self.min) / np.log(self.max / self.min))
        return np.asarray((values - self.min) / (self.max - self.min))

    def snapped(self, positions: FloatArray) -> FloatArray:
        """The positions of the values at some positions, which are what a canonical row holds."""
        return self.positions(self.at(np.clip(positions, 0.0, 1.0)))

    def sample(self, rng: np.random.Generator | None = None) -> float:
        """A random value, uniform in the range, or its logarithm is."""
        rng = rng or self.rng
        return self.value_at(rng.random())

    def new(self, rng: np.random.Generator | int | None = None) -> FloatScalarParameter:
        """An independent parameter with the same name and values."""
        return FloatScalarParameter(self.min, self.max, self.name, rng, default=self.default, log=self.log)

    def _describe(self) -> str:
        return f"min = {self.min}, max = {self.max}{', log = True' if self.log else ''}"


class CategoricalParameter(Parameter):
    """One of some choices; the default is the first. Choices that are all numbers can be computed with."""

    def __init__(
        self,
        choices: Iterable[Any],
        name: str = "",
        rng: np.random.Generator | int | None = None,
        *,
        default: Any = None,
    ) -> None:
        self.choices = [plain_value(choice) for choice in choices]
        if not self.choices:
            raise SpaceError(f"the parameter {name!r} has no choices")
        _check_distinct(self.choices, name)
        super().__init__(
            name, self.choices[0] if default is None else default, self.choices, ordered=False, rng=rng
        )

    def new(self, rng: np.random.Generator | int | None = None) -> CategoricalParameter:
        """An independent parameter with the same name and values."""
        return CategoricalParameter(self.choices, self.name, rng, default=self.default)

    def _describe(self) -> str:
        return f"choices = {self.choices}"


class SubsetParameter(Parameter):
    """A subset of some choices, as a tuple in their order, with ``min`` to ``max`` members."""

    def __init__(
        self,
        choices: Iterable[Any],
        min: int,
        max: int,
        name: str = "",
        rng: np.random.Generator | int | None = None,
        *,
        default: tuple[Any, ...] | None = None,
    ) -> None:
        self.choices = [plain_value(choice) for choice in choices]
        _check_distinct(self.choices, name)
        self.min, self.max = min, max
        if not 0 <= min <= max <= len(self.choices):
            raise SpaceError(
                f"the parameter {name!r} wants {min} to {max} of {len(self.choices)} choices; "
                "give 0 <= min <= max <= number of choices"
            )
        sizes = range(min, max + 1)
        subsets = list(
            itertools.islice(
                itertools.chain.from_iterable(itertools.combinations(self.choices, n) for n in sizes),
                MAX_SUBSETS + 1,
            )
        )
        if len(subsets) > MAX_SUBSETS:
            raise SpaceError(
                f"the parameter {name!r} has more than {MAX_SUBSETS} subsets; use one parameter a choice"
            )
        super().__init__(name, subsets[0] if default is None else default, subsets, ordered=False, rng=rng)

    def contains(self, choice: Any) -> Expression:
        """The condition that a choice is in the subset."""
        return operation("lookup", self, table=tuple(choice in subset for subset in self.levels))  # type: ignore[return-value]

    def new(self, rng: np.random.Generator | int | None = None) -> SubsetParameter:
        """An independent parameter with the same name and values."""
        return SubsetParameter(self.choices, self.min, self.max, self.name, rng, default=self.default)

    def _describe(self) -> str:
        return f"choices = {self.choices}, min = {self.min}, max = {self.max}"


def plain_value(choice: Any) -> Any:
    """A value that compares and hashes: NumPy's numbers as Python's, a list as a tuple, inside it too."""
    if isinstance(choice, np.generic):
        return choice.item()
    return tuple(plain_value(part) for part in choice) if isinstance(choice, list | tuple) else choice


def _check_log(log: bool, low: float, name: str) -> None:
    if log and low <= 0:
        raise SpaceError(f"min of the parameter {name!r} is {low}; on a logarithmic scale it must be above 0")


def _check_distinct(choices: Sequence[Any], name: str) -> None:
    for position, choice in enumerate(choices):
        if choice in choices[:position]:
            raise SpaceError(f"the parameter {name!r} has the choice {choice!r} twice")


def _listing(values: Sequence[Any]) -> str:
    """Some values for a message, the middle of a long list left out."""
    if len(values) <= 8:
        return ", ".join(map(repr, values))
    return ", ".join(map(repr, values[:4])) + f", ..., {values[-1]!r} ({len(values)} values)"
