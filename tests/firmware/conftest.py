"""Networks that several tests of firmware run."""

from __future__ import annotations

import functools

import numpy as np
import onnx
import pytest

from hannah_hw import load_space, to_onnx
from hannah_hw.firmware.layers import Network
from hannah_hw.firmware.network import read_network
from hannah_hw.lowering.quantise import quantise_int8
from tests.firmware.models import MODELS


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """Networks of `MODELS` and of the space ``mlperf_tiny`` by name, made when first asked for."""
    folder = tmp_path_factory.mktemp("models")

    @functools.cache
    def get(name: str) -> Network:
        path = folder / f"{name}.onnx"
        if name in MODELS:
            return read_network(MODELS[name](path))
        model = to_onnx(load_space(f"mlperf_tiny:{name}").candidate({}), seed=0)
        shape = [d.dim_value or 1 for d in model.graph.input[0].type.tensor_type.shape.dim]
        noise = np.random.default_rng(0).normal(0, 1, (4, *shape[1:])).astype(np.float32)
        quantise_int8(model.SerializeToString(), path, noise)
        loaded = onnx.load(path)
        loaded.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        return read_network(loaded)

    return get
