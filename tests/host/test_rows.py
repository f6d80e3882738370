from __future__ import annotations

import pytest

from hannah_hw.errors import DataError
from hannah_hw.host.kernels import ABSENT, HostKernel, HostTensor
from hannah_hw.host.rows import HostRow, read_rows, write_rows

ROWS = [
    HostRow(
        HostKernel(
            "com.microsoft.nchwc.Conv",
            (HostTensor("float32", (1, 8, 4, 4)), HostTensor("float32", (8, 8, 1, 1), constant=True)),
            (HostTensor("float32", (1, 8, 4, 4)),),
            (("activation", "Relu"), ("pads", (0, 0, 0, 0))),
        ),
        1.25e-6,
        0.01,
        'AMD "EPYC", onnxruntime 1.27.0, 1 thread',
    ),
    HostRow(
        HostKernel(
            "Clip",
            (
                HostTensor("float32", (1, 8)),
                ABSENT,
                HostTensor("float32", (), constant=True, values=(6.0,)),
            ),
            (HostTensor("float32", (1, 8)),),
            version=13,
        ),
        3e-3,
    ),
]


def test_a_file_keeps_everything(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(write_rows(ROWS), encoding="utf-8")
    assert read_rows(path) == ROWS
    assert write_rows(read_rows(path)) == path.read_text(encoding="utf-8")


def test_no_rows_are_a_file_of_no_rows(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(write_rows([]), encoding="utf-8")
    assert read_rows(path) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kernel_class", "class", r"rows.csv:1: the first line"),
        ("1.25e-06", "nan", r"rows.csv:2: nan seconds"),
        ("1.25e-06", "0", r"rows.csv:2: 0 seconds"),
        ("1.25e-06", "-1", r"rows.csv:2: -1 seconds"),
        ("1.25e-06", "fast", r"rows.csv:2: could not convert"),
        ("0.003", "1e999", r"rows.csv:3: 1e999 seconds"),
        ("0.003,0,", "0.003,", r"rows.csv:3: 7 columns, not 8"),
        ("0.003,0,0,", "0.003,0,-1,", r"rows.csv:3: run_s, probe_s and calm are -1, 0, 1, not at least 0"),
        ('""op""', '""other""', r"rows.csv:2: not a kernel"),
        ("float32", "float99", r"rows.csv:2: "),
    ],
)
def test_what_is_no_row_is_refused_with_its_line(tmp_path, old, new, message):
    path = tmp_path / "rows.csv"
    text = write_rows(ROWS)
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_rows(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n1,2\n"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"rows\.csv"):
        read_rows(path)
    with pytest.raises(DataError, match="cannot read"):
        read_rows(tmp_path / "missing.csv")
