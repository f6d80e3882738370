"""Single kernels on an emulated core: exact results, counts that add up, sizes that the cost library knows."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("ziglang")

from hannah_hw.cores import core_named
from hannah_hw.cost.entries import Entries
from hannah_hw.errors import InputError, MeasurementError
from hannah_hw.firmware.libraries import cost_library, library
from hannah_hw.firmware.toolchain import find
from hannah_hw.measure import bench as bench_module
from hannah_hw.measure.bench import Bench
from hannah_hw.measure.bench_layers import random_call
from hannah_hw.measure.sampling import Shape, kernel_table, sample_shapes
from hannah_hw.measure.sweep_bench import measure_sweep, sample_library
from hannah_hw.workload.table import KERNEL_COLUMNS


@pytest.fixture(scope="module", params=["m4", "m0p"])
def bench(request):
    return Bench(find(core_named(request.param), "zig"))


@pytest.fixture(scope="module")
def m4():
    return Bench(find(core_named("m4"), "zig"))


def elementwise(kind, count):
    columns = dict(KERNEL_COLUMNS, in_w=count, out_w=count)
    return Shape("lut", kind, columns)


def test_every_class_is_exact_and_of_the_sizes_that_the_library_says(bench):
    core = bench.core
    cost = cost_library(core)
    for entry in cost.classes:
        if entry.name not in library(core):
            continue
        shapes = sample_shapes(entry.name, 4, seed=11, library=cost)
        entries = Entries.of_first(kernel_table(shapes))
        found = [bench.run(random_call(shape, 3)) for shape in shapes]  # a wrong result raises
        zeros = np.zeros(len(shapes))
        scratch = zeros if entry.scratch is None else entry.scratch(entries)
        constants = zeros if entry.constants is None else entry.constants(entries)
        assert [sample.scratch_bytes for sample in found] == scratch.tolist(), entry.name
        assert [sample.constant_bytes for sample in found] == constants.tolist(), entry.name


def test_a_table_is_read_once_for_each_value(m4):
    few, many = (m4.run(random_call(elementwise("sigmoid", count), 0)) for count in (64, 576))
    assert many.flash_reads - few.flash_reads == 512
    assert many.instructions > few.instructions


def test_times_do_not_depend_on_values_or_repetition(m4):
    for name in ("conv", "dw_3x3", "fc", "add", "avg_pool"):
        shape = sample_shapes(name, 1, seed=5, library=cost_library(m4.core))[0]
        first, again, other = (m4.run(random_call(shape, seed)) for seed in (0, 0, 1))
        assert first == again
        assert (first.cycles, first.flash_reads) == (other.cycles, other.flash_reads)


def test_a_wrong_result_is_no_figure(m4, monkeypatch):
    shape = sample_shapes("conv_1x1", 1, seed=2, library=cost_library(m4.core))[0]
    choose = bench_module.choose

    def spoilt(network, layer, core):
        choice = choose(network, layer, core)

        def pack(network, layer):
            packed = choice.implementation.pack(network, layer)
            # The top byte of the first bias.
            data = packed.data[:3] + bytes([packed.data[3] ^ 0x08]) + packed.data[4:]
            return replace(packed, data=data)

        return replace(choice, implementation=replace(choice.implementation, pack=pack))

    monkeypatch.setattr(bench_module, "choose", spoilt)
    with pytest.raises(MeasurementError, match="wrong values"):
        m4.run(random_call(shape, 0))


def test_a_sweep_is_the_same_in_one_and_in_two_processes(m4):
    compiler = find(m4.core, "zig")
    sampled = sample_library(m4.core, fitted=20, held_out=10, classes=["fc", "add"])
    assert sum(one.held_out for one in sampled) == 15
    assert len(sampled) == 45
    alone = measure_sweep(compiler, sampled)
    assert measure_sweep(compiler, sampled, processes=2) == alone
    assert all(row.cycles >= row.instructions > 0 for row in alone)


def test_a_host_compiler_and_no_shapes_are_refused(m4):
    with pytest.raises(InputError, match="on a core"):
        Bench(find(None))
    with pytest.raises(InputError, match="at least 1"):
        sample_library(m4.core, fitted=0)
