"""What the engine needs of the place where its records go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hannah_hw.search.observers import Record
from hannah_hw.search.record_log import ScratchLog


class Store(Protocol):
    """Where records go; `hannah_hw.search.rundir.RunDirectory` is one."""

    @property
    def records(self) -> Sequence[Record]:
        """All records, those of the run that is continued first; it grows as records are appended."""
        ...

    def append(self, *records: Mapping[str, Any]) -> None:
        """Keep the next records."""
        ...

    def keep(self, record: Mapping[str, Any], /) -> None:
        """Keep a finished record that waits for an earlier one."""
        ...

    def kept(self) -> Mapping[int, Record]:
        """Index -> record of those that were kept by the process before."""
        ...

    def release(self) -> None:
        """No record waits any more: what was kept is in order."""
        ...

    def write_state(self, state: Mapping[str, Any], /) -> None:
        """Keep the summary of where the run stands."""
        ...

    def read_state(self) -> Mapping[str, Any] | None:
        """The last summary; None where there is none."""
        ...


class Scratch(ScratchLog):
    """The store of a search that nobody continues; see `Store`."""

    def keep(self, record: Mapping[str, Any], /) -> None:
        """See `Store.keep`."""

    def kept(self) -> Mapping[int, Record]:
        """See `Store.kept`."""
        return {}

    def release(self) -> None:
        """See `Store.release`."""

    def write_state(self, state: Mapping[str, Any], /) -> None:
        """See `Store.write_state`."""

    def read_state(self) -> None:
        """See `Store.read_state`."""
