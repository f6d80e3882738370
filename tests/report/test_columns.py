"""Packing records into columns loses nothing but digits."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.report.columns import pack
from tests.report.unpacked import unpack

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["", "a", "long name"]), st.just(0.25)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["k", "values", "at"]), inner, max_size=3),
    ),
    max_leaves=6,
)
RECORDS = st.lists(
    st.dictionaries(st.sampled_from(["id", "codes", "rows", "__proto__"]), VALUES), max_size=12
)


@given(RECORDS)
def test_records_come_back(records: list[dict[str, Any]]) -> None:
    assert unpack(json.loads(json.dumps(pack(records)))) == records


def test_the_forms_of_columns() -> None:
    table = pack(
        [
            {"name": "a", "size": 1.0, "parts": [{"s": 0.1234567891}], "only": 5.5},
            {"name": "a", "size": 2.5, "parts": [], "only": 6.5},
            {"name": "b", "size": math.nan, "parts": [{"s": 1e-9}, {"s": 3e20}], "only": 7},
            {"name": "a", "size": 7e-5, "parts": [{"s": 7}]},
            {"size": 1},
            {"name": "b", "size": 2},
        ]
    )
    assert table["rows"] == 6
    assert table["columns"]["name"] == {"values": ["a", "b"], "codes": "0010.1"}
    assert table["columns"]["size"] == [1, 2.5, None, 7e-5, 1, 2]
    assert table["columns"]["only"] == {"at": [0, 1, 2], "is": [5.5, 6.5, 7]}
    parts = table["columns"]["parts"]
    assert parts["at"] == [0, 1, 2, 3]
    assert parts["is"]["lengths"] == [1, 0, 2, 1]
    assert parts["is"]["items"]["columns"]["s"] == [0.1234568, 1e-9, 3e20, 7]


def test_more_than_62_different_values_are_counted_on() -> None:
    names = [f"kernel {i}" for i in range(80)] * 4
    column = pack([{"name": name} for name in names])["columns"]["name"]
    assert column["codes"] == [*range(80)] * 4
    assert unpack(pack([{"name": name} for name in names])) == [{"name": name} for name in names]
