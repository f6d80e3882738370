"""An assignment: values for the parameters of a space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hannah_hw.parameters import plain_value
from hannah_hw.showing import Shown


class Assignment(Mapping[str, Any], Shown):
    """An immutable mapping of parameter id to value.

    Args:
        values: The values; tuples for subset parameters, else numbers or strings.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self._values == dict(other)

    def __repr__(self) -> str:
        return f"Assignment({self._values})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; a tuple becomes a list, inside another one too."""
        return {name: _listed(value) for name, value in self._values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Assignment:
        """The assignment that `to_dict` made a dictionary of, also after it went through JSON."""
        return cls({name: plain_value(value) for name, value in values.items()})


def _listed(value: Any) -> Any:
    return [_listed(part) for part in value] if isinstance(value, tuple) else value
