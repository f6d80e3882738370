"""Prices of distinct layers on one target, kept for as long as a run prices candidates on it.

Candidates of a space share most of their layers, and so do the generations of a search. A kernel is looked up by a key
of 64 bits with another 64 bits to check it by; a layer is a kernel together with where its values lie. What was priced
before is found by binary search, whole populations at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.cost.accelerators.layers import Layers
from hannah_hw.cost.distinct import kernel_keys
from hannah_hw.cost.entries import Entries
from hannah_hw.workload.table import KERNEL_COLUMNS, KERNEL_KINDS, Kernels

IntArray = NDArray[np.int64]

#: Distinct kernels and layers of all targets together above which the targets that were used longest ago are forgotten.
LIMIT: Final = 1 << 18

#: Rows that a table has room for at first. In a search over hardware most targets see one network.
_ROOM: Final = 32

#: Factors that tell the kinds apart in the keys of kernels.
_KIND: Final = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
_MASK: Final = 2**64 - 1


class Grown:
    """Columns of equal length that rows are added to at the end.

    Args:
        types: Name -> type of a column.
    """

    def __init__(self, **types: Any) -> None:
        self._arrays = {name: np.empty(_ROOM, dtype) for name, dtype in types.items()}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column; writing into it changes the table."""
        return self._arrays[name][: self._count]

    def add(self, rows: dict[str, NDArray[Any]]) -> None:
        """Add a row for each entry of the columns."""
        more = len(next(iter(rows.values())))
        room = len(next(iter(self._arrays.values())))
        if self._count + more > room:
            room = max(2 * room, self._count + more)
            for name, array in self._arrays.items():
                self._arrays[name] = np.concatenate(
                    [array[: self._count], np.empty(room - self._count, array.dtype)]
                )
        for name, values in rows.items():
            self._arrays[name][self._count : self._count + more] = values
        self._count += more


class Sorted:
    """Where keys are found: keys in ascending order, each with a number."""

    def __init__(self, dtype: Any) -> None:
        self._keys: NDArray[Any] = np.zeros(0, dtype)
        self._numbers = np.zeros(0, np.int64)

    def find(self, keys: NDArray[Any]) -> IntArray:
        """(N,) number of each key, -1 of those that are not there."""
        if not len(self._keys):
            return np.full(len(keys), -1)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        found: IntArray = np.where(self._keys[places] == keys, self._numbers[places], -1)
        return found

    def add(self, keys: NDArray[Any], numbers: IntArray) -> None:
        """Add keys that are ascending and not there yet."""
        places = np.searchsorted(self._keys, keys)
        self._keys = np.insert(self._keys, places, keys)
        self._numbers = np.insert(self._numbers, places, numbers)


class _Total:
    """Rows of the books that are on a shelf."""

    rows = 0


