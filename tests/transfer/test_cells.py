"""Cells against what they compute, over the whole of NAS-Bench-201."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest

from hannah_hw.errors import DataError
from hannah_hw.transfer import Cell, describe, duplicates, representatives

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
PRIME = (1 << 61) - 1


def text(operations: tuple[str, ...]) -> str:
    a, b, c, d, e, f = operations
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return [Cell.parse(text(operations)) for operations in itertools.product(OPERATIONS, repeat=6)]


def computed(operations: tuple[str, ...]) -> tuple[int, tuple[tuple[str, int], ...]] | None:
    """What a cell computes for one input, by operations that are unlike each other, exactly; and its work.

    A sum of two or more is a function of its own, so that sums of sums are told from flat sums. Work is every
    operation that the output needs, with the value it is given.
    """

    def mixed(value: int, salt: int) -> int:
        return pow(value + salt, 3, PRIME)

    needed = {3}
    for source, node in reversed(EDGES):
        if node in needed and operations[EDGES.index((source, node))] != "none":
            needed.add(source)
    values: dict[int, int] = {0: 123456789}
    work = []
    for node in (1, 2, 3):
        terms = []
        for (source, end), operation in zip(EDGES, operations, strict=True):
            if end != node or operation == "none" or source not in values or node not in needed:
                continue
            value = values[source]
            if operation != "skip_connect":
                work.append((operation, value))
                value = mixed(value, 1000003 * OPERATIONS.index(operation))
            terms.append(value)
        if terms:
            values[node] = terms[0] if len(terms) == 1 else mixed(sum(terms) % PRIME, 17)
    return None if 3 not in values else (values[3], tuple(sorted(work)))


def test_equal_keys_are_equal_computations(cells: list[Cell]) -> None:
    by_key, by_result = defaultdict(set), defaultdict(set)
    for row, operations in enumerate(itertools.product(OPERATIONS, repeat=6)):
        by_key[cells[row].key].add(row)
        by_result[computed(operations)].add(row)
    assert {frozenset(rows) for rows in by_key.values()} == {frozenset(rows) for rows in by_result.values()}
    assert cells[0].key == ""  # nothing but none
    assert len(by_key) == 6334


def test_swapping_inner_nodes_changes_no_key() -> None:
    """Nodes 1 and 2 may be swapped where none feeds the other."""
    for a, b, d, e, f in itertools.product(OPERATIONS, repeat=5):
        one = Cell.parse(text((a, b, "none", d, e, f)))
        other = Cell.parse(text((b, a, "none", d, f, e)))
        assert one.key == other.key


def test_dead_operations_change_no_key() -> None:
    alone = Cell.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    unused = Cell.parse("|nor_conv_1x1~0|+|none~0|avg_pool_3x3~1|+|nor_conv_3x3~0|none~1|none~2|")
    unfed = Cell.parse("|none~0|+|none~0|avg_pool_3x3~1|+|nor_conv_3x3~0|none~1|nor_conv_1x1~2|")
    assert alone.key == unused.key == unfed.key
    assert [edge.operation for edge in unused.reaching] == ["nor_conv_3x3"]
    assert [edge.operation for edge in unfed.reaching] == ["avg_pool_3x3", "nor_conv_3x3", "nor_conv_1x1"]
    assert [edge.operation for edge in unfed.live] == ["nor_conv_3x3"]


def test_representatives_are_one_row_a_cell_with_nothing_dead(cells: list[Cell]) -> None:
    rows = representatives(cells)
    assert len(rows) == 6333
    assert len({cells[row].key for row in rows}) == len(rows)
    assert all(len(cells[row].live) == len(cells[row].edges) for row in rows)
    usable = np.zeros(len(cells), np.bool_)
    usable[rows[:5]] = True
    assert representatives(cells, usable).tolist() == rows[:5].tolist()


def test_duplicates_have_the_same_operations(cells: list[Cell]) -> None:
    pairs = duplicates(cells, np.arange(len(cells)))
    assert len({row for pair in pairs for row in pair}) == 2 * len(pairs) > 1000
    for one, other in pairs:
        assert cells[one].key == cells[other].key
        counts = [sorted(edge.operation for edge in cells[row].edges) for row in (one, other)]
        assert counts[0] == counts[1]


def test_features_of_a_cell_worked_by_hand() -> None:
    found = describe([Cell.parse("|a~0|+|b~0|a~1|+|skip_connect~0|none~1|b~2|")])
    assert found.names == found.operations == ("a", "b", "skip_connect")
    assert found.counts.tolist() == [[2, 2, 1]]
    assert sorted(found.paths[0].tolist()) == [[0, 0, 1], [0, 2, 0], [2, 1, 0]]


def test_dead_operations_are_counted_apart() -> None:
    found = describe([Cell.parse("|a~0|+|b~0|none~1|"), Cell.parse("|a~0|+|b~0|a~1|")])
    assert found.names == ("a", "b", "a written", "b written")
    assert found.counts.tolist() == [[0, 1, 1, 1], [2, 1, 2, 1]]
    assert found.paths.shape == (2, 2, 2)


@pytest.mark.parametrize("wrong", ["", "conv", "|conv|", "|a~0|+|b~2|", "|a~0|+", "|a~1|", "|a~0|b~0", "||"])
def test_what_is_no_cell_is_refused(wrong: str) -> None:
    with pytest.raises(DataError, match="is no cell"):
        Cell.parse(wrong)
