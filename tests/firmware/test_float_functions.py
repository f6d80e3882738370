"""The functions of floating point that float firmware brings are those of Python's math library."""

import ctypes
import math

import numpy as np
import pytest

from hannah_hw.firmware.linking import link_host
from hannah_hw.firmware.objects import KERNEL_FOLDER, compile_objects
from hannah_hw.firmware.toolchain import available, find

pytestmark = pytest.mark.skipif(not available(None), reason="no C compiler for this machine")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = find(None)
    # Their names are those of C's library, which Python has loaded: here they get others.
    names = ("expf", "logf", "tanhf", "erff", "sqrtf", "floorf", "ceilf", "truncf", "roundf", "rintf")
    names += ("fabsf", "fminf", "fmaxf", "nearbyintf", "powf")
    flags = ["-fno-builtin", *(f"-D{name}=hn_{name}" for name in names)]
    objects = compile_objects(compiler, [KERNEL_FOLDER / "hn_float.c"], flags=flags)
    loaded = ctypes.CDLL(str(link_host(compiler, objects, tmp_path_factory.mktemp("float") / "float.so")))

    def call(name, *columns):
        function = getattr(loaded, f"hn_{name}")
        function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float] * len(columns)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return np.array([function(*row) for row in rows], np.float32)

    return call


def values(low, high, count=4000):
    return np.random.default_rng(0).uniform(low, high, count).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("exp", -87, 88), ("log", 1e-6, 3), ("tanh", -6, 6), ("erf", -4, 4), ("sqrt", 0, 1e4)],
)
def test_a_few_units_in_the_last_place(library, name, low, high):
    x = values(low, high)
    exact = np.array([getattr(math, name)(value) for value in x.tolist()])
    found = library(f"{name}f", x).astype(np.float64)
    # Abramowitz and Stegun give 1.5e-7 for erf, absolute; rounding adds to that.
    tolerance = {"erf": 4e-7}.get(name, 1e-7)
    assert np.all(np.abs(found - exact) <= 3e-7 * np.abs(exact) + tolerance * (name in ("erf", "log")))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("floorf", np.floor),
        ("ceilf", np.ceil),
        ("truncf", np.trunc),
        ("rintf", np.rint),
        ("nearbyintf", np.rint),
    ],
)
def test_rounding_is_exact(library, name, reference):
    halves = np.arange(-6, 6.25, 0.25, np.float32)
    x = np.concatenate([values(-9, 9), halves, np.float32([8388607.5, 8388609.0, -3e9, 1e30])])
    assert np.array_equal(library(name, x), reference(x))


def test_halves_are_rounded_away_from_zero(library):
    x = np.float32([-2.5, -1.5, -0.5, 0.4, 0.5, 1.5, 2.5])
    assert library("roundf", x).tolist() == [-3, -2, -1, 0, 1, 2, 3]


def test_ends_of_the_range(library):
    inf, nan = math.inf, math.nan
    assert library("expf", np.float32([100, -110, -inf, inf])).tolist() == [inf, 0, 0, inf]
    assert library("logf", np.float32([0, inf])).tolist() == [-inf, inf]
    assert library("tanhf", np.float32([50, -50])).tolist() == [1, -1]
    for name in ("expf", "logf", "tanhf", "erff", "sqrtf"):
        assert np.isnan(library(name, np.float32([nan]))[0])
    assert np.isnan(library("sqrtf", np.float32([-1]))[0])
    # Denormal numbers.
    assert library("expf", np.float32([-95]))[0] == pytest.approx(math.exp(-95), rel=1e-3)
    assert library("logf", np.float32([1e-40]))[0] == pytest.approx(math.log(1e-40), rel=1e-5)


def test_what_is_no_number_is_left_out(library):
    x, y = np.float32([1, math.nan, 3]), np.float32([2, 5, math.nan])
    assert library("fminf", x, y).tolist() == [1, 5, 3]
    assert library("fmaxf", x, y).tolist() == [2, 5, 3]


def test_powers(library):
    x, y = values(0.01, 9), np.random.default_rng(1).uniform(-4, 4, 4000).astype(np.float32)
    exact = x.astype(np.float64) ** y.astype(np.float64)
    assert np.allclose(library("powf", x, y), exact, rtol=3e-6)
    x, y = np.float32([-2, -2, 3, -1.5, 0, 0, -2, -2]), np.float32([3, 2, 0, -3, 2, -1, 0.5, 70])
    wanted = [-8, 4, 1, (-1.5) ** -3, 0, math.inf, math.nan, 2.0**70]
    assert np.allclose(library("powf", x, y), wanted, rtol=1e-5, equal_nan=True)
