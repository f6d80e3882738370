"""Numbers with units, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.errors import InputError
from hannah_hw.quantities import UNITS, format_bytes, format_si, parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("64 KiB", "bytes", 65536),
        ("1.5MB", "bytes", 1.5e6),
        ("120 MHz", "hertz", 120e6),
        ("5 ms", "seconds", 0.005),
        ("3 µs", "seconds", 3e-6),
        ("2 min", "seconds", 120),
        ("250e3", "hertz", 250e3),
        (" -4 % ", "ratio", -0.04),
        ("12 pJ", "joules", 12e-12),
        (".5 mW", "watts", 0.0005),
        ("3 k", "count", 3000),
        (7, "bytes", 7),
    ],
)
def test_units(text, dimension, expected):
    assert parse_quantity(text, dimension) == pytest.approx(expected, rel=1e-12)


@given(st.sampled_from(sorted(UNITS)), st.floats(-1e9, 1e9), st.data())
def test_every_unit_scales_by_its_factor(dimension, number, data):
    unit = data.draw(st.sampled_from(sorted(UNITS[dimension])))
    text = f"{number!r} {unit}"
    assert parse_quantity(text, dimension) == pytest.approx(number * UNITS[dimension][unit], rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "ms", "5 5 ms", "- 5", "nan", "1e999", float("nan"), float("inf"), True, None, [1]]
)
def test_what_is_no_finite_number_is_refused(text):
    with pytest.raises(InputError, match=r"f\.yaml:3"):
        parse_quantity(text, "seconds", where="f.yaml:3")


def test_units_of_another_dimension_are_refused():
    with pytest.raises(InputError, match="the unit 'MHz', which is none of seconds; allowed: s, ms"):
        parse_quantity("5 MHz", "seconds")
    with pytest.raises(InputError, match="did you mean 'KiB'"):
        parse_quantity("5 Kib", "bytes")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1000, "1000 B"), (12595, "12.3 KiB"), (3 << 20, "3.0 MiB"), (5 << 30, "5.0 GiB")],
)
def test_bytes_are_written_in_binary_units(value, text):
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.2143e-3, "4.21 ms"),
        (52.26e-6, "52.3 µs"),
        (0, "0 s"),
        (120e6, "120 Ms"),
        (0.9999, "1 s"),
        (-0.25, "-250 ms"),
        (3e-13, "0.3 ps"),
        (float("nan"), "nan s"),
    ],
)
def test_numbers_are_written_with_three_digits(value, text):
    assert format_si(value, "s") == text
