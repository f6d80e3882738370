"""Searches that tell outcomes as they come: no straggler stops anybody, and no two runs are the same.

The log is written in the order of finishing. So that a run can be continued, each record says which candidate it is,
``asked``, counted in the order of asking, and what was known when it was asked for, ``told``: pairs of a generation
and how many records of the log the algorithm knew then. These are its own generation and the earlier ones of which no
record was in the log at that time, so that whatever has a record can be asked for again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from hannah_hw.errors import RunError
from hannah_hw.search.batches import Batch
from hannah_hw.search.choosing import Order
from hannah_hw.search.engine import Engine
from hannah_hw.search.observers import Ending, Record
from hannah_hw.search.replaying import other_run
from hannah_hw.search.tasks import Outcome


def engine_of(order: Order) -> type[Engine]:
    """What runs a search that tells outcomes in some order."""
    return UnorderedEngine if order == "finished" else Engine


class UnorderedEngine(Engine):
    """An engine that asks for more as soon as a worker has nothing to do, and tells whatever has finished by then.

    A candidate's `Task.told` counts those of which every one asked for earlier has a record as well: wrappers that
    decide by earlier outcomes, as `hannah_hw.search.fidelity` does, wait for nobody, but learn nothing new beyond a
    straggler until it is done.

    See `Engine` for arguments and attributes; `lag` has no meaning here.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: Places in the order of asking: without a record; of those, not submitted; recorded, but not told.
        self._open: dict[int, None] = {}
        self._todo: dict[int, None] = {}
        self._entered: deque[int] = deque()
        #: Generation -> records of it that are not told.
        self._untold: dict[int, int] = {}
        #: Generation -> records told when it was asked, of those that no record in the log tells.
        self._unheard: dict[int, int] = {}
        #: Generation -> what its records say of that.
        self._heard: dict[int, list[list[int]]] = {}
        self._replayed = False

    def advance(self) -> Ending | None:
        """See `Engine.advance`."""
        if not self._replayed:
            self._replay()
            self._replayed = True
        return super().advance()

    def take(self, index: int, outcome: Outcome) -> None:
        """See `Engine.take`."""
        self._finished[index] = self._batch(index).record(index, self.goals, outcome)

    def _target(self) -> int | None:
        settled = self.archive.size == self._asked
        ready = settled if self._draining else self._executor is not None and self._executor.room() > 0
        return self.archive.size if ready else None

    @property
    def _known(self) -> int:
        return next(iter(self._open), self._asked)

    def _ask(self, target: int) -> None:
        if self.archive.size:
            self._turn(self._generations)
        first, generation = self._asked, self._generations
        super()._ask(target)
        if not self._over:
            self._unheard[generation] = target
        if self._asked == first:
            # It found nothing, but it was asked: a replay has to do the same.
            self._generations += 1
            return
        self._untold[generation] = self._asked - first
        self._heard[generation] = [list(pair) for pair in self._unheard.items()]
        places = dict.fromkeys(range(first, self._asked))
        self._open.update(places)
        self._todo.update(places)

    def _check(self) -> None:
        # Later, the old run may have known of a generation of which no record is left.
        if not self._replayed:
            super()._check()

    def _catch_up(self, target: int) -> None:
        while self._told < target:
            place = self._entered.popleft()
            batch = self._batch(place)
            self._tell(batch, slice(place - batch.first, place - batch.first + 1))
            self._untold[batch.generation] -= 1
            if not self._untold[batch.generation]:
                del self._untold[batch.generation], self._heard[batch.generation]
                self._batches.remove(batch)

    def _submit(self) -> bool:
        ready = False
        while self._todo:
            place = next(iter(self._todo))
            batch = self._batch(place)
            if not batch.worthy(place):
                self._finished[place] = batch.record(place, self.goals, None)
                ready = True
            elif self._left <= 0:
                break
            elif self._executor is not None:
                self._underway += 1
                self._executor.submit(place, batch.task(place))
            del self._todo[place]
        return ready

    def _write(self) -> bool:
        if self._stopped or not self._finished:
            return False
        failure: RunError | None = None
        while self._finished and self._charging and failure is None:
            place, record = next(iter(self._finished.items()))
            del self._finished[place]
            batch = self._batch(place)
            self._underway -= batch.worthy(place)
            told = self._heard[batch.generation]
            record = {**record, "index": self.archive.size, "asked": place, "told": told}
            failure = self._enter(batch, place, record)
        self._publish(failure)
        if not self._charging:
            self._turn(self._generations)
        return self._charging

    def _enter(self, batch: Batch, place: int, record: Record) -> RunError | None:
        del self._open[place]
        self._entered.append(place)
        for generation, _ in record["told"]:
            self._unheard.pop(generation, None)
        return super()._enter(batch, place, record)

    def _replay(self) -> None:
        """Ask as the old run did, and take in its log."""
        told: dict[int, int] = {}
        for index in range(self._old):
            told |= _schedule(self.records[index], index)
        for generation in range(max(told, default=-1) + 1):
            target = told.get(generation, -1)
            if not self.archive.size <= target <= self._old:
                raise other_run(self.archive.size)
            self._restore(target)
            self._ask(target)
        self._restore(self._old)
        if not self._charging:
            self._turn(self._generations)

    def _restore(self, target: int) -> None:
        """Take in the records of the log before `target`."""
        while (index := self.archive.size) < target:
            record = self.records[index]
            place = record["asked"]
            if place not in self._open:
                raise other_run(index)
            batch = self._batch(place)
            if record["id"] != batch.identifier(place):
                raise other_run(index)
            self._remind(batch, place, record)
            del self._todo[place]
            self._enter(batch, place, record)


def _schedule(record: Record, index: int) -> dict[int, int]:
    """Generation -> records told when it was asked, of those that a record tells."""
    asked, told = record.get("asked"), record.get("told")
    pairs: Sequence[Any] = told if isinstance(told, list) else ()
    whole = all(isinstance(pair, list) and [type(part) for part in pair] == [int, int] for pair in pairs)
    known = dict(pairs) if whole else {}
    if not isinstance(asked, int) or known.get(record["generation"], index + 1) > index:
        raise RunError(
            f"record {index} of the log does not say when its candidate was asked for; delete its line and what "
            "follows, then --resume"
        )
    return known
