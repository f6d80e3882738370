from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.errors import DataError
from hannah_hw.scoring import load_data
from hannah_hw.sources.splitting import grouped_split
from tests.sources.made import write_walk


def raw(data, part):
    """Windows as they were before normalisation."""
    values = getattr(data, f"x_{part}")
    return values * np.reshape(data.std, (1, -1, 1)) + np.reshape(data.mean, (1, -1, 1))


def walk(path, **options):
    return load_data(
        {"path": str(path), "kind": "series", "time": "time", "window": 20, "stride": 10, **options}
    )


def test_windows_of_one_subject_stay_together(tmp_path):
    write_walk(tmp_path / "walk.csv")
    data = walk(tmp_path / "walk.csv", group="subject")
    assert data.class_names == ("rest", "walk")
    assert data.input_shape == (2, 20)
    assert data.reading["columns"] == ["x", "y"]
    # 240 rows a subject: 23 windows, of which the one across the change is dropped.
    assert data.counts() == {"train": [44, 44], "validation": [11, 11], "test": [11, 11]}
    rows = {
        part: set(np.rint(raw(data, part)[:, 0]).astype(int).ravel()) for part in ("train", "val", "test")
    }
    subjects = {part: {row // 240 for row in found} for part, found in rows.items()}
    assert [len(found) for found in subjects.values()] == [4, 1, 1]
    assert not rows["train"] & (rows["val"] | rows["test"])
    for part in ("train", "val", "test"):
        windows = np.rint(raw(data, part))
        assert (np.diff(windows[:, 0]) == 1).all()
        assert (windows[:, 1] == np.where(getattr(data, f"y_{part}") == 0, -1, 1)[:, None]).all()


def test_columns_are_known_by_their_names(tmp_path):
    write_walk(tmp_path / "walk.csv")
    named = load_data({"path": str(tmp_path / "walk.csv"), "kind": "series", "window": 20})
    assert named.reading["columns"] == ["x", "y"]
    assert named.reading["grouping"] == "recordings are told apart by the column 'subject'"
    assert len(set(named.groups_train)) == 4
    given = load_data({"path": str(tmp_path / "walk.csv"), "kind": "series", "columns": ["time", "y"]})
    assert given.reading["columns"] == ["time", "y"]


def test_mixed_windows_may_take_the_majority(tmp_path):
    write_walk(tmp_path / "walk.csv")
    data = walk(tmp_path / "walk.csv", group="subject", mixed="majority", stride=8)
    # 28 windows a subject start at 0, 8, ...; those that start at 104 and 112 have 16 and 8 rows of rest.
    assert sum(map(sum, data.counts().values())) == 28 * 6
    assert data.reading["mixed_windows"].startswith("12 windows")


def test_a_file_without_recordings_is_cut_into_blocks_that_share_no_row(tmp_path):
    write_walk(tmp_path / "walk.csv", subjects=3, rows=300)
    text = (tmp_path / "walk.csv").read_text()
    (tmp_path / "walk.csv").write_text(text.replace("subject", "weather"))
    data = walk(tmp_path / "walk.csv", columns=["x", "y"])
    assert "errors may be too small" in data.reading["grouping"]
    rows = [set(np.rint(raw(data, part)[:, 0]).astype(int).ravel()) for part in ("train", "val", "test")]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


def test_folders_of_files(tmp_path):
    for number in range(5):
        for name in ("idle", "run"):
            (tmp_path / "by_class" / name).mkdir(parents=True, exist_ok=True)
            lines = ["a;b"] + [f"{number};{row}" for row in range(64)]
            (tmp_path / "by_class" / name / f"{number}.csv").write_text("\n".join(lines))
    data = load_data({"path": str(tmp_path / "by_class"), "kind": "series", "window": 32})
    assert data.class_names == ("idle", "run")
    assert data.counts() == {"train": [9, 9], "validation": [3, 3], "test": [3, 3]}
    (tmp_path / "flat").mkdir()
    for number in range(4):
        write_walk(tmp_path / "flat" / f"{number}.csv", subjects=1)
        text = (tmp_path / "flat" / f"{number}.csv").read_text()
        (tmp_path / "flat" / f"{number}.csv").write_text(text.replace("subject", "weather"))
    # A pipe would be waited for.
    os.mkfifo(tmp_path / "flat" / "pipe.csv")
    (tmp_path / "flat" / "folder.csv").mkdir()
    flat = load_data(
        {"path": str(tmp_path / "flat"), "kind": "series", "time": "time", "columns": ["x", "y"]}
    )
    assert flat.class_names == ("rest", "walk")
    assert flat.reading["grouping"] == "a file is a recording"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0.1,s0,oops,1,rest", r"walk\.csv:5: 'oops' in the column 'x' is no number"),
        ("0.1,s0,1", r"walk\.csv:5: 3 values, where the header names 5"),
        ("0.1,s0,nan,1,rest", r"walk\.csv:5: the column 'x' holds NaN"),
        ("0.1,s0,1e99,1,rest", r"walk\.csv:5: the column 'x' holds NaN, infinity"),
        ('0.1,"s0,1,1,rest', "not a CSV file"),
    ],
)
def test_broken_rows_are_named(tmp_path, line, said):
    write_walk(tmp_path / "walk.csv")
    lines = (tmp_path / "walk.csv").read_text().splitlines()
    (tmp_path / "walk.csv").write_text("\n".join([*lines[:4], line, *lines[5:]]))
    with pytest.raises(DataError, match=said):
        walk(tmp_path / "walk.csv", group="subject")


def test_columns_and_windows_that_do_not_fit_are_explained(tmp_path):
    write_walk(tmp_path / "walk.csv")
    with pytest.raises(DataError, match=r"no column 'subjekt'.*did you mean 'subject'"):
        walk(tmp_path / "walk.csv", group="subjekt")
    with pytest.raises(
        DataError, match="no window of 500 rows fits: the longest stretch of one recording has 240"
    ):
        walk(tmp_path / "walk.csv", group="subject", window=500)
    write_walk(tmp_path / "two.csv", subjects=2)
    with pytest.raises(DataError, match="2 recordings cannot be split into 3 parts"):
        walk(tmp_path / "two.csv", group="subject")
    (tmp_path / "plain.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column is called like a class; name it with 'label'"):
        load_data(tmp_path / "plain.csv")
    (tmp_path / "bare.csv").write_text("1,2\n3,4\n")
    with pytest.raises(DataError, match=r"bare\.csv:1: the first line holds numbers"):
        load_data({"path": str(tmp_path / "bare.csv"), "kind": "series", "label": "x"})
    for long in ("a,b\n" + "1," * 600_000, "a," * 600_000):
        (tmp_path / "long.csv").write_text(long)
        with pytest.raises(DataError, match="a line has more than 1048576 characters"):
            load_data({"path": str(tmp_path / "long.csv"), "kind": "series", "label": "b"})


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=9, max_size=30),
    st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_groups_are_never_torn_and_classes_spread(found, seed):
    groups = np.repeat(np.arange(len(found)), [size for _, size in found])
    labels = np.repeat([label for label, _ in found], [size for _, size in found])
    parts = grouped_split(labels, groups, (0.15, 0.15), np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    where = [set(groups[part]) for part in parts]
    assert sum(map(len, where)) == len(set().union(*where))
    for label in range(3):
        # A class that three groups have is in all three parts.
        if sum(own == label for own, _ in found) >= 3:
            assert all(label in labels[part] for part in parts)
