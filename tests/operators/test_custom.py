"""A user's own operators: executed, exported and priced like those of the package, or refused by their name."""

import numpy as np
import pytest
import torch

from hannah_hw import IntScalarParameter, Op, SearchSpace, Tensor, estimate, lazy, load_target, to_onnx
from hannah_hw.errors import UnsupportedError
from hannah_hw.executors import BasicExecutor
from hannah_hw.lowering import read_onnx
from hannah_hw.operators import Relu
from hannah_hw.targets import list_targets
from hannah_hw.workload import Row
from tests.blocks import buffers_of, conv, data, linear, run_onnx


class Tile(Op):
    """The channels several times over, and each value multiplied; a weight says how often."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def __call__(self, *operands):
        result = super().__call__(*operands)
        result.repeats = operands[1].shape()[0]
        return result

    def shape_fun(self):
        batch, channels, *sizes = self.operands[0].shape()
        return (batch, channels * self.repeats, *sizes)

    def _forward_implementation(self, *args):
        data, factors = args
        return torch.cat([data * factor * self.factor for factor in factors], dim=1)


class Exported(Tile):
    """The same with an ONNX form."""

    def to_onnx(self, emitter, inputs):
        data, factors = inputs
        values = np.repeat(emitter.weight(factors) * self.factor, self.operands[0].shape()[1]).reshape(
            1, -1, 1, 1
        )
        joined = emitter.node("Concat", [data] * self.repeats, axis=1)
        return emitter.node("Mul", [joined, emitter.constant("factors", values.astype(np.float32))])


class Counted(Tile):
    """The same with a row in the Workload, of a kind that targets know."""

    def row(self):
        channels = self.operands[0].shape()[1]
        return Row("kernel", "concat", {"in_channels": channels, "out_channels": self.shape()[1]})


def network(kind):
    """A custom operator between two convolutions; how often it repeats and its factor are searched."""
    repeats, factor = IntScalarParameter(1, 3, name="repeats"), IntScalarParameter(2, 4, name="factor")
    x = kind(factor)(conv(data(3, 8, 8), 4), Tensor("factors", (repeats,), grad=True))
    return linear(Relu()(x), 5)


CHOSEN = {"factor": 3, "factors.repeats": 2}


def candidate(kind):
    space = SearchSpace(network(kind))
    return space.candidate({f"{kind.__name__}_0.{name}": value for name, value in CHOSEN.items()})


@pytest.mark.parametrize("kind", [Tile, Exported])
def test_it_is_executed_and_its_parameters_are_searched(kind):
    space = SearchSpace(network(kind))
    assert set(space.parameters) == {f"{kind.__name__}_0.{name}" for name in CHOSEN}
    plan = candidate(kind).plan
    assert plan.steps[1].shape == (1, 8, 8, 8)
    module = BasicExecutor(candidate(kind))
    assert dict(module.named_parameters())[f"{kind.__name__}_0.factors"].shape == (2,)
    module(torch.randn(2, 3, 8, 8)).sum().backward()
    assert module.weight(f"{kind.__name__}_0.factors").grad.abs().sum() > 0
    assert lazy(space.outputs[0].operands[0].shape(), candidate(kind).assignment.to_dict()) == (1, 8, 8, 8)


def test_it_is_exported_where_it_says_how():
    chosen = candidate(Exported)
    module = BasicExecutor(chosen).eval()
    x = torch.randn(2, 3, 8, 8)
    model = to_onnx(chosen, module=module, batch=2)
    (computed,) = run_onnx(model, x)
    np.testing.assert_allclose(computed, module(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    assert "Exported_0" in {node.name for node in model.graph.node}
    # A file has no custom operators: it is read as what they were written as.
    read = read_onnx(to_onnx(chosen))
    assert read.workload().kernels.kinds == ("conv", "concat", "Mul", "activation", "linear")
    assert "one number" in read.foreign["Exported_0"]
    with pytest.raises(UnsupportedError, match=r"Tile \(Tile_0\) has no ONNX form; define to_onnx"):
        to_onnx(candidate(Tile))


def test_it_is_a_kernel_of_its_own_name():
    table = candidate(Tile).workload()
    assert table.kernels.kinds == ("conv", "Tile", "activation", "linear")
    # Its buffers are counted, whatever its kernel costs.
    assert buffers_of(table)["Tile_0"] == ("activation", 8 * 64, 1, 2, False)
    assert buffers_of(table)["Conv2d_0"] == ("activation", 4 * 64, 0, 1, False)
    assert candidate(Counted).workload().kernels.kinds == ("conv", "concat", "activation", "linear")


def test_its_size_is_part_of_a_population():
    space = SearchSpace(network(Tile))
    rows = space.sample_population(40, seed=0)
    repeats = np.array([space.encoding.assignment(row)["Tile_0.factors.repeats"] for row in rows])
    table = space.workload(rows)
    np.testing.assert_array_equal(table.buffers.bytes[:, table.buffers.names.index("Tile_0")], repeats * 256)
    np.testing.assert_array_equal(space.parameter_counts(rows), 4 * 27 + repeats * (1 + 256 * 5) + 5)


@pytest.mark.parametrize("target", list_targets())
def test_every_target_refuses_it_by_name(target):
    report = estimate(candidate(Tile), load_target(target))
    refused = {row.kernel: row.rule for row in report.unsupported}
    assert refused["Tile_0"].startswith("Tile: ")
    assert report.latency_s is report.energy_j is report.ram_bytes is report.flash_bytes is None
