"""A space's candidates against their exported files; what the tests and benchmarks/ready_spaces.py share."""

import numpy as np
import torch

from hannah_hw import to_onnx
from hannah_hw.executors import BasicExecutor
from hannah_hw.lowering import read_onnx
from tests.blocks import buffers_of, kernels_of, run_onnx


def weighted(candidate, seed):
    """An executor whose random weights keep the size of values from layer to layer.

    Larger ones make a network with ReLU6 chaotic: rounding grows with every layer.
    """
    module = BasicExecutor(candidate).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in module.plan.weights:
            weight = module.weight(name)
            if weight.ndim == 1:
                weight.uniform_(0.5, 1.5, generator=generator)
            else:
                inputs = weight.shape[0] if weight.ndim == 2 else weight[0].numel()
                weight.normal_(0.0, inputs**-0.5, generator=generator)
    return module


def compare(space, count, seed):
    """Ids of the candidates, those that mismatch, and the deviation of each; as many candidates as the space has.

    A candidate mismatches if its row of the space's Workload is not exactly that of its exported ONNX file. Its
    deviation is the largest of an output of ONNX Runtime from torch's, as a share of the largest output.
    """
    rows = space.sample_population(2 * count, seed)
    rows[0] = space.encoding.encode([space.default()])[0]
    rows = rows[np.sort(np.unique(rows, axis=0, return_index=True)[1])][:count]
    together = space.workload(rows)
    names, mismatches, deviations = [], [], []
    for index, row in enumerate(rows):
        candidate = space.candidate(space.encoding.assignment(row))
        names.append(candidate.id)
        module = weighted(candidate, index)
        model = to_onnx(candidate, module=module)
        of_file = read_onnx(model).workload(bits=8)
        if (
            kernels_of(of_file) != list(together.rows(index))
            or buffers_of(of_file) != buffers_of(together.candidate(index))
            or of_file.macs[0] != together.macs[index]
        ):
            mismatches.append(candidate.id)
        (declared,) = candidate.plan.inputs
        x = torch.randn(declared.shape(), generator=torch.Generator().manual_seed(index))
        with torch.no_grad():
            expected = module(x).numpy()
        (computed,) = run_onnx(model, x)
        deviations.append(float(np.abs(computed - expected).max() / np.abs(expected).max()))
    return names, mismatches, deviations
