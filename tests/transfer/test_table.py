"""Reading tables of latencies, and what is said of bad ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from hannah_hw.errors import DataError
from hannah_hw.transfer import join, read_table

GOOD = "arch_str,lat_ms_phone,lat_us_board,macs_x,note\na,1.5,20,7,x\nb,2,,8,\nc,0,nan,9,\nd,-1,inf,10,\n"


def write(folder: Path, content: str) -> Path:
    path = folder / "table.csv"
    path.write_text(content, encoding="utf-8")
    return path


def test_units_and_dropped_figures(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD))
    assert table.architectures == ("a", "b", "c", "d")
    assert table.devices == ("phone", "board")
    np.testing.assert_allclose(table.latencies("phone"), [1.5e-3, 2e-3, np.nan, np.nan])
    np.testing.assert_allclose(table.latencies("board"), [20e-6, np.nan, np.nan, np.nan])
    assert table.dropped == {"phone": 2, "board": 3}
    assert table.macs.tolist() == [7, 8, 9, 10]


def test_a_minimum_drops_failed_measurements(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD), minimum_s={"phone": 1.6e-3})
    assert table.dropped["phone"] == 3
    assert np.flatnonzero(np.isfinite(table.latency_s["phone"])).tolist() == [1]


def test_gzip_gives_the_same_table(tmp_path: Path) -> None:
    zipped = tmp_path / "table.csv.gz"
    zipped.write_bytes(gzip.compress(GOOD.encode()))
    assert read_table(zipped).dropped == {"phone": 2, "board": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("arch_str,lat_ms_phone\n", "a header and no row"),
        ("name,lat_ms_phone\na,1\n", "no column of architectures"),
        ("arch_str,phone\na,1\n", "no column of latencies; one is called lat_s_DEVICE"),
        ("arch_str,lat_ms_x,lat_us_x\na,1,1\n", "names no device of its own"),
        ("arch_str,lat_ms_x\na,1\nb\n", "table.csv:3: 1 fields where the header has 2"),
        ("arch_str,lat_ms_x\na,1\na,2\n", "table.csv:3: the architecture 'a' is there already, in line 2"),
        ("arch_str,lat_ms_x\na,fast\n", "table.csv:2 lat_ms_x: 'fast' is no number"),
        ("arch_str,lat_ms_x\n,1\n", "table.csv:2 arch_str: no architecture"),
        ('arch_str,lat_ms_x\n"a,1\n', "this is no CSV"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_table(write(tmp_path, content))
    assert message in str(caught.value)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    zipped = tmp_path / "table.csv.gz"
    whole = gzip.compress(GOOD.encode())
    for content in (whole[:-12], b"arch_str,lat_ms_x\na,1\n", whole[:15] + b"\xff\xff\xff" + whole[18:]):
        zipped.write_bytes(content)
        with pytest.raises(DataError, match="no whole gzip file"):
            read_table(zipped)
    binary = tmp_path / "table.csv"
    binary.write_bytes(b"arch_str,lat_ms_x\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="no text in UTF-8"):
        read_table(binary)
    with pytest.raises(DataError, match="it cannot be read: No such file"):
        read_table(tmp_path / "absent.csv")


def test_devices_that_nothing_can_be_learned_from(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "arch_str,lat_ms_pixel2,lat_ms_flat,lat_ms_dead\na,1,3,0\nb,2,3,0\n"))
    with pytest.raises(DataError, match=r"no device 'pixel3'.*did you mean 'pixel2'"):
        table.latencies("pixel3")
    with pytest.raises(DataError, match=r"'flat' has the same latency, 0.003 s, for all 2 architectures"):
        table.latencies("flat")
    with pytest.raises(DataError, match="'dead' has no usable latency; all 2 were dropped"):
        table.latencies("dead")


def test_tables_are_joined_by_architecture(tmp_path: Path) -> None:
    one = read_table(write(tmp_path, "arch_str,lat_ms_x,macs\na,1,5\nb,2,6\n"))
    two = read_table(write(tmp_path, "arch_str,lat_ms_y\nc,0\nb,4\n"))
    both = join([one, two])
    assert both.architectures == ("a", "b", "c")
    np.testing.assert_allclose(both.latency_s["x"], [1e-3, 2e-3, np.nan])
    np.testing.assert_allclose(both.latency_s["y"], [np.nan, 4e-3, np.nan])
    np.testing.assert_allclose(both.macs, [5, 6, np.nan])
    assert both.dropped == {"x": 0, "y": 1}
    with pytest.raises(DataError, match="'x' is in two of the tables"):
        join([one, one])