class Book:
    """Distinct kernels of one target with what was decided of each, and distinct layers with their prices.

    Attributes:
        kernels: A row for each distinct kernel: its kind (see `names`), its columns, and what `decide` says of it.
        prices: A row for each distinct layer: ``cycles``, ``energy`` in joules, and ``failed``, an index into `rules`
            or -1.
        names: Kernel kinds; those of `KERNEL_KINDS` come first.
        rules: Texts of rules that kernels and layers fail.
    """

    def __init__(self) -> None:
        columns = dict.fromkeys(KERNEL_COLUMNS, np.int64)
        decided = {"unit": np.int8, "refused": np.int32}
        self.kernels = Grown(kind=np.int16, check=np.uint64, bytes=np.int64, **decided, **columns)
        self.prices = Grown(cycles=np.float64, energy=np.float64, failed=np.int32)
        self.names = list(KERNEL_KINDS)
        self.rules: list[str] = []
        self._numbers: dict[str, int] = {}
        self._kernels, self._layers = Sorted(np.uint64), Sorted(np.int64)
        self._total: _Total | None = None

    def put(self, total: _Total | None) -> None:
        """Count the rows of this book, now and when it grows, in a total, and no longer in the one before."""
        if self._total is not None:
            self._total.rows -= len(self)
        if total is not None:
            total.rows += len(self)
        self._total = total

    def _grown(self, rows: int) -> None:
        if self._total is not None:
            self._total.rows += rows

    def __len__(self) -> int:
        return len(self.kernels) + len(self.prices)

    def rule(self, text: str) -> int:
        """The index of a rule's text."""
        number = self._numbers.setdefault(text, len(self.rules))
        if number == len(self.rules):
            self.rules.append(text)
        return number

    def layers(self, rows: IntArray) -> Layers:
        """Distinct kernels as layers whose values lie in the outermost memory.

        Args:
            rows: (M,) rows of `kernels` of kinds of `KERNEL_KINDS`.
        """
        found = Layers.of("conv", in_w=np.ones(len(rows), np.int64))
        columns = {**found.columns, **{name: self.kernels[name][rows] for name in KERNEL_COLUMNS}}
        return Layers(self.kernels["kind"][rows], columns)

    def find(self, kernels: Kernels, decide: Callable[[Book, IntArray], None]) -> tuple[IntArray, IntArray]:
        """Rows of all active kernels of a population.

        Args:
            kernels: K kernel slots of P candidates.
            decide: Fills the columns ``unit``, ``refused`` and ``bytes`` of new rows, which it is given.

        Returns:
            (N,) places ``slot * P + candidate`` of the active kernels, ascending, and (N,) rows of `kernels`.
        """
        where, slots, keys, checks = self._keys(kernels)
        rows = self._kernels.find(keys)
        known = rows >= 0
        # Two kernels whose keys agree and whose checks differ: the second one gets a row of its own in every call.
        known[known] = self.kernels["check"][rows[known]] == checks[known]
        if not known.all():
            new = np.flatnonzero(~known)
            rows[new] = self._added(kernels, where[new], slots[new], keys[new], checks[new])
            decide(self, np.unique(rows[new]))
        return where, rows

    def _keys(self, kernels: Kernels) -> tuple[IntArray, IntArray, NDArray[np.uint64], NDArray[np.uint64]]:
        """Places of the active kernels, their slots, keys, and what to check these by."""
        count = len(kernels.active)
        where, slots, keys, checks = [], [], [], []
        for k, kind in enumerate(kernels.kinds):
            mine = np.flatnonzero(kernels.active[:, k])
            if not len(mine):
                continue
            if kind not in self.names:
                self.names.append(kind)
            number = self.names.index(kind) + 1
            key, check = kernel_keys(kernels, k, mine)
            where.append(mine + k * count)
            slots.append(np.full(len(mine), k))
            keys.append(key + np.uint64(number * _KIND[0] & _MASK))
            checks.append(check + np.uint64(number * _KIND[1] & _MASK))
        if not where:
            none = np.zeros(0, np.int64)
            return none, none, none.astype(np.uint64), none.astype(np.uint64)
        return tuple(np.concatenate(parts) for parts in (where, slots, keys, checks))  # type: ignore[return-value]

    def _added(
        self,
        kernels: Kernels,
        where: IntArray,
        slots: IntArray,
        keys: NDArray[np.uint64],
        checks: NDArray[np.uint64],
    ) -> IntArray:
        """(N,) rows of kernels that are not there yet, which are added."""
        order = np.lexsort((checks, keys))
        key, check = keys[order], checks[order]
        begins = np.ones(len(order), np.bool_)
        begins[1:] = (key[1:] != key[:-1]) | (check[1:] != check[:-1])
        rows = np.empty(len(order), np.int64)
        rows[order] = begins.cumsum() - 1 + len(self.kernels)
        chosen = np.sort(order[begins])
        # New rows are numbered by key, and entries go by place.
        number = rows[chosen] - len(self.kernels)
        entries = Entries(kernels, where[chosen], slots[chosen])
        kinds = np.array([self.names.index(kind) for kind in kernels.kinds], np.int16)
        columns: dict[str, NDArray[Any]] = {name: entries.whole(name) for name in KERNEL_COLUMNS}
        columns |= {"kind": kinds[slots[chosen]], "check": checks[chosen]}
        added = {name: np.empty(len(chosen), values.dtype) for name, values in columns.items()}
        for name, values in columns.items():
            added[name][number] = values
        blank = np.full(len(chosen), -1, np.int64)
        self.kernels.add({**added, "unit": blank, "refused": blank, "bytes": blank})
        self._grown(len(chosen))
        fresh = key[begins]
        first = np.ones(len(fresh), np.bool_)
        first[1:] = fresh[1:] != fresh[:-1]
        first &= self._kernels.find(fresh) < 0
        self._kernels.add(fresh[first], (np.arange(len(fresh)) + len(self.kernels) - len(fresh))[first])
        return rows

    def price(self, layers: IntArray, pay: Callable[[Book, IntArray], dict[str, NDArray[Any]]]) -> IntArray:
        """Rows of `prices` of layers.

        Args:
            layers: (N,) numbers of layers: row of the kernel times `residence.CODES` plus its placement code.
            pay: Prices distinct layers that have no row yet: (M,) columns ``cycles``, ``energy`` and ``failed``.

        Returns:
            (N,) rows of `prices`.
        """
        rows = self._layers.find(layers)
        new = np.flatnonzero(rows < 0)
        if len(new):
            distinct, which = np.unique(layers[new], return_inverse=True)
            begin = len(self.prices)
            self.prices.add(pay(self, distinct))
            self._grown(len(distinct))
            numbers = np.arange(begin, begin + len(distinct))
            self._layers.add(distinct, numbers)
            rows[new] = numbers[which]
        return rows


class Shelf:
    """The books of several targets; those used longest ago go when all together hold too much.

    Args:
        limit: Most rows of all books together; a book that is larger by itself is begun anew.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._books: OrderedDict[Any, Book] = OrderedDict()
        self._total = _Total()

    def book(self, key: Any) -> Book:
        """The book of a target, which it is empty at first.

        Args:
            key: What tells targets, and the models that price them, apart.
        """
        book = self._books.pop(key, None)
        while self._books and self._total.rows > self._limit:
            _, oldest = self._books.popitem(last=False)
            oldest.put(None)
        if book is None or len(book) > self._limit:
            if book is not None:
                book.put(None)
            book = Book()
            book.put(self._total)
        self._books[key] = book
        return book

    def clear(self) -> None:
        """Forget everything."""
        for book in self._books.values():
            book.put(None)
        self._books.clear()


#: What this process has priced.
SHELF: Final = Shelf()
