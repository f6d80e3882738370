"""Every core's compiler flags give the features that the build asserts, with zig and with GCC."""

import shutil
import subprocess
import sys

import pytest

from hannah_hw.cores import CORES, core_named
from hannah_hw.emulation.cycles import TIMINGS, timing_of
from hannah_hw.errors import InputError


def macros(command):
    listing = subprocess.run(
        [*command, "-dM", "-E", "-x", "c", "/dev/null"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    words = (line.split(maxsplit=2) for line in listing.stdout.splitlines())
    return {name: value[0] if value else "" for _, name, *value in words}


def zig(core):
    target, cpu = core.zig
    return [sys.executable, "-m", "ziglang", "cc", "-target", target, f"-mcpu={cpu}"]


def gcc(core):
    prefix, flags = core.gcc
    if shutil.which(f"{prefix}gcc") is None:
        pytest.skip(f"{prefix}gcc is not on PATH")
    return [f"{prefix}gcc", *flags]


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("compiler", [zig, gcc])
def test_features(compiler, name):
    core = CORES[name]
    given = macros(compiler(core))
    for macro, value in core.features.items():
        if value is None:
            assert macro not in given
        else:
            assert int(given[macro], 0) == value, macro
    # What the kernels and the instruction counts depend on, said by name once more.
    assert ("__ARM_FEATURE_DSP" in given) == (core.kernels in ("dsp", "helium"))
    assert given.get("__ARM_FEATURE_MVE") == ("3" if name == "m55" else None)
    hard_float = {"m4", "m7", "m33", "m55"}
    assert ("__ARM_FP" in given) == (name in hard_float)
    assert ("__ARM_PCS_VFP" in given) == (name in hard_float)


def test_names_of_cpus_alone_leave_features_off():
    # Why the flags are spelled out: the day that this fails, they can be simpler.
    target, _ = CORES["m33"].zig
    bare = macros([sys.executable, "-m", "ziglang", "cc", "-target", target, "-mcpu=cortex_m33"])
    assert "__ARM_FEATURE_DSP" not in bare


def test_every_core_has_a_timing_with_its_source():
    for core in CORES.values():
        assert 0 < core.timing_error < 1
        if core.unicorn is not None:
            assert timing_of(core).source
    with pytest.raises(InputError, match="no cycle table for Cortex-M55"):
        timing_of(CORES["m55"])
    assert "assumed" in TIMINGS["cortex_m7"].source


def test_unknown_cores_are_named():
    with pytest.raises(InputError, match=r"unknown core 'm44'.*did you mean 'm4'"):
        core_named("m44")
