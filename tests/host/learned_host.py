"""A host whose kernels take what a simple law says, so that tests depend on no machine's speed."""

from collections.abc import Sequence

import yaml

from hannah_hw.host.facts import this_runtime
from hannah_hw.host.kernels import HostKernel
from hannah_hw.host.model import HostModel
from hannah_hw.host.rows import HostRow

#: Seconds of a run of nothing.
RUN_SECONDS = 2e-6


def seconds(kernel: HostKernel) -> float:
    """The law: a microsecond for the call, and one for every 4096 values that are read or written."""
    return 1e-6 * (1 + sum(tensor.elements for tensor in (*kernel.inputs, *kernel.outputs)) / 4096)


def fitted(networks: Sequence[Sequence[HostKernel]]) -> HostModel:
    """What is learned where the kernels of some networks take what the law says."""
    kernels = {kernel.key: kernel for network in networks for kernel in network}
    rows = [HostRow(kernel, seconds(kernel), 0.0, "a test") for kernel in kernels.values()]
    return HostModel.fit(rows, run_seconds=RUN_SECONDS)


def write_host(folder, model: HostModel, precision: str = "float32", **runtime):
    """The files of a target and its cost model; returns the path of the target."""
    model.save(folder / "desk_model.yaml")
    document = {
        "format": "hannah-target/2",
        "name": "desk",
        "title": "A machine of a test",
        "document": "nothing was measured",
        "runtime": {**this_runtime().model_dump(), **runtime},
        "model": {"kind": "learned", "coefficients": "desk_model.yaml", "precision": precision},
    }
    path = folder / "desk.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path
